package awsiam

import (
	"context"
	"iter"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"broker/providers"
	"broker/providers/awsclient"
)

// List yields the users whose names begin with prefix, of every path. Whose they are IAM tells for one user at a time,
// and is asked once for each that a Backend has not made itself.
func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		ctx, cancel := b.bound(ctx)
		defer cancel()
		if _, err := b.Prove(ctx); err != nil {
			yield(providers.Found{}, err)
			return
		}
		pages := iam.NewListUsersPaginator(b.IAM, &iam.ListUsersInput{MaxItems: aws.Int32(1000)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(providers.Found{}, awsclient.Classify(err, "listing users"))
				return
			}
			var logins []providers.Login
			for _, user := range page.Users {
				if name := aws.ToString(user.UserName); strings.HasPrefix(name, prefix) {
					logins = append(logins, providers.Login{Name: providers.LoginName(name)})
				}
			}
			found, err := b.whose(ctx, logins)
			if err != nil {
				yield(providers.Found{}, err)
				return
			}
			for _, one := range found {
				if !yield(one, nil) {
					return
				}
			}
		}
	}
}

// whose asks for the tags of users. One that is gone meanwhile is left out.
func (b *backend) whose(ctx context.Context, logins []providers.Login) ([]providers.Found, error) {
	var mu sync.Mutex
	ours := map[providers.LoginName]bool{}
	answers := b.each(ctx, logins, func(ctx context.Context, login providers.Login) error {
		_, known := b.ours.Load(login.Name)
		if !known {
			user, err := b.IAM.GetUser(ctx, &iam.GetUserInput{UserName: name(login.Name)})
			if awsclient.Absent(err) {
				return nil
			}
			if err != nil {
				return awsclient.Classify(err, "reading the tags of a user")
			}
			for _, tag := range user.User.Tags {
				known = known || aws.ToString(tag.Key) == tagCluster && aws.ToString(tag.Value) == b.env.ClusterID
			}
			if known {
				b.ours.Store(login.Name, true)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		ours[login.Name] = known
		return nil
	})
	var found []providers.Found
	for _, login := range logins {
		if err := answers[login.Name]; err != nil {
			return nil, err
		}
		if known, there := ours[login.Name]; there {
			found = append(found, providers.Found{Name: login.Name, Ours: known && b.env.ClusterID != ""})
		}
	}
	return found, nil
}

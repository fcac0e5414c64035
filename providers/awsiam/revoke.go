package awsiam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"broker/providers"
	"broker/providers/awsclient"
)

// denyAll takes the place of what the user was given, and holds for its keys, its console and every temporary
// credential that it got for itself, from wherever they are used.
const denyAll = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`

// conflicts is how often a user is stripped that somebody else gives something meanwhile.
const conflicts = 3

// Revoke denies each user everything, removes what it has, and then the user. Those that do not exist are asked for a
// second time after a while, since IAM may not know yet what was made a moment ago.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	if len(logins) == 0 {
		return nil
	}
	ctx, cancel := b.bound(ctx)
	defer cancel()
	if _, err := b.Prove(ctx); err != nil {
		return all(logins, err)
	}
	answers := b.each(ctx, logins, b.remove)
	var absent []providers.Login
	for _, login := range sorted(logins) {
		if errors.Is(answers[login.Name], errAbsent) {
			absent = append(absent, login)
		}
	}
	if len(absent) == 0 {
		return answers
	}
	select {
	case <-time.After(b.settle):
	case <-ctx.Done():
	}
	for name, err := range b.each(ctx, absent, b.remove) {
		if errors.Is(err, errAbsent) {
			err = nil
		}
		answers[name] = err
	}
	return answers
}

// errAbsent is returned by remove when IAM answered that the user does not exist.
var errAbsent = errors.New("the user does not exist")

// remove takes everything from a user and deletes it. Only that it could be deleted counts: whatever failed before is
// told when it could not.
func (b *backend) remove(ctx context.Context, login providers.Login) error {
	user := name(login.Name)
	_, err := b.IAM.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: user, PolicyName: aws.String(inlineName), PolicyDocument: aws.String(denyAll)})
	if e := awsclient.Classify(err, "denying everything to user "+*user); err != nil && (e.Kind == providers.KindUnavailable || e.Kind == providers.KindUnknown) {
		return e // IAM does not answer, or not us: no other step would fare better
	}
	var failed error
	if !awsclient.Absent(err) {
		denied := step(err, "denying everything") // a foreign inline policy may leave no room
		if failed = b.strip(ctx, user, usual...); failed != nil {
			failed = errors.Join(denied, failed)
		}
	}
	for range conflicts {
		if failed == nil {
			failed = undeny(ctx, b.IAM, user)
		}
		_, err = b.IAM.DeleteUser(ctx, &iam.DeleteUserInput{UserName: user})
		switch {
		case err == nil:
			b.ours.Delete(login.Name)
			return nil
		case awsclient.Absent(err):
			return errAbsent
		case !awsclient.HasCode(err, "DeleteConflict"):
			return worse(awsclient.Classify(err, fmt.Sprintf("deleting user %q", login.Name)), failed)
		}
		failed = errors.Join(b.strip(ctx, user, usual...), b.strip(ctx, user, rare...))
	}
	return worse(awsclient.Classify(err, fmt.Sprintf("deleting user %q", login.Name)), failed)
}

// worse tells what kept a user from being deleted: the steps before, if any failed, with the first's kind and hint.
func worse(last *providers.Error, failed error) error {
	var first *providers.Error
	if !errors.As(failed, &first) || last.Kind != providers.KindRejected {
		return last
	}
	return &providers.Error{Kind: first.Kind, Busy: first.Busy, Blocked: first.Blocked, Hint: first.Hint, Err: fmt.Errorf("%w: %w", last.Err, failed)}
}

// step classifies the error of one step; what is not there need not be removed.
func step(err error, doing string) error {
	if err == nil || awsclient.Absent(err) {
		return nil
	}
	return awsclient.Classify(err, doing)
}

// strip removes one kind of belongings after the other. One that fails ends no other.
func (b *backend) strip(ctx context.Context, user *string, kinds ...belongings) error {
	var failed []error
	for _, kind := range kinds {
		failed = append(failed, kind(ctx, b.IAM, user))
	}
	return errors.Join(failed...)
}

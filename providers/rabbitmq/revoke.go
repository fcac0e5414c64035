package rabbitmq

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"broker/providers"
)

// settling is how long after a user was removed its connections are looked for: one that was let in at the last moment
// is known to the server by then, and those that the server ends by itself are gone.
const settling = 100 * time.Millisecond

// Renew has nothing to extend: the server ends no login by itself.
func (b *backend) Renew(_ context.Context, logins []providers.Login) map[providers.LoginName]error {
	names, answers := b.sift(logins)
	answerAll(answers, names, nil)
	return answers
}

// Revoke removes the users, with whom their permissions and log-ins go, and then sees to it that no connection of them
// is left, also of those that were gone already: whoever removed them may not have come to that.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	names, answers := b.sift(logins)
	if len(names) == 0 {
		return answers
	}
	err := b.changing()
	if err == nil {
		err = b.prove(ctx)
	}
	if err != nil {
		answerAll(answers, names, err)
		return answers
	}
	var removed []providers.LoginName
	for name, err := range each(names, func(name providers.LoginName) error { return b.remove(ctx, name) }) {
		if answers[name] = err; err == nil {
			removed = append(removed, name)
		}
	}
	pause(ctx, settling)
	for name, err := range each(removed, func(name providers.LoginName) error { return b.disconnect(ctx, name) }) {
		answers[name] = err
	}
	b.proveAgain(ctx, answers, removed)
	return answers
}

// proveAgain takes back what was answered with success when the address has come to mean another cluster meanwhile.
func (b *backend) proveAgain(ctx context.Context, answers map[providers.LoginName]error, names []providers.LoginName) {
	if err := b.prove(ctx); err != nil {
		for _, name := range names {
			if answers[name] == nil {
				answers[name] = sent(err)
			}
		}
	}
}

func (b *backend) remove(ctx context.Context, name providers.LoginName) error {
	_, err := b.do(ctx, fmt.Sprintf("removing user %q", string(name)), http.MethodDelete, path("users", string(name)), nil, http.StatusNoContent, http.StatusNotFound)
	return err
}

// disconnect ends what connections there are, and waits until none is left.
func (b *backend) disconnect(ctx context.Context, name providers.LoginName) error {
	ctx, cancel := context.WithTimeout(ctx, b.settings.requestTimeout)
	defer cancel()
	doing := fmt.Sprintf("ending connections of user %q", string(name))
	connections := path("connections", "username", string(name))
	for {
		a, err := b.do(ctx, doing, http.MethodGet, connections+"?columns=name", nil, http.StatusOK)
		if err != nil {
			return sent(err)
		}
		var open []struct{}
		if err := json.Unmarshal(a.body, &open); err != nil {
			return sent(b.notRabbitMQ(doing))
		}
		if len(open) == 0 {
			return nil
		}
		if _, err := b.do(ctx, doing, http.MethodDelete, connections, nil, http.StatusNoContent, http.StatusNotFound); err != nil {
			return sent(err)
		}
		pause(ctx, settling)
		if ctx.Err() != nil {
			return providers.Errorf(providers.KindUnavailable, "%s: %d are left", doing, len(open))
		}
	}
}

// ConfirmAbsent looks whether users are there, and believes that they are not only when the longest is over that a
// request may be under way: the server has nothing by which a create that comes late could be stopped.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	names, answers := b.sift(logins)
	if len(names) == 0 {
		return answers
	}
	if err := b.prove(ctx); err != nil {
		answerAll(answers, names, err)
		return answers
	}
	from := notBefore.Add(b.settings.quarantine)
	for name, err := range each(names, func(name providers.LoginName) error { return b.confirm(ctx, name, from) }) {
		answers[name] = err
	}
	b.proveAgain(ctx, answers, names)
	return answers
}

func (b *backend) confirm(ctx context.Context, name providers.LoginName, from time.Time) error {
	doing := fmt.Sprintf("confirming that user %q is absent", string(name))
	a, err := b.do(ctx, doing, http.MethodGet, path("users", string(name)), nil, http.StatusOK, http.StatusNotFound)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusOK:
		return providers.Errorf(providers.KindExists, "%s: it exists", doing)
	case !a.at.After(from):
		return providers.Errorf(providers.KindTooEarly, "%s: by the server's clock a create may still come", doing)
	}
	return nil
}

// List yields all users whose names begin with prefix, in the order of their bytes. Their tags tell whose they are.
func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		found, err := b.list(ctx, prefix)
		if err != nil {
			yield(providers.Found{}, err)
			return
		}
		for _, f := range found {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (b *backend) list(ctx context.Context, prefix string) ([]providers.Found, error) {
	if err := b.prove(ctx); err != nil {
		return nil, err
	}
	const doing = "listing users"
	a, err := b.do(ctx, doing, http.MethodGet, "users?columns=name,tags", nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	var users []struct {
		Name string `json:"name"`
		Tags tags   `json:"tags"`
	}
	if err := json.Unmarshal(a.body, &users); err != nil {
		return nil, b.notRabbitMQ(doing)
	}
	var found []providers.Found
	for _, u := range users {
		if strings.HasPrefix(u.Name, prefix) {
			ours := b.env.ClusterID != "" && slices.Contains(u.Tags, clusterTag(b.env.ClusterID))
			found = append(found, providers.Found{Name: providers.LoginName(u.Name), Ours: ours})
		}
	}
	slices.SortFunc(found, func(a, b providers.Found) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return found, nil
}

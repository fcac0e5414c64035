package redis

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"broker/providers"
)

// isNil reports whether the server answered that there is nothing.
func isNil(err error) bool { return errors.Is(err, redis.Nil) }

// List yields all users whose names begin with prefix, in the order of their bytes. Their channels tell whose they are.
func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		names, err := b.names(ctx, prefix)
		if err != nil {
			yield(providers.Found{}, err)
			return
		}
		// No session is held while the reader works.
		for page := range slices.Chunk(names, batch) {
			found, err := b.lookUp(ctx, page)
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
}

func (b *backend) names(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := b.bound(ctx, 1)
	defer cancel()
	s, release, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	users := redis.NewStringSliceCmd(ctx, "ACL", "USERS")
	if err := s.Process(ctx, users); err != nil {
		return nil, replyError("listing users", err)
	}
	names := slices.DeleteFunc(users.Val(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
	slices.Sort(names)
	return names, nil
}

// lookUp asks for users one by one; those that have gone meanwhile are left out.
func (b *backend) lookUp(ctx context.Context, names []string) ([]providers.Found, error) {
	ctx, cancel := b.bound(ctx, 1)
	defer cancel()
	s, release, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	answers := make([]*redis.Cmd, len(names))
	_, err = s.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			answers[i] = p.Do(ctx, "ACL", "GETUSER", name)
		}
		return nil
	})
	if err != nil && !isNil(err) {
		return nil, replyError("listing users", err)
	}
	var found []providers.Found
	for i, name := range names {
		switch err := answers[i].Err(); {
		case err == nil:
			found = append(found, providers.Found{Name: providers.LoginName(name), Ours: b.isOurs(answers[i].Val())})
		case !isNil(err):
			return nil, replyError("listing users", err)
		}
	}
	return found, nil
}

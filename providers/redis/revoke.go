package redis

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"broker/providers"
)

// batch is how many users one command removes, or one round trip asks for: the server does nothing else meanwhile.
const batch = 200

// Renew has nothing to extend: the server ends no login by itself.
func (b *backend) Renew(_ context.Context, logins []providers.Login) map[providers.LoginName]error {
	names, answers := b.sift(logins)
	answerAll(answers, names, nil)
	return answers
}

// Revoke removes the users. ACL DELUSER is one step of a server that does one at a time: with the user go its log-ins
// and, before the next command of anybody, its sessions. That a user is gone counts once it is saved, for one that was
// gone already too: whoever removed it may not have come to that, and a restart would bring it back.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	names, answers := b.sift(logins)
	if len(names) == 0 {
		return answers
	}
	if err := b.changing(); err != nil {
		answerAll(answers, names, err)
		return answers
	}
	ctx, cancel := b.bound(ctx, 2+len(names)/batch)
	defer cancel()
	s, release, err := b.acquire(ctx)
	if err != nil {
		answerAll(answers, names, err)
		return answers
	}
	var removed []providers.LoginName
	for page := range slices.Chunk(names, batch) {
		command := []any{"ACL", "DELUSER"}
		for _, name := range page {
			command = append(command, string(name))
		}
		if err := s.Do(ctx, command...).Err(); err != nil {
			answerAll(answers, page, replyError("removing users", err))
		} else {
			removed = append(removed, page...)
		}
	}
	release()
	if len(removed) > 0 {
		err := b.saved(ctx)
		if err != nil {
			err = replyError("removing users", err)
		}
		answerAll(answers, removed, err)
	}
	return answers
}

// ConfirmAbsent asks for the server's time, takes the guards away, and asks for the users. A create that is still under
// way was sent before notBefore and watches its guard: once that is gone its transaction ends without effect, another
// that it sets now is over at once, and a user that is not there afterwards never will be. It is no transaction itself,
// which a server whose memory is full would refuse.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	names, answers := b.sift(logins)
	if len(names) == 0 {
		return answers
	}
	if err := b.changing(); err != nil {
		answerAll(answers, names, err)
		return answers
	}
	ctx, cancel := b.bound(ctx, 1+len(names)/batch)
	defer cancel()
	s, release, err := b.acquire(ctx)
	if err != nil {
		answerAll(answers, names, err)
		return answers
	}
	defer release()
	for page := range slices.Chunk(names, batch) {
		if err := confirmPage(ctx, s, page, notBefore, answers); err != nil {
			answerAll(answers, page, replyError("confirming that users are absent", err))
		}
	}
	return answers
}

func confirmPage(ctx context.Context, s *session, page []providers.LoginName, notBefore time.Time, answers map[providers.LoginName]error) error {
	var clock *redis.SliceCmd
	guards, users := make([]*redis.StringCmd, len(page)), make([]*redis.Cmd, len(page))
	_, err := s.Pipelined(ctx, func(p redis.Pipeliner) error {
		clock = redis.NewSliceCmd(ctx, "TIME")
		_ = p.Process(ctx, clock)
		for i, name := range page {
			guard := guardPrefix + string(name)
			p.Del(ctx, guard) // refused where nothing can be written; then the guard's own end has to come
			guards[i] = p.Get(ctx, guard)
			users[i] = p.Do(ctx, "ACL", "GETUSER", string(name))
		}
		return nil
	})
	if clock.Err() != nil {
		return err
	}
	now, err := instant(clock.Val())
	if err != nil {
		return err
	}
	for i, name := range page {
		doing := fmt.Sprintf("confirming that user %q is absent", string(name))
		switch err := users[i].Err(); {
		case err == nil:
			answers[name] = providers.Errorf(providers.KindExists, "%s: it exists", doing)
		case !isNil(err):
			answers[name] = replyError(doing, err)
		case guards[i].Err() != nil && !isNil(guards[i].Err()):
			answers[name] = replyError(doing, guards[i].Err())
		case guards[i].Err() == nil || !now.After(notBefore):
			answers[name] = providers.Errorf(providers.KindTooEarly, "%s: by the server's clock a create may still come", doing)
		default:
			answers[name] = nil
		}
	}
	return nil
}

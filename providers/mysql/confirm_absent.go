package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"broker/providers"
)

// claimWithin is how long a create that holds the lock of a name that is past its deadline is waited for. Its session is
// told to end then, since the process that has it may stand still for long.
const claimWithin = time.Second

// ConfirmAbsent takes the lock of each name, which a create holds from before it reads the server's clock until it has
// ended. Whoever has it after the deadline knows: no create is under way, and one to come will find its deadline passed.
// What the server lists then is all there is.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	todo, answers := b.sorted(logins)
	ctx, cancel := b.bound(ctx, 12)
	defer cancel()
	if err := b.mayChange(); err != nil {
		failAll(answers, todo, err)
		return answers
	}
	for len(todo) > 0 {
		n := min(len(todo), maxBatch)
		if err := b.confirm(ctx, todo[:n], notBefore, answers); err != nil {
			failAll(answers, todo[:n], err)
		}
		todo = todo[n:]
	}
	return answers
}

func (b *backend) confirm(ctx context.Context, todo []providers.Login, notBefore time.Time, answers map[providers.LoginName]error) error {
	s, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	var due bool
	if err := s.read(ctx, "SELECT UTC_TIMESTAMP(6) > "+quoteTime(notBefore), &due); err != nil {
		return statementError("reading the server's clock", err)
	}
	if !due {
		return providers.Errorf(providers.KindTooEarly, "confirming absence: by the server's clock a create may still come")
	}
	taken, err := s.claim(ctx, todo)
	if err != nil {
		return err
	}
	begun := time.Now()
	for _, login := range taken {
		if err := s.await(ctx, login.Name, max(time.Until(begun.Add(claimWithin)), 0)); err != nil {
			answers[login.Name] = err
		}
	}
	found, err := s.accounts(ctx, namesOf(todo))
	if err != nil {
		return err
	}
	s.release(ctx)
	for _, login := range todo {
		if _, answered := answers[login.Name]; answered {
			continue
		}
		answers[login.Name] = nil
		if len(found[login.Name]) > 0 {
			answers[login.Name] = providers.Errorf(providers.KindExists, "confirming that account %q is absent: it exists", string(login.Name))
		}
	}
	return nil
}

// await waits for the lock of a name that somebody holds. Who holds it for too long is told to end.
func (s *session) await(ctx context.Context, name providers.LoginName, wait time.Duration) error {
	doing := fmt.Sprintf("confirming that account %q is absent", string(name))
	lock := quoteString(lockOf(name))
	var got, holder sql.NullInt64
	seconds := strconv.Itoa(int(wait.Round(time.Second) / time.Second)) // MySQL takes whole ones
	if err := s.read(ctx, "SELECT GET_LOCK("+lock+", "+seconds+"), IS_USED_LOCK("+lock+")", &got, &holder); err != nil {
		return statementError(doing, err)
	}
	if got.Int64 == 1 {
		return nil
	}
	if holder.Valid {
		if err := s.exec(ctx, "KILL "+strconv.FormatInt(holder.Int64, 10)); err != nil && !hasNumber(err, errNoThread, errNotOwner) {
			return statementError(doing, err)
		}
	}
	return &providers.Error{Kind: providers.KindUnknown, Blocked: true, Hint: cannotEnd,
		Err: fmt.Errorf("%s: a create of that name was under way; its session was told to end", doing)}
}

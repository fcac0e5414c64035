package mysql

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"broker/providers"
)

// maxBatch is how many accounts one statement names.
const maxBatch = 100

// Renew answers nil for each: an account has no end at the server.
func (b *backend) Renew(_ context.Context, logins []providers.Login) map[providers.LoginName]error {
	_, answers := b.sorted(logins)
	for _, login := range logins {
		if _, refused := answers[login.Name]; !refused {
			answers[login.Name] = nil
		}
	}
	return answers
}

// Revoke removes the logins: lock the accounts; wait for log-ins under way; end sessions; drop; and look for sessions
// once more. A login that fails on the way stays locked, and the others go on.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	todo, answers := b.sorted(logins)
	ctx, cancel := b.bound(ctx, 30)
	defer cancel()
	if err := b.mayChange(); err != nil {
		failAll(answers, todo, err)
		return answers
	}
	for len(todo) > 0 {
		n := min(len(todo), maxBatch)
		b.revoke(ctx, todo[:n], answers)
		todo = todo[n:]
	}
	return answers
}

func (b *backend) revoke(ctx context.Context, todo []providers.Login, answers map[providers.LoginName]error) {
	s, err := b.acquire(ctx)
	if err != nil {
		failAll(answers, todo, err)
		return
	}
	defer s.end()
	r := &revocation{session: s, todo: todo, answers: answers}
	for _, step := range []func(context.Context) error{r.lookUp, r.lock, r.endSessions, r.drop, r.confirm} {
		if len(r.todo) == 0 {
			return
		}
		if err := step(ctx); err != nil {
			failAll(answers, r.todo, err)
			return
		}
	}
}

// revocation removes logins, each as far as it gets.
type revocation struct {
	*session
	todo     []providers.Login // without an answer yet
	accounts map[providers.LoginName][]account
	answers  map[providers.LoginName]error
}

// lookUp remembers the accounts. Logins that have none go on all the same: whoever dropped the account may have left its
// sessions.
func (r *revocation) lookUp(ctx context.Context) (err error) {
	r.accounts, err = r.session.accounts(ctx, namesOf(r.todo))
	return err
}

func (r *revocation) lock(ctx context.Context) error {
	r.fail(r.each(ctx, "locking account %q", "ALTER USER IF EXISTS ", " ACCOUNT LOCK", r.todo))
	return nil
}

// endSessions ends the sessions of the logins in hand and answers for those that it cannot end.
func (r *revocation) endSessions(ctx context.Context) error {
	alive, err := r.session.endSessions(ctx, namesOf(r.todo), none)
	if err != nil {
		return err
	}
	failed := map[providers.LoginName]error{}
	for _, login := range r.todo {
		if n := alive[string(login.Name)]; n > 0 {
			failed[login.Name] = &providers.Error{Kind: providers.KindUnavailable, Blocked: true, Hint: cannotEnd,
				Err: fmt.Errorf("ending sessions of account %q: %d did not end in time", string(login.Name), n)}
		}
	}
	r.fail(failed)
	return nil
}

// drop runs the secret's own revocation statements or drops the account.
func (r *revocation) drop(ctx context.Context) error {
	var plain, custom []providers.Login
	for _, login := range r.todo {
		if len(login.Options.List(optionRevocationStatements)) > 0 && len(r.accounts[login.Name]) > 0 {
			custom = append(custom, login)
		} else {
			plain = append(plain, login)
		}
	}
	failed := r.each(ctx, "dropping account %q", "DROP USER IF EXISTS ", "", plain)
	for _, login := range custom {
		failed[login.Name] = r.runOwn(ctx, login)
	}
	r.fail(failed)
	if len(custom) == 0 {
		return nil
	}
	left, err := r.session.accounts(ctx, namesOf(custom))
	if err != nil {
		return err
	}
	stayed := map[providers.LoginName]error{}
	for _, login := range custom {
		if failed[login.Name] == nil && len(left[login.Name]) > 0 {
			stayed[login.Name] = &providers.Error{Kind: providers.KindRejected, Hint: "Let revocation_statements end with DROP USER {{name}}@{{host}}.",
				Err: fmt.Errorf("removing account %q: the revocation statements ran and left it", string(login.Name))}
		}
	}
	r.fail(stayed)
	return nil
}

func (r *revocation) runOwn(ctx context.Context, login providers.Login) error {
	r.spoiled = true
	values := map[string]string{placeholderName: quoteString(string(login.Name)), placeholderHost: quoteString(hostOf(login.Options))}
	statements, err := renderAll(login.Options.List(optionRevocationStatements), revocationPlaceholders, values)
	if err != nil {
		return providers.Errorf(providers.KindRejected, "removing account %q: revocation_statements: %w", string(login.Name), err)
	}
	for i, sql := range statements {
		if err := r.exec(ctx, sql); err != nil {
			return statementError(fmt.Sprintf("removing account %q: running revocation statement %d", string(login.Name), i+1), err)
		}
	}
	return nil
}

// confirm answers for those that were dropped, once no session of them lives on.
func (r *revocation) confirm(ctx context.Context) error {
	if err := r.endSessions(ctx); err != nil {
		return err
	}
	done := map[providers.LoginName]error{}
	for _, login := range r.todo {
		done[login.Name] = nil
	}
	r.settle(done)
	return nil
}

// each runs a statement that names accounts for all of the logins at once, and for the halves of them when that fails,
// down to the one that is at fault: the server may do nothing of it then, or all but that one.
func (r *revocation) each(ctx context.Context, doing, before, after string, logins []providers.Login) map[providers.LoginName]error {
	answers := map[providers.LoginName]error{}
	var quoted []string
	for _, login := range logins {
		for _, a := range r.accounts[login.Name] {
			quoted = append(quoted, a.quoted())
		}
	}
	if len(quoted) == 0 {
		return answers
	}
	err := r.exec(ctx, before+strings.Join(quoted, ", ")+after)
	switch {
	case err == nil:
		for _, login := range logins {
			answers[login.Name] = nil
		}
	case len(logins) == 1 || !reported(err):
		for _, login := range logins {
			answers[login.Name] = statementError(fmt.Sprintf(doing, string(login.Name)), err)
		}
	default:
		half := len(logins) / 2
		maps.Copy(answers, r.each(ctx, doing, before, after, logins[:half]))
		maps.Copy(answers, r.each(ctx, doing, before, after, logins[half:]))
	}
	return answers
}

// settle takes logins off the list with their answers.
func (r *revocation) settle(answers map[providers.LoginName]error) {
	maps.Copy(r.answers, answers)
	var todo []providers.Login
	for _, login := range r.todo {
		if _, answered := answers[login.Name]; !answered {
			todo = append(todo, login)
		}
	}
	r.todo = todo
}

// fail takes those off the list that have failed; the others stay.
func (r *revocation) fail(answers map[providers.LoginName]error) {
	maps.DeleteFunc(answers, func(_ providers.LoginName, err error) bool { return err == nil })
	r.settle(answers)
}

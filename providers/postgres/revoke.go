package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// Revoke removes the logins: stop log-ins, committed; wait for log-ins under way; end sessions; give
// away what they own and take back what they were granted; drop; and look for sessions once more,
// since a log-in that was allowed at the last moment may show up only now. A login that fails on the way
// stays without log-in and sessions, and the others go on.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	ctx, cancel := b.bound(ctx, 30)
	defer cancel()
	todo, answers := b.sorted(logins)
	conn, err := b.acquire(ctx)
	if err != nil {
		failAll(answers, namesOf(todo), err)
		return answers
	}
	defer conn.Release()
	r := &revocation{backend: b, conn: conn.Conn(), todo: todo, answers: answers}
	r.run(ctx)
	return answers
}

// revocation is one call of Revoke.
type revocation struct {
	backend *backend
	conn    *pgx.Conn
	todo    []providers.Login // without an answer yet, sorted by name
	roles   map[providers.LoginName]role
	answers map[providers.LoginName]error
}

func (r *revocation) run(ctx context.Context) {
	if err := r.lookUp(ctx); err != nil {
		failAll(r.answers, namesOf(r.todo), err)
		return
	}
	steps := []func(context.Context) error{r.stopLogIns, r.awaitLogIns, r.endSessions, r.release, r.drop}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			failAll(r.answers, namesOf(r.todo), err)
			r.todo = nil
		}
		if len(r.todo) == 0 {
			break
		}
	}
	r.forgive(ctx)
	// What was dropped is answered for only when no session of it lives on.
	if err := r.endSessions(ctx); err != nil {
		failAll(r.answers, namesOf(r.todo), err)
		return
	}
	for _, login := range r.todo {
		r.answers[login.Name] = nil
	}
}

// lookUp answers for roles that are absent and remembers the others.
func (r *revocation) lookUp(ctx context.Context) error {
	var err error
	if r.roles, err = lookUp(ctx, r.conn, namesOf(r.todo)); err != nil {
		return err
	}
	absent := map[providers.LoginName]error{}
	for _, login := range r.todo {
		if _, exists := r.roles[login.Name]; !exists {
			absent[login.Name] = nil
		}
	}
	r.settle(absent)
	return nil
}

// stopLogIns commits NOLOGIN for all.
func (r *revocation) stopLogIns(ctx context.Context) error {
	var jobs []job
	for _, login := range r.todo {
		if r.roles[login.Name].canLogin {
			jobs = append(jobs, job{login.Name, []string{"ALTER ROLE " + quoteName(string(login.Name)) + " NOLOGIN"}})
		}
	}
	r.fail(batch{doing: "stopping log-ins of role %q"}.run(ctx, r.conn, jobs))
	return nil
}

// awaitLogIns lets log-ins that were allowed before stopLogIns show themselves.
func (r *revocation) awaitLogIns(ctx context.Context) error { return awaitLogIns(ctx, r.conn) }

// endSessions ends the sessions of the logins in hand and answers for those that it cannot end.
func (r *revocation) endSessions(ctx context.Context) error {
	var oids []uint32
	for _, login := range r.todo {
		oids = append(oids, r.roles[login.Name].oid)
	}
	alive, err := endSessions(ctx, r.conn, oids)
	if err != nil {
		return err
	}
	failed := map[providers.LoginName]error{}
	for _, login := range r.todo {
		if n := alive[r.roles[login.Name].oid]; n > 0 {
			failed[login.Name] = providers.Errorf(providers.KindUnavailable, "ending sessions of role %q: %d did not end in time", string(login.Name), n)
		}
	}
	r.fail(failed)
	return nil
}

// release runs the secret's own revocation statements or, where there are none, reassigns and takes
// back in each database that depends on the role.
func (r *revocation) release(ctx context.Context) error {
	var jobs []job
	var plain []providers.Login
	failed := map[providers.LoginName]error{}
	for _, login := range r.todo {
		statements := login.Options.List(optionRevocationStatements)
		if len(statements) == 0 {
			plain = append(plain, login)
			continue
		}
		values := map[string]string{placeholderName: quoteName(string(login.Name))}
		rendered, err := renderAll(statements, revocationPlaceholders, values)
		if err != nil {
			failed[login.Name] = providers.Errorf(providers.KindRejected, "removing role %q: revocation_statements: %w", string(login.Name), err)
			continue
		}
		jobs = append(jobs, job{login.Name, rendered})
	}
	maps.Copy(failed, batch{doing: "running the revocation statements of role %q"}.run(ctx, r.conn, jobs))
	r.fail(failed)
	return r.releaseObjects(ctx, plain)
}

// drop drops what release prepared, and checks that revocation statements dropped the rest.
func (r *revocation) drop(ctx context.Context) error {
	var jobs []job
	var custom []providers.LoginName
	for _, login := range r.todo {
		if len(login.Options.List(optionRevocationStatements)) > 0 {
			custom = append(custom, login.Name)
			continue
		}
		jobs = append(jobs, job{login.Name, []string{"DROP ROLE IF EXISTS " + quoteName(string(login.Name))}})
	}
	failed := batch{doing: "dropping role %q"}.run(ctx, r.conn, jobs)
	if len(custom) > 0 {
		left, err := lookUp(ctx, r.conn, custom)
		if err != nil {
			return err
		}
		for name := range left {
			failed[name] = &providers.Error{Kind: providers.KindRejected, Hint: "Let revocation_statements end with DROP ROLE {{name}}.",
				Err: fmt.Errorf("removing role %q: the revocation statements ran and left it", string(name))}
		}
	}
	r.fail(failed)
	return nil
}

// forgive takes failures back whose login is gone: another Backend that revoked the same logins was
// faster, or a COMMIT thought lost had come through.
func (r *revocation) forgive(ctx context.Context) {
	var failed []providers.LoginName
	for name, err := range r.answers {
		if _, existed := r.roles[name]; existed && err != nil {
			failed = append(failed, name)
		}
	}
	if len(failed) == 0 || r.conn.IsClosed() {
		return
	}
	slices.Sort(failed)
	left, err := lookUp(ctx, r.conn, failed)
	if err != nil {
		return
	}
	for _, name := range failed {
		if _, exists := left[name]; !exists {
			delete(r.answers, name)
			r.todo = append(r.todo, providers.Login{Name: name})
		}
	}
}

// settle takes logins off the list with their answers.
func (r *revocation) settle(answers map[providers.LoginName]error) {
	maps.Copy(r.answers, answers)
	r.todo = slices.DeleteFunc(r.todo, func(login providers.Login) bool {
		_, answered := answers[login.Name]
		return answered
	})
}

// fail takes those off the list that have failed; the others stay.
func (r *revocation) fail(answers map[providers.LoginName]error) {
	maps.DeleteFunc(answers, func(_ providers.LoginName, err error) bool { return err == nil })
	r.settle(answers)
}

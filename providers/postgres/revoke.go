package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

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
	wait := b.settings.lockTimeout()
	r := &revocation{backend: b, conn: conn.Conn(), todo: slices.Clone(todo), answers: answers, wait: hasty(wait)}
	r.run(ctx)
	// A create that grants something on the object that this takes privileges back on is no failure.
	mendable := func(err error) bool { return foundLocked(err) || inTheWay(err) }
	insist(ctx, wait, answers, mendable, func(name providers.LoginName) {
		i := slices.IndexFunc(todo, func(login providers.Login) bool { return login.Name == name })
		if i < 0 || conn.Conn().IsClosed() {
			return
		}
		again := &revocation{backend: b, conn: conn.Conn(), todo: []providers.Login{todo[i]}, answers: map[providers.LoginName]error{}, wait: wait}
		again.run(ctx)
		maps.Copy(answers, again.answers)
	})
	return answers
}

// revocation removes logins, each as far as it gets.
type revocation struct {
	backend   *backend
	conn      *pgx.Conn
	todo      []providers.Login // without an answer yet, sorted by name
	roles     map[providers.LoginName]role
	databases map[string][]providers.Login // where something depends on those of todo
	answers   map[providers.LoginName]error
	wait      time.Duration // how long to wait for a lock
}

// run first sees those to their end that nothing depends on: for the others much may be in the way.
func (r *revocation) run(ctx context.Context) {
	r.take(ctx, r.lookUp, r.stopLogIns, r.awaitLogIns, r.endSessions)
	free, held := r.divide(ctx)
	free.take(ctx, free.drop)
	free.confirm(ctx)
	held.take(ctx, held.release, held.drop)
	held.confirm(ctx)
	r.forgive(ctx)
	r.confirm(ctx)
}

// take does steps, as long as there is something to do.
func (r *revocation) take(ctx context.Context, steps ...func(context.Context) error) {
	for _, step := range steps {
		if len(r.todo) == 0 {
			return
		}
		if err := step(ctx); err != nil {
			failAll(r.answers, namesOf(r.todo), err)
			r.todo = nil
		}
	}
}

// confirm answers for those that were dropped, once no session of them lives on.
func (r *revocation) confirm(ctx context.Context) {
	r.take(ctx, r.endSessions)
	for _, login := range r.todo {
		r.answers[login.Name] = nil
	}
	r.todo = nil
}

// divide hands the logins over to two revocations: those that only have to be dropped, and the rest.
func (r *revocation) divide(ctx context.Context) (free, held *revocation) {
	bare, full := *r, *r
	free, held = &bare, &full
	all := r.todo
	r.todo, free.todo, held.todo = nil, nil, nil
	if len(all) == 0 {
		return free, held
	}
	databases, err := r.dependents(ctx, all)
	if err != nil {
		failAll(r.answers, namesOf(all), err)
		return free, held
	}
	held.databases = databases
	burdened := map[providers.LoginName]bool{}
	for _, logins := range databases {
		for _, login := range logins {
			burdened[login.Name] = true
		}
	}
	for _, login := range all {
		if burdened[login.Name] || len(login.Options.List(optionRevocationStatements)) > 0 {
			held.todo = append(held.todo, login)
		} else {
			free.todo = append(free.todo, login)
		}
	}
	return free, held
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
			jobs = append(jobs, job{name: login.Name, statements: []string{"ALTER ROLE " + quoteName(string(login.Name)) + " NOLOGIN"}})
		}
	}
	r.fail(batch{doing: "stopping log-ins of role %q"}.pass(ctx, r.conn, jobs, r.wait))
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
			failed[login.Name] = &providers.Error{Kind: providers.KindUnavailable, Blocked: true,
				Err: fmt.Errorf("ending sessions of role %q: %d did not end in time", string(login.Name), n)}
		}
	}
	r.fail(failed)
	return nil
}

// release runs the secret's own revocation statements or, where there are none, reassigns and takes
// back in each database that depends on the role.
func (r *revocation) release(ctx context.Context) error {
	var jobs []job
	failed := map[providers.LoginName]error{}
	for _, login := range r.todo {
		statements := login.Options.List(optionRevocationStatements)
		if len(statements) == 0 {
			continue
		}
		values := map[string]string{placeholderName: quoteName(string(login.Name))}
		rendered, err := renderAll(statements, revocationPlaceholders, values)
		if err != nil {
			failed[login.Name] = providers.Errorf(providers.KindRejected, "removing role %q: revocation_statements: %w", string(login.Name), err)
			continue
		}
		jobs = append(jobs, job{name: login.Name, statements: rendered})
	}
	maps.Copy(failed, batch{doing: "running the revocation statements of role %q", apart: true}.pass(ctx, r.conn, jobs, r.wait))
	r.fail(failed)
	return r.releaseObjects(ctx)
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
		jobs = append(jobs, job{name: login.Name, statements: []string{"DROP ROLE IF EXISTS " + quoteName(string(login.Name))}})
	}
	failed := batch{doing: "dropping role %q"}.pass(ctx, r.conn, jobs, r.wait)
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

package mysql

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	// sessionsEndWithin is how long sessions may take to end. What takes longer hangs in a place that only an operator
	// can end, such as the rollback of much.
	sessionsEndWithin = 5 * time.Second

	// logInsWithin is how long a log-in that is under way, of whomever, may take beside a revoke. It is ended then.
	logInsWithin = 2 * time.Second

	// unauthenticated is who a log-in under way belongs to for the server's list of sessions.
	unauthenticated = "unauthenticated user"
)

// cannotEnd says why a session may go on.
const cannotEnd = "A session that takes back much, or hangs in the server's storage, takes long to end. MySQL lets the root account end that of an account with SYSTEM_USER only when it has SYSTEM_USER itself."

// endSessions ends every session of the accounts' names, which are locked or gone, and waits until the server lists
// none. It returns how many are left of each. Log-ins under way are waited for: one that has passed the look at its
// account just before that was locked is listed by its name only when it is over. Those that spare knows live on.
func (s *session) endSessions(ctx context.Context, names []string, spare func(id uint64) bool) (alive map[string]int, err error) {
	starting, err := s.starting(ctx)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	pause := 2 * time.Millisecond
	for {
		alive, err = s.kill(ctx, names, spare, starting, time.Since(begun) > logInsWithin)
		if err != nil || len(alive) == 0 && len(starting) == 0 || time.Since(begun) > sessionsEndWithin {
			return alive, err
		}
		again := time.NewTimer(pause)
		pause = min(2*pause, 100*time.Millisecond)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return nil, statementError("ending sessions", ctx.Err())
		}
	}
}

// starting returns the log-ins that are under way.
func (s *session) starting(ctx context.Context) (map[uint64]bool, error) {
	found := map[uint64]bool{}
	err := s.rows(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = "+quoteString(unauthenticated), func(scan func(...any) error) error {
		var id uint64
		err := scan(&id)
		found[id] = true
		return err
	})
	if err != nil {
		return nil, statementError("looking for log-ins under way", err)
	}
	return found, nil
}

// kill tells the sessions of the names to end and counts them. It leaves of starting those log-ins that are still under
// way, and tells them to end too when they have had their time.
func (s *session) kill(ctx context.Context, names []string, spare func(uint64) bool, starting map[uint64]bool, late bool) (map[string]int, error) {
	alive := map[string]int{}
	var ids []uint64
	still := map[uint64]bool{}
	sql := "SELECT ID, USER FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND USER IN (" + quoteAll(append([]string{unauthenticated}, names...)) + ")"
	err := s.rows(ctx, sql, func(scan func(...any) error) error {
		var id uint64
		var user string
		err := scan(&id, &user)
		switch {
		case user != unauthenticated && spare(id):
		case user != unauthenticated:
			alive[user]++
			ids = append(ids, id)
		case starting[id]:
			still[id] = true
			if late {
				ids = append(ids, id)
			}
		}
		return err
	})
	if err != nil {
		return nil, statementError("looking for sessions", err)
	}
	for id := range starting {
		if !still[id] {
			delete(starting, id)
		}
	}
	for _, id := range ids {
		if err := s.exec(ctx, "KILL "+strconv.FormatUint(id, 10)); err != nil && !hasNumber(err, errNoThread, errNotOwner) {
			return nil, statementError(fmt.Sprintf("ending session %d", id), err)
		}
	}
	return alive, nil
}

// none spares no session.
func none(uint64) bool { return false }

// mine reports whether a session is the Backend's own.
func (b *backend) mine(id uint64) bool {
	_, known := b.sessions.Load(id)
	return known
}

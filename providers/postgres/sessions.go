package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// sessionsEndWithin is how long sessions may take to end. A backend looks for interrupts often; what
// takes longer hangs in a place that only an operator can end.
const sessionsEndWithin = 5 * time.Second

// endSessions ends every session of the roles, by oid, so that sessions of a role dropped meanwhile
// are found too, and waits until the server lists none. It returns how many are left of each role.
func endSessions(ctx context.Context, conn *pgx.Conn, oids []uint32) (map[uint32]int, error) {
	if len(oids) == 0 {
		return nil, nil
	}
	var alive map[uint32]int
	err := poll(ctx, func() (done bool, err error) {
		alive, err = signalSessions(ctx, conn, oids)
		return len(alive) == 0, err
	})
	return alive, err
}

// awaitLogIns waits until every log-in that is under way now has become a session that the server
// lists, or has failed. A log-in that was allowed just before log-ins of its role were stopped is
// listed only when its start is over, and until then nobody can end it. Log-ins that begin later
// find the role stopped and are not waited for.
func awaitLogIns(ctx context.Context, conn *pgx.Conn) error {
	first, err := startingSessions(ctx, conn, nil)
	if err != nil || len(first) == 0 {
		return err
	}
	var starting []int32
	err = poll(ctx, func() (done bool, err error) {
		starting, err = startingSessions(ctx, conn, first)
		return len(starting) == 0, err
	})
	if err == nil && len(starting) > 0 {
		return providers.Errorf(providers.KindUnavailable, "waiting for log-ins under way: %d did not become sessions in time", len(starting))
	}
	return err
}

// startingSessions returns the processes, among those given if any are, that have passed the check
// of their role and are not listed as sessions yet. From the one to the other they hold a lock on
// their database.
func startingSessions(ctx context.Context, conn *pgx.Conn, among []int32) ([]int32, error) {
	const sql = `
SELECT DISTINCT l.pid FROM pg_locks l
WHERE l.locktype = 'object' AND l.classid = 'pg_catalog.pg_database'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
  AND l.pid <> pg_backend_pid() AND ($1::int[] IS NULL OR l.pid = ANY($1::int[]))
  AND NOT EXISTS (
    SELECT FROM pg_stat_activity a WHERE a.pid = l.pid AND (a.usesysid IS NOT NULL OR a.backend_type <> 'client backend'))`
	rows, err := conn.Query(ctx, sql, among)
	if err != nil {
		return nil, statementError("looking for log-ins under way", err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, statementError("looking for log-ins under way", err)
	}
	return pids, nil
}

// poll calls look until it is done, fails, or sessionsEndWithin has passed, which is no error.
func poll(ctx context.Context, look func() (done bool, err error)) error {
	giveUp := time.NewTimer(sessionsEndWithin)
	defer giveUp.Stop()
	pause := 2 * time.Millisecond
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		again := time.NewTimer(pause)
		pause = min(2*pause, 100*time.Millisecond)
		select {
		case <-again.C:
		case <-giveUp.C:
			again.Stop()
			return nil
		case <-ctx.Done():
			again.Stop()
			return statementError("ending sessions", ctx.Err())
		}
	}
}

// signalSessions tells the sessions of the roles to end and counts those that it told.
func signalSessions(ctx context.Context, conn *pgx.Conn, oids []uint32) (map[uint32]int, error) {
	const sql = `
SELECT usesysid, count(pg_terminate_backend(pid))::int FROM pg_stat_activity
WHERE usesysid = ANY($1::oid[]) AND pid <> pg_backend_pid() GROUP BY usesysid`
	rows, err := conn.Query(ctx, sql, oids)
	if err != nil {
		return nil, statementError("ending sessions", err)
	}
	defer rows.Close()
	alive := map[uint32]int{}
	for rows.Next() {
		var oid uint32
		var n int
		if err := rows.Scan(&oid, &n); err != nil {
			return nil, statementError("ending sessions", err)
		}
		alive[oid] = n
	}
	if err := rows.Err(); err != nil {
		return nil, statementError("ending sessions", err)
	}
	return alive, nil
}

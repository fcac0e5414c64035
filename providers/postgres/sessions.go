package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
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
	giveUp := time.NewTimer(sessionsEndWithin)
	defer giveUp.Stop()
	pause := 2 * time.Millisecond
	for {
		alive, err := signalSessions(ctx, conn, oids)
		if err != nil || len(alive) == 0 {
			return nil, err
		}
		again := time.NewTimer(pause)
		pause = min(2*pause, 100*time.Millisecond)
		select {
		case <-again.C:
		case <-giveUp.C:
			again.Stop()
			return alive, nil
		case <-ctx.Done():
			again.Stop()
			return nil, statementError("ending sessions", ctx.Err())
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

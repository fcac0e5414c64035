package postgres

import (
	"context"
	"fmt"

	"broker/providers"
)

// Check looks at the server's state, the root account's privileges and the server's identity.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	ctx, cancel := b.bound(ctx, 3)
	defer cancel()
	// Whichever server answers: Check is how its identity becomes known.
	conn, err := b.reach(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	var standby, createRole, signal bool
	const sql = `
SELECT pg_is_in_recovery(), rolsuper OR rolcreaterole, rolsuper OR pg_has_role('pg_signal_backend', 'USAGE')
FROM pg_roles WHERE rolname = current_user`
	if err := conn.QueryRow(ctx, sql).Scan(&standby, &createRole, &signal); err != nil {
		return "", statementError("reading the root account's privileges", err)
	}
	lacks := func(what, statement string) error {
		return &providers.Error{Kind: providers.KindRejected, Hint: "Run as a superuser: " + statement,
			Err: fmt.Errorf("the root account %q lacks %s", b.settings.username, what)}
	}
	account := quoteName(b.settings.username)
	switch {
	case standby:
		return "", b.standbyError()
	case !createRole:
		return "", lacks("CREATEROLE, without which it can make no login", "ALTER ROLE "+account+" CREATEROLE")
	case !signal:
		return "", lacks("membership in pg_signal_backend, without which it can end no session of a revoked login", "GRANT pg_signal_backend TO "+account)
	}
	return b.systemID(ctx, conn.Conn())
}

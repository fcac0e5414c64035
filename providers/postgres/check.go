package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// Check looks at the server's state, the root account's privileges and the server's identity.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	ctx, cancel := b.bound(ctx, 3)
	defer cancel()
	conn, err := b.acquire(ctx)
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
		return "", &providers.Error{Kind: providers.KindUnavailable, Hint: "Point the connection at the primary.",
			Err: fmt.Errorf("the server at %s is a standby: roles cannot be made there", b.address())}
	case !createRole:
		return "", lacks("CREATEROLE, without which it can make no login", "ALTER ROLE "+account+" CREATEROLE")
	case !signal:
		return "", lacks("membership in pg_signal_backend, without which it can end no session of a revoked login", "GRANT pg_signal_backend TO "+account)
	}
	return b.systemID(ctx, conn.Conn())
}

// systemID is the identifier that the server was given when its data directory was made. Where
// executing pg_control_system is not permitted, the address has to do; then a system that moves
// cannot be recognised.
func (b *backend) systemID(ctx context.Context, conn *pgx.Conn) (providers.SystemID, error) {
	var id string
	err := conn.QueryRow(ctx, `SELECT system_identifier::text FROM pg_control_system()`).Scan(&id)
	switch {
	case err == nil:
		return providers.SystemID("postgresql-" + id), nil
	case hasCode(err, codePrivilege):
		return providers.SystemID("postgresql-at-" + b.address()), nil
	}
	return "", statementError("reading the server's identity", err)
}

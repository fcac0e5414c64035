package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// What the identity of a server begins with: its own, or the address for want of one.
const (
	identityOwn     = "postgresql-"
	identityAddress = "postgresql-at-"
)

// provenKey marks connections whose server has proved itself.
const provenKey = "broker.proven"

// systemID is the identifier that the server was given when its data directory was made. Where
// executing pg_control_system is not permitted, the address has to do; then a system that moves
// cannot be recognised.
func (b *backend) systemID(ctx context.Context, conn *pgx.Conn) (providers.SystemID, error) {
	var id string
	err := conn.QueryRow(ctx, `SELECT system_identifier::text FROM pg_control_system()`).Scan(&id)
	switch {
	case err == nil:
		return providers.SystemID(identityOwn + id), nil
	case hasCode(err, codePrivilege):
		return providers.SystemID(identityAddress + b.address()), nil
	}
	return "", statementError("reading the server's identity", err)
}

// prove refuses a server whose word on which logins exist counts for nothing: a standby, which may be
// behind, and any system but the one that is meant, where they are absent of course. A host name can
// come to mean either. It asks once for each connection, since a server becomes a standby or another
// system only by being started anew. No statement of a call has been sent when it fails.
func (b *backend) prove(ctx context.Context, conn *pgx.Conn) error {
	known := conn.PgConn().CustomData()
	if known[provenKey] != nil {
		return nil
	}
	refuse := func(hint, format string, args ...any) error {
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Hint: hint, Err: fmt.Errorf(format, args...)}
	}
	var standby bool
	var id string
	sql, into := `SELECT pg_is_in_recovery()`, []any{&standby}
	if b.identifiable() {
		sql, into = `SELECT pg_is_in_recovery(), system_identifier::text FROM pg_control_system()`, append(into, &id)
	}
	// In one round trip: nothing is gained from a description of so short an answer.
	err := conn.QueryRow(ctx, sql, pgx.QueryExecModeExec).Scan(into...)
	meant := b.env.Identity
	switch found := providers.SystemID(identityOwn + id); {
	case hasCode(err, codePrivilege):
		return refuse("Run as a superuser: GRANT EXECUTE ON FUNCTION pg_control_system() TO "+quoteName(b.settings.username),
			"the server at %s does not let the root account %q read its identity, so that it cannot be told from another than %s", b.address(), b.settings.username, meant)
	case err != nil:
		return refuse("", "connecting to PostgreSQL at %s: asking the server who it is: %w", b.address(), err)
	case standby:
		return b.standbyError()
	case b.identifiable() && found != meant:
		return refuse("Let the connection's address lead to the system again that its leases were made at. If another has taken its place for good, say that the connection was replaced.",
			"the server at %s is another system than the one that is meant: %s, not %s", b.address(), found, meant)
	}
	known[provenKey] = true
	return nil
}

// identifiable reports whether the system that is meant is known by something it can prove.
func (b *backend) identifiable() bool {
	id := string(b.env.Identity)
	return id != "" && !strings.HasPrefix(id, identityAddress)
}

// standbyError says that the server is no place to change roles, or to learn that they are gone.
func (b *backend) standbyError() *providers.Error {
	return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Hint: "Point the connection at the primary.",
		Err: fmt.Errorf("the server at %s is a standby: roles cannot be changed there", b.address())}
}

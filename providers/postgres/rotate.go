package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// rootStatements is how many statements an exchange of the password takes at most, log-ins included.
const rootStatements = 6

// hintPasswords is what helps where the server does not ask for the account's password.
const hintPasswords = "A line of the server's pg_hba.conf lets the account in by something else than its password (trust, peer, ldap, cert…): have it say scram-sha-256."

// errRefusedPassword is returned when the server refused the password of a log-in.
var errRefusedPassword = errors.New("the password was refused")

// PlanRotation makes a new password. A server that lets the account in with any has none to exchange.
func (b *backend) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	if planned := abandoned.String(fieldPassword); planned != "" {
		return providers.Settings{fieldPassword: planned}, nil
	}
	ctx, cancel := b.bound(ctx, rootStatements)
	defer cancel()
	password, err := providers.NewPassword(rand.Reader, 0)
	if err != nil {
		return nil, providers.Errorf(providers.KindUnavailable, "making a password: %w", err)
	}
	providers.Conceal(ctx, password)
	switch err := b.try(ctx, password); {
	case err == nil:
		return nil, &providers.Error{Kind: providers.KindRejected, Hint: hintPasswords,
			Err: fmt.Errorf("the server at %s lets the root account %q in with any password", b.address(), b.settings.username)}
	case !errors.Is(err, errRefusedPassword):
		return nil, err
	}
	return providers.Settings{fieldPassword: password.Reveal()}, nil
}

// Rotate sets the planned password, in a session that the present one opened. Only its verifier goes over the wire.
func (b *backend) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	ctx, cancel := b.bound(ctx, rootStatements)
	defer cancel()
	planned := providers.NewSecret(plan.String(fieldPassword))
	providers.Conceal(ctx, planned)
	changed := providers.Settings{fieldPassword: planned.Reveal()}
	switch err := b.try(ctx, planned); {
	case err == nil:
		return changed, nil
	case !errors.Is(err, errRefusedPassword):
		return nil, err
	}
	conn, err := b.logIn(ctx, b.settings.password)
	if errors.Is(err, errRefusedPassword) {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true,
			Hint: "Set the account's password by hand, give the exchange up (brokerctl connection rotate NAME --cancel) and update the connection.",
			Err:  fmt.Errorf("the server at %s accepts neither the present nor the planned password of the root account %q", b.address(), b.settings.username)}
	}
	if err != nil {
		return nil, err
	}
	defer closeQuietly(conn)
	verifier, err := scramVerifier(rand.Reader, planned, defaultSCRAMIterations)
	if err != nil {
		return nil, providers.Errorf(providers.KindUnavailable, "%w", err)
	}
	// SESSION_USER, since the account may have a role set.
	literal, err := quoteLiteral(conn, verifier)
	if err != nil {
		return nil, providers.Errorf(providers.KindUnavailable, "%w", err)
	}
	if _, err := conn.Exec(ctx, "ALTER ROLE SESSION_USER PASSWORD "+literal); err != nil {
		return nil, statementError("setting the root account's password", err)
	}
	if err = b.try(ctx, planned); err == nil {
		return changed, nil
	}
	if errors.Is(err, errRefusedPassword) && b.try(ctx, b.settings.password) == nil {
		return nil, &providers.Error{Kind: providers.KindRejected, Hint: hintPasswords,
			Err: fmt.Errorf("the server at %s does not use the password that it keeps of the root account %q", b.address(), b.settings.username)}
	}
	return nil, providers.Errorf(providers.KindUnknown, "trying the new password: %w", err)
}

// Retire ends the sessions that the password before opened, and makes sure that it is refused. Sessions of this
// cluster's leaders from this term on are not among them: the broker waits for those that the earlier Backend had.
func (b *backend) Retire(ctx context.Context, previous providers.Settings) error {
	before := providers.NewSecret(previous.String(fieldPassword))
	if before.Reveal() == "" || before.Reveal() == b.settings.password.Reveal() {
		return nil
	}
	providers.Conceal(ctx, before)
	ctx, cancel := b.bound(ctx, rootStatements)
	defer cancel()
	conn, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	switch err := b.try(ctx, before); {
	case err == nil:
		return &providers.Error{Kind: providers.KindRejected, Hint: hintPasswords,
			Err: fmt.Errorf("the server at %s still accepts the password before of the root account %q", b.address(), b.settings.username)}
	case !errors.Is(err, errRefusedPassword):
		return err
	}
	// Nobody logs in with it any more; who was about to is listed now.
	if err := awaitLogIns(ctx, conn.Conn()); err != nil {
		return err
	}
	return b.endForeignSessions(ctx, conn.Conn())
}

// try logs in with a password and out again.
func (b *backend) try(ctx context.Context, password providers.Secret) error {
	conn, err := b.logIn(ctx, password)
	if err == nil {
		closeQuietly(conn)
	}
	return err
}

// logIn opens a session of the root account at the server that is meant, with a password that need not be the
// connection's. The error is errRefusedPassword, KindRejected, when that was refused.
func (b *backend) logIn(ctx context.Context, password providers.Secret) (*pgx.Conn, error) {
	config, err := b.connConfig(b.settings.database)
	if err != nil {
		return nil, b.connectError(err)
	}
	config.Password = password.Reveal()
	conn, err := pgx.ConnectConfig(ctx, config)
	switch {
	case hasCode(err, codeInvalidPassword):
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("connecting to PostgreSQL at %s: %w", b.address(), errRefusedPassword)}
	case err != nil:
		return nil, b.connectError(err)
	}
	if err := b.prove(ctx, conn); err != nil {
		closeQuietly(conn)
		return nil, err
	}
	return conn, nil
}

// endForeignSessions ends the root account's sessions but for those of this cluster's leaders from this term on.
func (b *backend) endForeignSessions(ctx context.Context, conn *pgx.Conn) error {
	const sql = `
SELECT count(pg_terminate_backend(pid))::int
FROM (
  SELECT pid, CASE WHEN left(application_name, length($1::text)) = $1::text THEN substr(application_name, length($1::text) + 1) ELSE '' END AS term
  FROM pg_stat_activity WHERE usename = session_user AND pid <> pg_backend_pid()
) AS root
WHERE CASE WHEN term ~ '^[0-9]{1,20}$' THEN term::numeric < $2::text::numeric ELSE true END`
	left := 0
	err := poll(ctx, func() (done bool, err error) {
		err = conn.QueryRow(ctx, sql, applicationPrefix(b.env.ClusterID), strconv.FormatUint(b.env.Term, 10)).Scan(&left)
		if err != nil {
			return false, statementError("ending sessions of the root account", err)
		}
		return left == 0, nil
	})
	if err == nil && left > 0 {
		return providers.Errorf(providers.KindUnavailable, "%d sessions that the password before opened do not end", left)
	}
	return err
}

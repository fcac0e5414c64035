package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"broker/providers"
)

// SQLSTATE codes that are told apart.
const (
	codeDivisionByZero    = "22012"
	codeUniqueViolation   = "23505"
	codeReadOnly          = "25006"
	codeInvalidAuth       = "28000"
	codeInvalidPassword   = "28P01"
	codeDependentObjects  = "2BP01"
	codeNoDatabase        = "3D000"
	codeSerialization     = "40001"
	codeDeadlock          = "40P01"
	codePrivilege         = "42501"
	codeUndefinedObject   = "42704"
	codeDuplicateObject   = "42710"
	codeLockNotAvailable  = "55P03"
	codeQueryCanceled     = "57014"
	codeTooManySessions   = "53300"
	codeCatalogConcurrent = "XX000"
)

// connectError classifies a failure to get a connection. Nothing was sent but the log-in.
func (b *backend) connectError(err error) error {
	e := &providers.Error{Kind: providers.KindUnavailable, NotSent: true}
	where := fmt.Sprintf("connecting to PostgreSQL at %s", b.address())
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr):
		e.Err = fmt.Errorf("%s as %q: %s", where, b.settings.username, serverText(pgErr))
		switch pgErr.Code {
		case codeInvalidPassword:
			e.Kind = providers.KindRejected
			e.Err = fmt.Errorf("%s: the password of the root account %q was refused (or there is no such account)", where, b.settings.username)
			e.Hint = "Check the connection's username and password."
		case codeInvalidAuth:
			e.Kind = providers.KindRejected
			e.Hint = "The account may not log in, or pg_hba.conf of the server has no line for this account, database and address."
		case codeNoDatabase:
			e.Kind = providers.KindRejected
			e.Hint = "Check the connection's database."
		case codeTooManySessions:
			e.Hint = "The server has no session left: lower max_connections or raise the server's or the account's limit."
		}
	case errors.Is(err, providers.ErrAddressRefused):
		e.Kind = providers.KindRejected
		e.Err = fmt.Errorf("%s: %w", where, err)
		e.Hint = "The operator's network rules do not let the broker connect there."
	default:
		e.Err = fmt.Errorf("%s: %w", where, err)
		if text := err.Error(); strings.Contains(text, "x509:") || strings.Contains(text, "tls:") || strings.Contains(text, "refused TLS") {
			e.Kind = providers.KindRejected
			e.Hint = "The server's TLS does not satisfy sslmode " + b.settings.sslMode + ": give its authority as sslrootcert, or say another sslmode."
		}
	}
	return e
}

// statementError classifies the failure of a statement that is not COMMIT. When the server reported
// it the transaction is rolled back for certain.
func statementError(doing string, err error) *providers.Error {
	var pgErr *pgconn.PgError
	if errors.Is(err, errNotSent) {
		// Not NotSent: other statements of the same call were sent before.
		return &providers.Error{Kind: providers.KindUnavailable, Err: fmt.Errorf("%s: %w", doing, err)}
	}
	if !errors.As(err, &pgErr) {
		return &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("%s: %w", doing, err)}
	}
	e := &providers.Error{Kind: providers.KindRejected, Err: fmt.Errorf("%s: %w", doing, serverError{pgErr})}
	switch pgErr.Code {
	case codePrivilege:
		e.Hint = "The root account lacks a privilege; the provider's page lists the statements that prepare it."
	case codeUndefinedObject:
		e.Hint = "A role that the secret's options name does not exist at the server."
	case codeDependentObjects:
		e.Hint = "Something still depends on the role that the root account may not remove. Privileges granted by another role can be revoked only by that role, the object's owner or a superuser: have one of them REVOKE what the message lists, then retry."
	case codeReadOnly:
		e.Kind = providers.KindUnavailable
		e.Hint = "The server is read-only: it is a standby, or default_transaction_read_only is on."
	case codeLockNotAvailable, codeQueryCanceled, codeDeadlock, codeSerialization:
		e.Kind, e.Blocked = providers.KindUnavailable, true
	case codeCatalogConcurrent:
		if strings.HasPrefix(pgErr.Message, "tuple concurrently") {
			e.Kind, e.Blocked = providers.KindUnavailable, true
		}
	}
	switch pgErr.Code[:min(2, len(pgErr.Code))] {
	case "08", "53", "57", "58":
		e.Kind = providers.KindUnavailable
	}
	return e
}

// commitError classifies the failure of a COMMIT. Only an error of the statement itself says that it
// did not happen; a session that the server ends meanwhile may have committed.
func commitError(err error) *providers.Error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.SeverityUnlocalized == "ERROR" {
		return statementError("committing", err)
	}
	return &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("committing: %w", err)}
}

// hasCode reports whether the server reported one of the codes.
func hasCode(err error, codes ...string) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	for _, code := range codes {
		if pgErr.Code == code {
			return true
		}
	}
	return false
}

// serverError is what the server reported, in our words.
type serverError struct{ cause *pgconn.PgError }

func (e serverError) Error() string { return serverText(e.cause) }
func (e serverError) Unwrap() error { return e.cause }

// serverText is what the server said. The detail, which names the objects, comes last: it may be so
// long that it is cut.
func serverText(e *pgconn.PgError) string {
	text := e.Message + " (SQLSTATE " + e.Code + ")"
	if e.Detail != "" {
		text += ": " + strings.ReplaceAll(strings.TrimSpace(e.Detail), "\n", "; ")
	}
	return text
}

// failAll answers the same error for every login that has no answer yet.
func failAll(answers map[providers.LoginName]error, names []providers.LoginName, err error) {
	for _, name := range names {
		if _, answered := answers[name]; !answered {
			answers[name] = err
		}
	}
}

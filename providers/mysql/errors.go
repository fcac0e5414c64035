package mysql

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"broker/providers"
)

// Numbers of the server's errors that are told apart.
const (
	errTooManyConnections   = 1040
	errDatabaseAccessDenied = 1044
	errAccessDenied         = 1045
	errNoDatabase           = 1049
	errShutdown             = 1053
	errUnknownColumn        = 1054
	errSyntax               = 1064
	errNoThread             = 1094
	errNotOwner             = 1095 // of a session that is to end
	errHostBlocked          = 1129
	errHostNotAllowed       = 1130
	errTableAccessDenied    = 1142
	errColumnAccessDenied   = 1143
	errIllegalGrant         = 1144
	errNoTable              = 1146
	errUnknownVariable      = 1193
	errUserLimit            = 1203
	errLockWait             = 1205
	errDeadlock             = 1213
	errUserResource         = 1226
	errPrivilegeNeeded      = 1227
	errOptionPrevents       = 1290
	errInterrupted          = 1317
	errRoutineAccessDenied  = 1370
	errCannotUser           = 1396
	errMayNotCreateUser     = 1410
	errMustResetPassword    = 1820
	errPasswordExpired      = 1862
	errNotAdmin             = 1698 // of a role, at MariaDB
	errPasswordPolicy       = 1819
	errReadOnlyMode         = 1836
	errKilled               = 1927
	errUnknownRole          = 1959
	errStatementTimeout     = 1969
	errCannotGrantRole      = 1961
	errAccountLocked        = 3118
	errSecureTransport      = 3159
	errUnknownAccount       = 3162
	errUnknownRoleMySQL     = 3523
	errDefiner              = 4006
	errAccountLockedMariaDB = 4151
)

// privilegeErrors say that the account may not do something.
var privilegeErrors = []uint16{
	errDatabaseAccessDenied, errTableAccessDenied, errColumnAccessDenied, errPrivilegeNeeded, errRoutineAccessDenied, errMayNotCreateUser, errAccessDenied,
	errCannotGrantRole, errNotAdmin,
}

// connectError classifies a failure to get a connection. Nothing was sent but the log-in.
func (b *backend) connectError(username string, err error) *providers.Error {
	where := fmt.Sprintf("connecting to the server at %s as %q", b.settings.address(), username)
	e := &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("%s: %w", where, err)}
	reject := func(hint string) { e.Kind, e.Hint = providers.KindRejected, hint }
	var reported *mysql.MySQLError
	switch {
	case errors.As(err, &reported):
		switch reported.Number {
		case errAccessDenied:
			e.Err = fmt.Errorf("%s: the password was refused, or there is no such account for this host: %w", where, err)
			reject("Check username and password, and the host part of the account at the server: an anonymous account of this host (''@'localhost') comes before 'broker'@'%'. An account that requires TLS is refused in the same words over a connection in clear.")
		case errDatabaseAccessDenied, errNoDatabase:
			reject("The account has nothing in that database, or there is none of that name.")
		case errAccountLocked, errAccountLockedMariaDB:
			reject("The account is locked.")
		case errHostNotAllowed:
			reject("No account of the server may log in from this machine.")
		case errMustResetPassword, errPasswordExpired:
			reject("The account's password has expired: set it anew, with PASSWORD EXPIRE NEVER.")
		case errSecureTransport:
			reject("The server takes connections with TLS only: say tls=verify.")
		case errHostBlocked:
			e.Hint = "The server blocks this machine after many broken connections: FLUSH HOSTS, and look what breaks them."
		case errTooManyConnections, errUserLimit, errUserResource:
			e.Hint = "The server has no connection left: lower max_connections or raise the server's or the account's limit."
		}
	case errors.Is(err, providers.ErrAddressRefused):
		reject("The operator's network rules do not let the broker connect there.")
	case errors.Is(err, mysql.ErrNoTLS) || strings.Contains(err.Error(), "x509:") || strings.Contains(err.Error(), "tls:"):
		reject("The server's TLS does not satisfy the connection's tls fields: give its authority as tls_ca, or tls=off when the server speaks none.")
	case errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrUnknownPlugin), errors.Is(err, mysql.ErrNativePassword):
		reject("Let the account log in by caching_sha2_password, ed25519 or mysql_native_password.")
	}
	return e
}

// statementError classifies the failure of a statement.
func statementError(doing string, err error) *providers.Error {
	var reported *mysql.MySQLError
	if !errors.As(err, &reported) {
		e := &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("%s: %w", doing, err)}
		if errors.Is(err, driver.ErrBadConn) {
			// The driver says so only of what was not sent. Others of the same call were.
			e.Kind = providers.KindUnavailable
		}
		return e
	}
	e := &providers.Error{Kind: providers.KindRejected, Err: fmt.Errorf("%s: %w", doing, err)}
	if slices.Contains(privilegeErrors, reported.Number) {
		e.Hint = "The root account lacks a privilege, or may not grant it (WITH GRANT OPTION, for roles WITH ADMIN OPTION); the provider's page lists the statements that prepare it."
	}
	switch reported.Number {
	case errUnknownRole, errUnknownRoleMySQL, errUnknownAccount:
		e.Hint = "A role that the secret's options name does not exist at the server, or the root account may not grant it."
	case errNoTable, errNoDatabase:
		e.Hint = "What the secret's options name does not exist at the server."
	case errPasswordPolicy:
		e.Hint = "The server demands other passwords: say password_alphabet=symbols or a greater password_length."
	case errDefiner:
		e.Hint = "Views, routines, triggers or events name the account as their DEFINER: drop them or give them another one, or GRANT SET_ANY_DEFINER ON *.* to the root account. The login stays locked meanwhile."
	case errLockWait, errDeadlock, errStatementTimeout:
		e.Kind, e.Blocked = providers.KindUnavailable, true
	case errOptionPrevents, errReadOnlyMode:
		e.Kind, e.Hint = providers.KindUnavailable, "The server is read-only: it is a replica, or it was set so."
	case errShutdown, errInterrupted, errKilled:
		e.Kind = providers.KindUnknown // the statement may have come through
	}
	return e
}

// hasNumber reports whether the server reported one of the errors.
func hasNumber(err error, numbers ...uint16) bool {
	var reported *mysql.MySQLError
	return errors.As(err, &reported) && slices.Contains(numbers, reported.Number)
}

// reported reports whether the server itself said that it refused a statement: the connection serves on.
func reported(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && !hasNumber(err, errShutdown, errInterrupted, errKilled)
}

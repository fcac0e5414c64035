package ldap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// errHandshake is the failure of whatever comes before TLS is spoken.
var errHandshake = errors.New("starting TLS")

// result returns what the directory answered, nil when it did not answer.
func result(err error) *goldap.Error {
	var answered *goldap.Error
	// From 200 on are the library's own codes, for what happened on the way.
	if !errors.As(err, &answered) || answered.ResultCode >= goldap.ErrorNetwork {
		return nil
	}
	return answered
}

// answeredWith reports whether the directory answered with one of the codes.
func answeredWith(err error, codes ...uint16) bool {
	answered := result(err)
	return answered != nil && goldap.IsErrorAnyOf(answered, codes...)
}

// connectError classifies a failure to get a connection. Nothing was sent but the bind of the root account.
func (b *backend) connectError(ctx context.Context, err error) *providers.Error {
	e := &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("connecting to the directory at %s: %w", b.settings.address(), err)}
	if ctx.Err() != nil {
		e.Err = fmt.Errorf("connecting to the directory at %s: %w", b.settings.address(), ctx.Err())
		return e
	}
	text := err.Error()
	switch {
	case errors.Is(err, providers.ErrAddressRefused):
		e.Kind, e.Hint = providers.KindRejected, "The operator's network rules do not let the broker connect there."
	case answeredWith(err, goldap.LDAPResultInvalidCredentials, goldap.LDAPResultInappropriateAuthentication):
		e.Kind = providers.KindRejected
		e.Err = fmt.Errorf("connecting to the directory at %s: the password of the root account %q was refused (or there is no such account)", b.settings.address(), b.settings.bindDN)
		e.Hint = "Check the connection's bind_dn and bind_password."
	case answeredWith(err, goldap.LDAPResultConfidentialityRequired, goldap.LDAPResultStrongAuthRequired):
		e.Kind, e.Hint = providers.KindRejected, "The directory takes binds over TLS only: leave tls at verify, with starttls where it does not speak ldaps."
	case answeredWith(err, goldap.LDAPResultBusy, goldap.LDAPResultUnavailable):
	case strings.Contains(text, "x509:") || strings.Contains(text, "tls:"):
		e.Kind, e.Hint = providers.KindRejected, "The directory's TLS does not satisfy the connection: give its authority as tls_ca, its name as tls_server_name, or starttls where the port does not speak TLS from the start."
	case errors.Is(err, errHandshake) && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		e.Hint = "The port does not speak TLS from the start: give the one that does (636), or starttls=true, or tls=off when the directory speaks none."
	case errors.Is(err, errHandshake) && answeredWith(err, goldap.LDAPResultProtocolError):
		e.Kind, e.Hint = providers.KindRejected, "The directory does not offer StartTLS: leave starttls out where a port speaks TLS from the start (636), or tls=off when the directory speaks none."
	case result(err) != nil:
		e.Kind = providers.KindRejected
	}
	return e
}

// operationError classifies the failure of one operation.
func (b *backend) operationError(ctx context.Context, doing string, err error) *providers.Error {
	if answered := result(err); answered != nil {
		return b.resultError(doing, answered)
	}
	if ctx.Err() != nil {
		err = ctx.Err() // the connection was closed because of it
	}
	return &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("%s: %w", doing, err)}
}

func (b *backend) resultError(doing string, answered *goldap.Error) *providers.Error {
	e := &providers.Error{Kind: providers.KindRejected, Err: fmt.Errorf("%s: %w", doing, answered)}
	switch answered.ResultCode {
	case goldap.LDAPResultEntryAlreadyExists:
		e.Kind = providers.KindExists
	case goldap.LDAPResultOperationsError, goldap.LDAPResultOther, goldap.LDAPResultTimeLimitExceeded:
		e.Kind = providers.KindUnknown // it may have stopped half way
	case goldap.LDAPResultBusy, goldap.LDAPResultUnavailable, goldap.LDAPResultAdminLimitExceeded:
		e.Kind = providers.KindUnavailable
	case goldap.LDAPResultReferral:
		return b.readOnlyError(doing)
	case goldap.LDAPResultUnwillingToPerform:
		// A replica without a referral, or a database that is closed to changes for now.
		if text := strings.ToLower(answered.Error()); strings.Contains(text, "shadow") || strings.Contains(text, "read-only") || strings.Contains(text, "restrict") {
			return b.readOnlyError(doing)
		}
	case goldap.LDAPResultUnavailableCriticalExtension:
		e.Kind = providers.KindUnsupported
	case goldap.LDAPResultInsufficientAccessRights:
		e.Hint = fmt.Sprintf("The root account %q lacks a right; the provider's page has the access rules that it needs.", b.settings.bindDN)
	case goldap.LDAPResultNoSuchObject:
		e.Hint = fmt.Sprintf("The entry does not exist, or the root account %q may not see it.", b.settings.bindDN)
	case goldap.LDAPResultNotAllowedOnNonLeaf:
		e.Hint = "Something was made below the login's entry: have it removed, then retry. The login has no password any more."
	case goldap.LDAPResultObjectClassViolation:
		e.Hint = "The directory's schema refuses the entry as it would be. A group that must have a member keeps its last one: give such groups a permanent member."
	case goldap.LDAPResultUndefinedAttributeType, goldap.LDAPResultInvalidAttributeSyntax:
		e.Hint = "The directory's schema lacks an attribute or object class that the entry names."
	case goldap.LDAPResultSizeLimitExceeded:
		e.Hint = fmt.Sprintf("Give the root account no limit of size: olcLimits: dn.exact=%q size=unlimited", b.settings.bindDN)
	}
	return e
}

// readOnlyError says that the server is no place to change entries, or to learn that they are gone.
func (b *backend) readOnlyError(doing string) *providers.Error {
	return &providers.Error{Kind: providers.KindUnavailable, Hint: "Point the connection at a server that takes changes.",
		Err: fmt.Errorf("%s: the directory at %s takes no changes", doing, b.settings.address())}
}

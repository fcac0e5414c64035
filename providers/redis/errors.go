package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"broker/providers"
)

// tlsError is a handshake that failed.
type tlsError struct{ error }

func (e tlsError) Error() string { return "securing the connection: " + e.error.Error() }
func (e tlsError) Unwrap() error { return e.error }

// isReply reports whether the server answered with an error that begins with one of the words.
func isReply(err error, words ...string) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	first, _, _ := strings.Cut(reply.Error(), " ")
	for _, word := range words {
		if first == word {
			return true
		}
	}
	return false
}

// connectError classifies a failure to connect. Nothing was sent.
func (b *backend) connectError(err error) error {
	e := &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("connecting to Redis at %s: %w", b.settings.address(), err)}
	var insecure tlsError
	switch {
	case errors.Is(err, providers.ErrAddressRefused):
		e.Kind = providers.KindRejected
		e.Hint = "The operator's network rules do not let the broker connect there."
	case errors.As(err, &insecure) && !errors.Is(err, context.Canceled):
		if text := err.Error(); strings.Contains(text, "x509:") || strings.Contains(text, "tls:") {
			e.Kind = providers.KindRejected
		}
		e.Hint = "The server's TLS does not satisfy the connection: give its authority as tls_ca, or tls=off when the server speaks none at this port."
	}
	return e
}

// logInError classifies a log-in that failed. Nothing else was sent.
func (b *backend) logInError(ctx context.Context, username string, err error) error {
	where := fmt.Sprintf("connecting to Redis at %s", b.settings.address())
	e := &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("%s: logging in as %q: %w", where, username, err)}
	switch {
	case ctx.Err() != nil:
		e.Err = fmt.Errorf("%s: %w", where, ctx.Err())
	case isReply(err, "WRONGPASS", "NOAUTH", "NOPERM") || isReply(err, "ERR") && strings.Contains(err.Error(), "AUTH"):
		e.Kind = providers.KindRejected
		e.Err = fmt.Errorf("%s: the password of user %q was refused, or there is no such user, or it is off", where, username)
		e.Hint = "Check the connection's username and password. After a restart of the server the user is gone unless it was saved."
	case isReply(err, "ERR") && strings.Contains(err.Error(), "max number of clients"):
		e.Hint = "The server has no connection left: raise maxclients, or lower max_connections."
	}
	return e
}

// replyError classifies what a command failed with, after a session was had.
func replyError(doing string, err error) *providers.Error {
	var known *providers.Error
	if errors.As(err, &known) {
		return &providers.Error{Kind: known.Kind, Hint: known.Hint, Err: fmt.Errorf("%s: %w", doing, known)}
	}
	e := &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("%s: %w", doing, err)}
	var reply redis.Error
	switch {
	case errors.Is(err, errLost):
		e.Kind = providers.KindUnavailable
		return e
	case !errors.As(err, &reply):
		return e
	}
	e.Kind = providers.KindRejected
	switch first, _, _ := strings.Cut(reply.Error(), " "); first {
	case "NOPERM":
		e.Hint = "The root account lacks a permission; the provider's page has the command that makes it."
	case "READONLY":
		e.Kind = providers.KindUnavailable
		e.Hint = "The server is a replica. Point the connection at the server where the logins are to be."
	case "LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN":
		e.Kind = providers.KindUnavailable
	case "MISCONF":
		e.Kind = providers.KindUnavailable
		e.Hint = "The server cannot write to its disk and refuses writes until it can."
	case "OOM":
		e.Kind = providers.KindUnavailable
		e.Hint = "The server's memory is full (maxmemory) and it refuses writes, that of the guard of a create too."
	case "NOREPLICAS":
		e.Kind = providers.KindUnavailable
		e.Hint = "The server refuses writes until enough replicas follow it (min-replicas-to-write)."
	case "MOVED", "CROSSSLOT":
		e.Kind = providers.KindUnsupported
	case "NOAUTH":
		e.Kind = providers.KindUnavailable
		e.Hint = "The root account was removed, or changed at the server, while it was in use."
	}
	return e
}

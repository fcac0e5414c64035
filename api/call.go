package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/api/vault"
	"broker/broker"
	"broker/fsm"
)

// call is what is known of one request besides its body. The chain fills it in from left to right.
type call struct {
	id        string // names the request in answers and logs
	identity  Identity
	knownAt   uint64     // index of the state that told who asks
	node      string     // the node that took the request
	address   string     // the client's
	client    netip.Addr // the same as an address; zero: not known
	userAgent string
	open      bool // what it asks for is for everybody: no token is looked at, and no record kept
	forwarded bool // it came from another node, which told node and address
	method    string
	path      string
	query     string       // as it was sent
	isVault   bool         // it is in the words of Vault
	nature    vault.Nature // of such a one; else unknown
	keyValue  string       // the Idempotency-Key header of a POST
	body      []byte
	header    http.Header // of the answer

	token string // that was shown

	identifyAgain func() (Identity, error) // by the state as it is now; nil: nobody was identified

	dryRun   bool
	askedTTL time.Duration   // of the lease that is asked for
	decision access.Decision // of the gate
	refused  ask             // what the gate refused
	lease    fsm.LeaseID     // that the request made
	recorded bool            // in the audit log, before it was served or passed on

	route     string // pattern of the path; empty: not known yet
	status    int    // of the answer, once it is made
	answered  int    // what a request was answered with that was passed on
	code      string // of the problem that was answered, for the log
	notLeader bool   // the broker refused because this node leads no more; nothing was done
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	found, _ := ctx.Value(callKey{}).(*call)
	return found
}

// instance is the URI that names the request in problems.
func (c *call) instance() string { return types.InstanceOf(c.id) }

// request returns what the broker wants to know of every change.
func (c *call) request(dryRun bool) broker.Request {
	out := broker.Request{
		Actor: fsm.Actor{
			Account:   c.identity.Account,
			Token:     c.identity.Token,
			Node:      c.node,
			Address:   c.address,
			UserAgent: c.userAgent,
		},
		DryRun: dryRun,
	}
	if c.keyValue != "" && !dryRun {
		out.Key = c.keyed(c.keyValue)
	}
	return out
}

// keyed binds an idempotency key to the request.
func (c *call) keyed(value string) *broker.Key {
	hash := sha256.Sum256(c.body)
	return &broker.Key{Value: value, Route: c.method + " " + c.path, Body: hash[:]}
}

// isSignIn reports whether the request brings the proof of who makes it: it has no token yet.
func (c *call) isSignIn() bool {
	path, ok := strings.CutPrefix(c.path, apiPrefix)
	return ok && c.method == http.MethodPost && (path == clientSignInPath || path == passwordSignInPath || path == unwrapPath) ||
		c.nature == vault.SignIn
}

// changes reports whether the request is to change something.
func (c *call) changes() bool {
	switch c.nature {
	case vault.Change, vault.Again, vault.SignIn:
		return true
	}
	return !c.isVault && isWrite(c.method)
}

// repeatable reports whether the request may be carried out twice.
func (c *call) repeatable() bool {
	return c.keyValue != "" || !c.changes() || c.nature == vault.Again
}

// setVersion tells the version of the object that is answered.
func (c *call) setVersion(version uint64) {
	c.header.Set("ETag", strconv.Quote(strconv.FormatUint(version, 10)))
}

// ifVersion reads an If-Match header: a quoted version, or * for any.
func ifVersion(header string) (uint64, error) {
	if header == "" || header == "*" {
		return 0, nil
	}
	text := strings.Trim(header, `"`)
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil || version == 0 {
		return 0, invalid("If-Match", `must be a version as in an ETag, e.g. "42", or *`)
	}
	return version, nil
}

// maxKeyLength is the longest idempotency key.
const maxKeyLength = 255

var errKey = errors.New("must be 1 to 255 printable ASCII characters")

// checkKey refuses idempotency keys that could not be stored or logged as they are.
func checkKey(value string) error {
	if len(value) > maxKeyLength {
		return errKey
	}
	for _, r := range value {
		if r <= ' ' || r > '~' {
			return errKey
		}
	}
	return nil
}

// tokenIn returns the token of the request, from where its protocol has it.
func (c *call) tokenIn(header http.Header) (string, bool) {
	if c.isVault {
		token := vault.TokenOf(header)
		return token, token != ""
	}
	return bearer(header)
}

// bearer returns the token of a request, from the one place where tokens belong.
func bearer(header http.Header) (string, bool) {
	scheme, token, ok := strings.Cut(header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// Headers that one node tells another on a forwarded request. Those of anybody else are dropped.
const (
	headerForwardedFor  = "Broker-Forwarded-For"
	headerForwardedNode = "Broker-Forwarded-Node"

	// headerForwardedRoute is in the answer: the leader knows which route it was.
	headerForwardedRoute = "Broker-Forwarded-Route"
)

// unstamped are the headers of a leader's answer that the node in front of it sets itself, or keeps.
func unstamped(name string) bool {
	return name == http.CanonicalHeaderKey(types.HeaderRequestID) || name == headerForwardedRoute
}

package client

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"broker/api/types"
)

// Option changes one call.
type Option func(*call)

// WithIdempotencyKey gives a POST this key instead of a random one, so that it may be repeated by
// another call, also after a restart of the program.
func WithIdempotencyKey(key string) Option {
	return func(c *call) { c.header.Set(types.HeaderIdempotencyKey, key) }
}

// DryRun has the broker validate a change and answer with what it would make, and change nothing.
func DryRun() Option { return func(c *call) { c.query.Set("dry_run", "true") } }

// IfVersion has the broker refuse a change (code version_mismatch) when the object has another
// version. Zero: whatever the version.
func IfVersion(version uint64) Option {
	return func(c *call) {
		if version != 0 {
			c.header.Set("If-Match", strconv.Quote(strconv.FormatUint(version, 10)))
		}
	}
}

// WithConsistency asks for another consistency than the client's for one read.
func WithConsistency(consistency types.Consistency) Option {
	return func(c *call) { c.consistency = consistency }
}

// MaxStale bounds how old a stale answer may be.
func MaxStale(age time.Duration) Option {
	return func(c *call) { c.query.Set("max_stale", age.String()) }
}

// MinIndex asks for a state at least as new as an index from elsewhere, and for a session read.
func MinIndex(index uint64) Option {
	return func(c *call) {
		c.consistency = types.Session
		c.header.Set(types.HeaderMinIndex, strconv.FormatUint(index, 10))
	}
}

// ListOptions select a page of a list.
type ListOptions struct {
	Limit  int    // zero: the broker's default
	Cursor string // from the page before; empty: the first page
}

func (o ListOptions) values() url.Values {
	values := url.Values{}
	if o.Limit > 0 {
		values.Set("limit", strconv.Itoa(o.Limit))
	}
	setIf(values, "cursor", o.Cursor)
	return values
}

func setIf(values url.Values, name, value string) {
	if value != "" {
		values.Set(name, value)
	}
}

// call is one call on its way through [Client.do].
type call struct {
	method      string
	path        string
	query       url.Values
	header      http.Header
	body        any // nil: none
	answer      any // pointer to decode a success into; nil: ignored
	consistency types.Consistency
	content     *[]byte // takes a success as it is, which every node has of its own; nil: answer does
}

func (c *call) isRead() bool { return c.method == http.MethodGet }

// isDated reports whether the call says how new the state must be.
func (c *call) isDated() bool { return c.isRead() && c.content == nil }

// repeatable reports whether the call may be made again when nobody knows whether it took effect.
func (c *call) repeatable() bool { return c.isRead() || c.method == http.MethodPost }

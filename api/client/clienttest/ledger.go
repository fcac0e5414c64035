package clienttest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"broker/api/types"
)

// Ledger is a broker of leases, as far as a Keeper sees it: a transport for a client. Its zero value is ready for use. Fields
// are changed in Set once it is used.
type Ledger struct {
	Skew   time.Duration // by how much its clock is ahead
	Max    time.Duration // longest life; zero: 10 minutes
	Fixed  bool          // leases are not renewed
	Away   bool          // it answers nothing
	Lose   int           // answers to issue that are lost, though the lease is made
	Refuse string        // the code with which leases are refused; empty: they are not
	Leases []*types.Lease

	mu   sync.Mutex
	keys map[string]*types.Lease
}

func (l *Ledger) now() time.Time { return time.Now().Add(l.Skew) }

// Live returns the leases that are alive now.
func (l *Ledger) Live() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for _, one := range l.Leases {
		if one.State == "active" && l.now().Before(one.ExpiresAt) {
			ids = append(ids, one.ID)
		}
	}
	return ids
}

// Set has the ledger be changed while nothing is asked of it.
func (l *Ledger) Set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// RoundTrip answers a request.
func (l *Ledger) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(20 * time.Millisecond) // the network
	l.mu.Lock()
	away := l.Away
	l.mu.Unlock()
	if away {
		return nil, io.ErrUnexpectedEOF
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	parts := strings.Split(r.URL.Path, "/")
	switch last := parts[len(parts)-1]; {
	case r.Method == http.MethodGet:
		return l.get(last)
	case last == "leases":
		return l.issue(strings.Join(slices.Delete(parts[len(parts)-5:len(parts)-1:len(parts)], 2, 3), "/"), r)
	default:
		return l.change(parts[len(parts)-2], last, r)
	}
}

func (l *Ledger) issue(secret string, r *http.Request) (*http.Response, error) {
	var spec types.IssueSpec
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		return nil, err
	}
	ttl := time.Hour
	if spec.TTL != nil {
		ttl = spec.TTL.Std()
	}
	if l.Refuse != "" {
		return Problem(http.StatusForbidden, l.Refuse, nil)
	}
	most := cmp.Or(l.Max, 10*time.Minute)
	if ttl > most {
		return Problem(422, "lease_ttl_exceeds_max", map[string]any{"renewable_ttl": fmt.Sprint(int(most.Seconds()))})
	}
	key := r.Header.Get(types.HeaderIdempotencyKey)
	lease, replayed := l.keys[key]
	if !replayed {
		longest := most
		if l.Fixed {
			longest = ttl
		}
		lease = &types.Lease{
			ID: fmt.Sprintf("L%d", len(l.Leases)+1), Secret: secret, State: "active", CreatedAt: l.now(), ExpiresAt: l.now().Add(ttl),
			MaxExpiresAt: l.now().Add(longest), Renewable: longest > ttl, Replaces: spec.Replaces,
		}
		l.Leases = append(l.Leases, lease)
		if l.keys == nil {
			l.keys = map[string]*types.Lease{}
		}
		l.keys[key] = lease
	}
	if l.Lose > 0 {
		l.Lose--
		return nil, io.ErrUnexpectedEOF
	}
	return Answer(201, types.Issued{Lease: *lease, Values: types.Values{{Key: "USER", Value: "u" + lease.ID}}, Replayed: replayed})
}

func (l *Ledger) get(id string) (*http.Response, error) {
	at := slices.IndexFunc(l.Leases, func(one *types.Lease) bool { return one.ID == id })
	if at < 0 {
		return Problem(404, "not_found", nil)
	}
	return Answer(200, l.Leases[at])
}

func (l *Ledger) change(id, verb string, r *http.Request) (*http.Response, error) {
	at := slices.IndexFunc(l.Leases, func(one *types.Lease) bool { return one.ID == id })
	if at < 0 {
		return Problem(404, "not_found", nil)
	}
	lease := l.Leases[at]
	if verb == "revoke" {
		lease.State = "revoked"
		return Answer(200, lease)
	}
	if lease.State != "active" || !l.now().Before(lease.ExpiresAt) {
		return Problem(409, "lease_not_active", nil)
	}
	var spec types.RenewSpec
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		return nil, err
	}
	until, err := time.Parse(time.RFC3339Nano, spec.Until)
	if err != nil {
		return nil, err
	}
	if until.After(lease.MaxExpiresAt) {
		return Problem(422, "lease_ttl_exceeds_max", nil)
	}
	if until.After(lease.ExpiresAt) {
		now := l.now()
		lease.ExpiresAt, lease.RenewedAt = until, &now
	}
	lease.Renewable = lease.ExpiresAt.Before(lease.MaxExpiresAt)
	return Answer(200, lease)
}

// Problem is an answer that refuses.
func Problem(status int, code string, extra map[string]any) (*http.Response, error) {
	response, err := Answer(status, &types.Problem{Status: status, Code: code, Detail: code, Extra: extra})
	response.Header.Set("Content-Type", types.ProblemContentType)
	return response, err
}

// Answer is an answer with a body.
func Answer(status int, body any) (*http.Response, error) {
	content, err := json.Marshal(body)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(content))}, err
}

package client

import (
	"context"
	"sync"
	"time"

	"broker/api/types"
)

// KeepConfig says what lease to keep.
type KeepConfig struct {
	// Secret is the full name of the secret, app/env/name.
	Secret string

	// Spec says what to ask for. Its TTL is what a lease has left after each renewal, so how long a credential
	// outlives a program that is killed, and three times the outage of the broker that is survived for certain; it
	// is shortened to what the secret and the rules of access allow. Nil: the secret's default_ttl.
	Spec types.IssueSpec

	// Overlap is how long a lease that was replaced lives on, for what is still being done with it. It ends with
	// its longest life in any case. Zero: a minute.
	Overlap time.Duration

	// Wait is how long Keep goes on asking for the first lease while the broker is away. Zero: as long as one call
	// may take.
	Wait time.Duration

	// Single has the lease not be replaced: it is renewed to the end of its longest life. KeepEnding tells, in
	// place of KeepReplaced, when that end comes near.
	Single bool

	// Resume are leases to go on with instead of a first one, as Kept of another Keeper told them, also
	// in another process. Keep asks the broker nothing then: the lease is looked at and renewed from the Keeper's own
	// goroutine. Its values are not known any more; those of the lease that replaces it are. When all of them have
	// an instant to be revoked at, a first lease is issued as usual. They must be of the same Secret and account;
	// when Keep fails they stay as they are.
	Resume []Kept

	// Leave has the end of the context leave everything alive that is held, for the Resume of another Keeper; what
	// nobody goes on with ends by itself. Close revokes, also after that.
	Leave bool

	// InUse reports whether a lease that was replaced is still in use: it is then kept alive for as long as it may
	// live, and its overlap begins when it is let go. Calls come from the Keeper's own goroutine. Nil: the overlap begins
	// when there is another lease.
	InUse func(lease string) bool

	// Notify is told of what happens after the first lease. Calls come one at a time, from the Keeper's own
	// goroutine, which renews nothing meanwhile: it must return soon, and must not call Close. Nil: nobody is told.
	Notify func(KeepEvent)
}

// KeepKind says what happened to a kept lease.
type KeepKind string

const (
	// KeepRenewed: the lease's end was moved.
	KeepRenewed KeepKind = "renewed"

	// KeepReplaced: there is another lease with other values. The one before, if it still lives, ends an
	// overlap later.
	KeepReplaced KeepKind = "replaced"

	// KeepDelayed: a call failed with Err and will be made again. The lease is as good as before.
	KeepDelayed KeepKind = "delayed"

	// KeepLost: the lease ended, as Err says, before there was another. The Keeper goes on asking for one unless it
	// keeps a single lease.
	KeepLost KeepKind = "lost"

	// KeepEnding: the single lease cannot be renewed for much longer.
	KeepEnding KeepKind = "ending"
)

// KeepEvent tells what happened to a kept lease.
type KeepEvent struct {
	Kind     KeepKind
	Lease    types.Lease // the current one
	Previous types.Lease // with KeepReplaced: the one before
	Err      error       // with KeepDelayed and KeepLost: why
}

// A Keeper holds a lease of a secret and sees to it that there always is one: it renews the lease when two thirds of
// its time are over, replaces it before its longest life ends, new one first, and gets another one when it was
// revoked. It never gives up before it is closed. Its methods are safe for concurrent use.
type Keeper struct {
	client *Client
	config KeepConfig

	cancel  context.CancelFunc
	done    chan struct{}
	replace chan struct{} // see Replace
	ended   sync.Once     // what was held is revoked

	mu      sync.Mutex
	current types.Issued
	over    bool // current is lost
	kept    []Kept
	failure error // of revoking at the end

	// What follows belongs to the Keeper's goroutine.
	held    *held    // the current lease
	retired []*held  // those before that live on
	wanted  *request // for the next lease; nil: none is wanted now
	failed  int      // attempts in a row that failed
	nextTry time.Time
	lost    bool // the current lease is over
	ending  bool // of a single lease it was told
	unseen  bool // the current lease was resumed and not looked at yet
}

// Keep gets a lease, or goes on with one, and returns the Keeper that holds it from then on. The lease, and those before it that still
// live, are revoked when the Keeper is closed or the context ends, whichever is first, unless the configuration says Leave.
func (c *Client) Keep(ctx context.Context, config KeepConfig) (*Keeper, error) {
	if _, _, err := SplitSecret(config.Secret); err != nil {
		return nil, err
	}
	if config.Overlap <= 0 {
		config.Overlap = time.Minute
	}
	ctx, cancel := context.WithCancel(ctx)
	k := &Keeper{client: c, config: config, cancel: cancel, done: make(chan struct{}), replace: make(chan struct{}, 1)}
	if current := k.resume(); current != nil {
		k.hold(current)
		k.unseen = true
	} else {
		first, err := k.begin(ctx)
		if err != nil {
			cancel()
			return nil, err
		}
		k.hold(first)
	}
	go k.keep(ctx)
	return k, nil
}

// begin gets the first lease.
func (k *Keeper) begin(ctx context.Context) (*held, error) {
	giveUp := time.Now().Add(k.config.Wait)
	spec := k.config.Spec
	if n := len(k.retired); n > 0 {
		spec.Replaces = k.retired[n-1].issued.Lease.ID
	}
	k.wanted = newRequest(spec)
	for round := 0; ; round++ {
		got, err := k.issue(ctx, k.client.config.Timeout)
		if err == nil || !Unavailable(err) || ctx.Err() != nil {
			return got, err
		}
		pause := min(k.client.pause(round), time.Until(giveUp))
		if pause <= 0 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// Current returns the lease that is held now with its values. After KeepLost they are those of the lost one; a lease
// that was resumed has none.
func (k *Keeper) Current() types.Issued {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// Lost reports whether the current lease is over and there is no other one yet.
func (k *Keeper) Lost() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.over
}

// Replace has another lease be got soon for its values, when those of the current one are not known because it was
// resumed; the current one is kept alive until there is. Else it changes nothing.
func (k *Keeper) Replace() {
	select {
	case k.replace <- struct{}{}:
	default: // it was said
	}
}

// Value returns the value of one key of the lease that is held now, empty when it has no such key.
func (k *Keeper) Value(key string) string {
	value, _ := k.Current().Values.Get(key)
	return value
}

// Done is closed when the Keeper holds nothing any more: it was closed or its context ended.
func (k *Keeper) Done() <-chan struct{} { return k.done }

// Close revokes what is held and returns when that is done, or could not be done in a few seconds: the leases that its
// error names end by themselves then. Closing again returns the same.
func (k *Keeper) Close() error {
	k.cancel()
	<-k.done
	k.ended.Do(k.revokeAll)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failure
}

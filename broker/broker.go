package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"go.opentelemetry.io/otel/trace"

	"broker/fsm"
	"broker/providers"
)

// Log is where commands go. Package cluster provides it.
type Log interface {
	// Propose appends a command and returns what the local state machine answered (a *fsm.Result)
	// with the entry's index. An error that has a method NotCommitted() bool answering true means
	// that the command certainly is not and will not be in the log; any other, that this is unknown.
	Propose(ctx context.Context, command []byte) (response any, index uint64, err error)
}

// Keyring seals what the state machine holds. Package seal provides it.
type Keyring interface {
	Seal(plain []byte, record string) ([]byte, error)
	Open(sealed []byte, record string) ([]byte, error)
	SealFor(secret string, plain []byte, record string) ([]byte, error)
	OpenFor(secret string, sealed []byte, record string) ([]byte, error)
}

// Config says what a Broker works with. State, Log, Providers and Keyring are required.
type Config struct {
	State     *fsm.State
	Log       Log
	Providers *providers.Registry
	Keyring   Keyring
	Dialer    providers.Dialer
	Sealing   Sealing // nil: the sealing key cannot be exchanged
	Clocks    Clocks  // nil: this node's clock is all there is
	NodeID    string
	Logger    *slog.Logger     // nil: none
	Now       func() time.Time // nil: time.Now
	Random    io.Reader        // nil: the system's
	Prefix    string           // of login names; empty: providers.DefaultPrefix
	Timing    Timing
	Observer  Observer     // nil: nobody
	Tracer    trace.Tracer // nil: nothing is traced
	Audit     CallRecorder // keeps which calls were made; nil: nobody does

	Rules Rules // nil: no roles are given and no policies changed
}

// Timing holds the lengths of time the broker works with; zero means the default in parentheses.
type Timing struct {
	Create     time.Duration // how long making a login may take (10 s)
	Call       time.Duration // hard limit of every other call of an outside system (30 s)
	Queue      time.Duration // how long a request waits for its turn to make a login (5 s)
	Company    time.Duration // how long a command of an issue waits for others at the most (10 ms); negative: never
	RevokeWait time.Duration // how long a revoke request waits for the login to be gone (5 s)
	Tick       time.Duration // resolution of expiry (100 ms)
	Window     time.Duration // how far ahead the wheel holds leases (10 m)
	RetryMin   time.Duration // first pause after a failed revocation (500 ms)
	RetryMax   time.Duration // longest pause (1 m)
	StuckAfter int           // failed attempts after which a lease is flagged stuck (5)
	ReplyTTL   time.Duration // how long an answer is kept for a repeated request (5 m)
	KeyTTL     time.Duration // how long an idempotency key is remembered (24 h)
	HistoryTTL time.Duration // how long ended leases and their events are kept (30 days)
	Clock      time.Duration // pause between two looks at the clocks (15 s)
	Prune      time.Duration // pause between prunings (1 m)
	Sweep      time.Duration // about how often outside systems are compared with the ledger (10 m)
	Quarantine time.Duration // how far apart two sweeps must see an orphan before it is removed (5 m)
}

// Broker issues, renews, revokes and expires leases. It does so while it leads (see Lead); at other
// times its methods return ErrNotLeader. It is safe for concurrent use.
type Broker struct {
	Config
	log    *slog.Logger
	period atomic.Pointer[period] // the present leadership period; nil: this node does not lead

	ids *ulid.LockedMonotonicReader // two ids of one millisecond are in order too

	gate sync.RWMutex // held by enter, so that no work begins while a period ends

	documents documents
}

// New returns a Broker that does not lead yet.
func New(c Config) (*Broker, error) {
	if c.State == nil || c.Log == nil || c.Providers == nil || c.Keyring == nil {
		return nil, errors.New("a broker needs a state, a log, providers and a keyring")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Prefix == "" {
		c.Prefix = providers.DefaultPrefix
	}
	c.Timing.fill()
	ids := &ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(c.Random, 0)}
	return &Broker{Config: c, log: c.Logger.With("component", "broker"), ids: ids}, nil
}

func (t *Timing) fill() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Create, 10 * time.Second}, {&t.Call, 30 * time.Second}, {&t.RevokeWait, 5 * time.Second}, {&t.Queue, 5 * time.Second}, {&t.Company, 10 * time.Millisecond},
		{&t.Tick, 100 * time.Millisecond}, {&t.Window, 10 * time.Minute},
		{&t.RetryMin, 500 * time.Millisecond}, {&t.RetryMax, time.Minute},
		{&t.ReplyTTL, 5 * time.Minute}, {&t.KeyTTL, 24 * time.Hour},
		{&t.HistoryTTL, 30 * 24 * time.Hour}, {&t.Clock, 15 * time.Second}, {&t.Prune, time.Minute},
		{&t.Sweep, 10 * time.Minute}, {&t.Quarantine, 5 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if t.StuckAfter == 0 {
		t.StuckAfter = 5
	}
}

// Leading reports whether this node leads and serves changes.
func (b *Broker) Leading() bool { return b.period.Load() != nil }

// enter begins a piece of work in the present leadership period. The period does not end before
// leave is called. The returned context is done when the period is over, and not when the caller's
// is: what was begun for a client that hangs up is finished, since half of it is worse. Every step
// has a deadline of its own; only waiting minds the client.
func (b *Broker) enter(ctx context.Context) (*period, context.Context, func(), error) {
	b.gate.RLock()
	defer b.gate.RUnlock()
	p := b.period.Load()
	if p == nil {
		return nil, nil, nil, ErrNotLeader
	}
	p.work.Add(1)
	p.requests.Add(1)
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(p.ctx, cancel)
	return p, work, func() { stop(); cancel(); p.requests.Add(-1); p.work.Done() }, nil
}

// waiting returns a context for waiting on behalf of a client: done when the client's is or the
// period is over.
func (p *period) waiting(client context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(client)
	stop := context.AfterFunc(p.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// peek reads a record or two from the local state, which on a leader holds everything it has acknowledged.
func (b *Broker) peek(read func(*fsm.View)) error {
	if err := b.State.Peek(read); err != nil {
		return fmt.Errorf("reading the state: %w", err)
	}
	return nil
}

// recall returns what read makes of the configuration; it is read anew only when that has changed. read
// returns false for what is not to be kept, and the zero value then counts for nothing.
func recall[T any](b *Broker, key any, read func(*fsm.View) (T, bool)) (value T, found bool, err error) {
	kept, err := b.State.Remember(key, func(v *fsm.View) any {
		if value, ok := read(v); ok {
			return value
		}
		return nil
	})
	if err != nil {
		return value, false, fmt.Errorf("reading the state: %w", err)
	}
	value, found = kept.(T)
	return value, found, nil
}

// view reads lists from the local state.
func (b *Broker) view(read func(*fsm.View)) error {
	err := b.State.View(func(v *fsm.View) error {
		read(v)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the state: %w", err)
	}
	return nil
}

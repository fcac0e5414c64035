package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"broker/access"
	"broker/access/audit/chain"
)

// Config says where records go. Path, Node and Hasher are required.
type Config struct {
	Path    string        // of the file; its directory is made
	Node    string        // whose log it is
	Version string        // of the program
	Hasher  access.Hasher // hashes what must not be read

	MaxSize int64         // a file that has reached this is put aside. Zero: 100 MiB
	MaxAge  time.Duration // likewise, since its first record. Zero: 24 h
	Keep    int           // how many files that were put aside stay. Zero: 30

	Syslog *Syslog // nil: none

	Timeout    time.Duration // how long a request waits for its record. Zero: 2 s
	MaxBacklog int           // how many records may wait. Zero: 10 000
	MaxBytes   int           // how many bytes of them. Zero: 16 MiB
	Flush      time.Duration // pause between two flushes to the disk. Zero: 1 s

	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now

	// Open opens the log's file; tests have it fail. Nil: the system's.
	Open func(path string) (File, error)
}

// File is what the log writes to; *os.File is one.
type File interface {
	Write([]byte) (int, error)
	Sync() error
	Truncate(int64) error
	Stat() (os.FileInfo, error)
	Close() error
}

func (c *Config) fill() error {
	if c.Path == "" || c.Node == "" || c.Hasher == nil {
		return errors.New("an audit log needs a path, a node and a hasher")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.MaxAge, 24 * time.Hour}, {&c.Timeout, 2 * time.Second}, {&c.Flush, time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, n := range []struct {
		field *int
		value int
	}{{&c.Keep, 30}, {&c.MaxBacklog, 10_000}, {&c.MaxBytes, 16 << 20}} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	if c.MaxSize <= 0 {
		c.MaxSize = 100 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Open == nil {
		c.Open = func(path string) (File, error) {
			return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
		}
	}
	return nil
}

// Log is the audit log of one node. It is an [access.Recorder] and [access.AuditLog], and safe for concurrent use.
type Log struct {
	config  Config
	log     *slog.Logger
	queue   *queue
	entries sync.Pool
	syslog  *syslog // nil: none

	reopen  atomic.Bool
	stop    chan struct{}
	writing sync.WaitGroup
	closed  sync.Once
	reading chan struct{} // has room for the queries that run

	file    *file                      // the writer's
	syncing atomic.Pointer[unsynced]   // what is written and may not be on the disk yet
	synced  atomic.Pointer[chain.Head] // the newest record that certainly is on the disk

	requests, outcomes, calls, others atomic.Uint64 // written
	failures, refused, gone           atomic.Uint64
	trouble                           atomic.Pointer[string] // why nothing is written; nil: all is well
}

var (
	_ access.Recorder = (*Log)(nil)
	_ access.AuditLog = (*Log)(nil)
)

// New returns a log that has begun to write. That its file cannot be opened is no error, since a node has other work
// than requests: it is logged and tried again, and requests are refused meanwhile.
func New(c Config) (*Log, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	l := &Log{
		config: c, log: c.Logger.With("component", "audit"), stop: make(chan struct{}), reading: make(chan struct{}, maxReads),
		queue: &queue{maxRecords: c.MaxBacklog, maxBytes: c.MaxBytes, wake: make(chan struct{}, 1)},
	}
	l.entries.New = func() any { return &entry{done: make(chan error, 1)} }
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		l.log.Error("making the directory of the audit log", "error", err)
	}
	if c.Syslog != nil {
		var err error
		if l.syslog, err = newSyslog(*c.Syslog, l.log); err != nil {
			return nil, fmt.Errorf("audit_syslog: %w", err)
		}
		l.syslog.room = l.queue.poke
		go l.syslog.run()
	}
	l.file = &file{log: l}
	l.announce(chain.TypeStart)
	l.writing.Go(l.write)
	return l, nil
}

// partingTime is how long a log that is closed waits for syslog.
const partingTime = 3 * time.Second

// Close writes what waits, says that the log ends, and closes it. What comes later is not recorded: nothing that could
// make calls must run any more.
func (l *Log) Close(ctx context.Context) error {
	l.closed.Do(func() {
		l.announce(chain.TypeStop)
		l.queue.close()
		close(l.stop)
	})
	done := make(chan struct{})
	go func() {
		l.writing.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("closing the audit log: %w", ctx.Err())
	}
	if l.syslog != nil {
		ctx, cancel := context.WithTimeout(ctx, partingTime)
		defer cancel()
		if err := l.syslog.finish(ctx); err != nil {
			return fmt.Errorf("closing the audit log: %w", err)
		}
	}
	if waiting, lost := l.queue.size(); uint64(waiting)+lost > 0 {
		return fmt.Errorf("closing the audit log: %d records could not be written", uint64(waiting)+lost)
	}
	return nil
}

// Reopen has the file opened anew, for whoever moved it away.
func (l *Log) Reopen() {
	l.reopen.Store(true)
	l.queue.poke()
}

// Request implements [access.Recorder].
func (l *Log) Request(ctx context.Context, r access.RequestRecord) error {
	var key []byte
	if r.IdempotencyKey != "" {
		var err error
		if key, err = l.config.Hasher.Hash(hashPurpose, r.IdempotencyKey); err != nil {
			l.refused.Add(1)
			return fmt.Errorf("%w: %w", access.ErrNotRecorded, err)
		}
	}
	e, enc := l.begin(chain.TypeRequest)
	began := len(enc.buf)
	enc.request(&r, key)
	if len(enc.buf) > maxBody {
		enc.buf = enc.buf[:began]
		r.Because, r.On, r.UserAgent = nil, access.Resource{}, ""
		enc.request(&r, key)
		enc.yes("shortened", true)
	}
	enc.end()
	e.body = enc.buf
	if !l.queue.add(e, l.config.Now()) {
		l.entries.Put(e)
		return l.refuse("too much waits to be written")
	}
	timer := time.NewTimer(l.config.Timeout)
	defer timer.Stop()
	var why string
	select {
	case err := <-e.done:
		l.entries.Put(e)
		return err
	case <-timer.C:
		why = "it was not written in time"
	case <-ctx.Done():
		why = ctx.Err().Error()
	}
	// Whoever writes it at this moment answers into the channel, which nobody reads, or fails and does not try again.
	e.state.Store(givenUp)
	if errors.Is(ctx.Err(), context.Canceled) && l.trouble.Load() == nil {
		return fmt.Errorf("waiting for the audit log: %w", ctx.Err()) // that it was not written in time nobody can say
	}
	return l.refuse(why)
}

func (l *Log) refuse(why string) error {
	l.refused.Add(1)
	if trouble := l.trouble.Load(); trouble != nil {
		why = *trouble
	}
	return fmt.Errorf("%w: %s", access.ErrNotRecorded, why)
}

// Outcome implements [access.Recorder].
func (l *Log) Outcome(_ context.Context, r access.OutcomeRecord) {
	e, enc := l.begin(chain.TypeOutcome)
	enc.outcome(&r)
	l.leave(e, enc)
}

// Call implements [access.Recorder].
func (l *Log) Call(_ context.Context, r access.CallRecord) {
	e, enc := l.begin(chain.TypeCall)
	began := len(enc.buf)
	enc.call(&r)
	if len(enc.buf) > maxBody {
		enc.buf = enc.buf[:began]
		r.Logins = max(r.Logins, len(r.Usernames))
		r.Usernames = nil
		enc.call(&r)
		enc.yes("shortened", true)
	}
	l.leave(e, enc)
}

// maxBody leaves room in a line for its place in the chain.
const maxBody = chain.MaxLine - 1024

func (l *Log) begin(kind chain.Type) (*entry, *encoder) {
	e := l.entries.Get().(*entry)
	e.kind = kind
	e.state.Store(waiting)
	enc := &encoder{buf: e.body[:0]}
	enc.begin(kind, l.config.Node, l.config.Now())
	return e, enc
}

// leave has a record be written whenever that is possible.
func (l *Log) leave(e *entry, enc *encoder) {
	enc.end()
	e.body = enc.buf
	if !l.queue.add(e, l.config.Now()) {
		l.gone.Add(1)
		l.entries.Put(e)
	}
}

// announce records that the log begins or ends.
func (l *Log) announce(kind chain.Type) {
	e, enc := l.begin(kind)
	enc.text("version", l.config.Version)
	if kind == chain.TypeStart {
		enc.number("pid", int64(os.Getpid()))
		enc.text("file", l.config.Path)
		if l.config.Syslog != nil {
			enc.text("syslog", l.config.Syslog.Address)
		}
	}
	l.leave(e, enc)
}

// Head returns the newest record that is certainly on the disk. False: none yet.
func (l *Log) Head() (chain.Head, bool) {
	if h := l.synced.Load(); h != nil {
		return *h, true
	}
	return chain.Head{}, false
}

// Figures are what a log tells of itself.
type Figures struct {
	Requests, Outcomes, Calls, Others uint64 // records that were written
	Refused                           uint64 // requests that were refused because they could not be recorded
	Failures                          uint64 // failed attempts to open, write or flush the file
	Lost                              uint64 // outcomes and calls that were lost, and are counted in gap records
	Backlog                           int    // records that wait

	SyslogBacklog int    // records that wait for syslog
	SyslogLost    uint64 // records that syslog does not have, and the file has
}

// Figures returns what the log tells of itself.
func (l *Log) Figures() Figures {
	f := Figures{
		Requests: l.requests.Load(), Outcomes: l.outcomes.Load(), Calls: l.calls.Load(), Others: l.others.Load(),
		Refused: l.refused.Load(), Failures: l.failures.Load(), Lost: l.gone.Load(),
	}
	f.Backlog, _ = l.queue.size()
	if l.syslog != nil {
		f.SyslogBacklog, f.SyslogLost = l.syslog.figures()
	}
	return f
}

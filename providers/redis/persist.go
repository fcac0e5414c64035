package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"broker/providers"
)

const saving = "saving the server's users"

// saves lets calls share the server's saving of its users, which stands still meanwhile: whoever comes while one is
// under way waits for the next, which all who wait then share.
type saves struct {
	save  func(context.Context) error
	going sync.WaitGroup

	mu      sync.Mutex
	running bool
	closed  bool
	waiting []chan error
}

// close waits for the save that is under way; there is none after it.
func (q *saves) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.going.Wait()
}

// do returns once a save has succeeded that began after the call, or failed. A call given up ends no save.
func (q *saves) do(ctx context.Context) error {
	done := make(chan error, 1)
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return providers.Errorf(providers.KindUnknown, "saving the server's users: the backend is closed")
	}
	q.waiting = append(q.waiting, done)
	if !q.running {
		q.running = true
		q.going.Go(q.run)
	}
	q.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("waiting until the server has saved its users: %w", ctx.Err())}
	}
}

func (q *saves) run() {
	for {
		q.mu.Lock()
		served := q.waiting
		q.waiting = nil
		if len(served) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		err := q.save(context.Background())
		for _, done := range served {
			done <- err
		}
	}
}

// saved returns once everything that was done before is saved at the server.
func (b *backend) saved(ctx context.Context) error {
	if b.settings.persist == persistNone {
		return nil
	}
	return b.saves.do(ctx)
}

// save has the server save its users. A session that could not be had says nothing about what was done before, so the
// error is never NotSent.
func (b *backend) save(ctx context.Context) error {
	ctx, cancel := b.bound(ctx, 1)
	defer cancel()
	s, release, err := b.acquireBy(ctx, b.savingTurn)
	if err != nil {
		return replyError(saving, err)
	}
	defer release()
	return b.saveWith(ctx, s)
}

// saveWith has the server save its users now.
func (b *backend) saveWith(ctx context.Context, s *session) error {
	if b.settings.persist == persistNone {
		return nil
	}
	command, hint := []any{"ACL", "SAVE"}, "Give the server an aclfile that it can write, or say how its users outlive a restart in the connection's persist."
	if b.settings.persist == persistConfig {
		command, hint = []any{"CONFIG", "REWRITE"}, "Start the server with a configuration file that it can write, or say how its users outlive a restart in the connection's persist."
	}
	if err := s.Do(ctx, command...).Err(); err != nil {
		e := replyError(saving, err)
		if isReply(err, "ERR") {
			e.Hint = hint
		}
		return e
	}
	return nil
}

// persistProblem says why users would not outlive a restart as the connection says they do.
func (b *backend) persistProblem(ctx context.Context, s *session, a about) error {
	if b.settings.persist == persistNone {
		return nil
	}
	const doing = "asking the server where it saves its users"
	found, err := s.ConfigGet(ctx, "aclfile").Result()
	if err != nil {
		return replyError(doing, err)
	}
	reject := func(hint, text string) error {
		return &providers.Error{Kind: providers.KindRejected, Hint: hint, Err: errors.New(text)}
	}
	switch file := found["aclfile"]; {
	case b.settings.persist == persistFile && file == "":
		return reject("Start the server with an aclfile, or give the connection persist=config or persist=none.",
			"the server has no aclfile: users would not outlive its restart")
	case b.settings.persist == persistConfig && file != "":
		return reject("Give the connection persist=aclfile.",
			"the server saves its users in an aclfile and not in its configuration")
	case b.settings.persist == persistConfig && a.config == "":
		return reject("Start the server with a configuration file, or give the connection persist=none.",
			"the server was started without a configuration file: users would not outlive its restart")
	}
	return nil
}

// instant reads the answer of TIME.
func instant(answer []any) (time.Time, error) {
	if len(answer) != 2 {
		return time.Time{}, errors.New("the server does not tell the time")
	}
	var seconds, micros int64
	if _, err := fmt.Sscan(fmt.Sprint(answer[0], " ", answer[1]), &seconds, &micros); err != nil {
		return time.Time{}, errors.New("the server does not tell the time")
	}
	return time.Unix(seconds, micros*1000), nil
}

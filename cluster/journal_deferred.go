package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// takeBack forgets entries that could not be written. The caller holds writing.
func (j *journal) takeBack(entries []*raft.Log) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := entries[0].Index
	for n := len(j.young); j.queued > 0 && j.young[n-1].Index >= first; n-- {
		j.young = j.young[: n-1 : n-1]
		j.queued--
	}
	if j.queued == 0 {
		// Nothing is left that would be tried again: without this a node whose disk has recovered meanwhile
		// would refuse the first entry of its own leadership, and so lead never more.
		j.wrote = nil
	}
}

// wake has the flusher look.
func (j *journal) wake() {
	select {
	case j.deferred <- struct{}{}:
	default: // it will look anyway
	}
}

// flushDeferred writes what was deferred until the journal is closed.
func (j *journal) flushDeferred() {
	for {
		select {
		case <-j.deferred:
		case <-j.closing:
			return
		}
		if j.drain() == nil {
			continue
		}
		select {
		case <-time.After(writeAgain):
			j.wake()
		case <-j.closing:
			return
		}
	}
}

// drain writes everything that is queued.
func (j *journal) drain() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.drainLocked()
}

// drainLocked is drain for who holds writing.
func (j *journal) drainLocked() error {
	j.mu.RLock()
	queue := j.young[len(j.young)-j.queued:]
	j.mu.RUnlock()
	if len(queue) == 0 {
		return nil
	}
	end := j.watch(true)
	err := j.change()
	if err == nil {
		err = j.append(queue)
	}
	end(err)
	if err != nil {
		err = fmt.Errorf("writing the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wrote = err
	if err == nil {
		j.queued -= len(queue)
		j.durable = queue[len(queue)-1].Index
	}
	close(j.news)
	j.news = make(chan struct{})
	return err
}

// waitDurable returns once the entry of that index is on this node's disk, or with an error when that
// cannot be had in time.
func (j *journal) waitDurable(index uint64, most time.Duration) error {
	var late <-chan time.Time
	for {
		j.mu.RLock()
		durable, news, err := j.durable, j.news, j.wrote
		j.mu.RUnlock()
		switch {
		case durable >= index:
			return nil
		case err != nil:
			return err
		case late == nil:
			timer := time.NewTimer(most)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-news:
		case <-late:
			return errors.New("writing the journal takes too long")
		}
	}
}

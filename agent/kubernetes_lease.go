package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Times of the Lease by which replicas agree who works. They are judged by each one's own clock alone: a Lease that has
// not changed for as long as it lasts is nobody's.
const (
	leaseLasts  = 15 * time.Second
	leaseRenew  = 4 * time.Second
	leaseGiveUp = 10 * time.Second // without a renewal the holder stops before another one may begin
	leaseLook   = 2 * time.Second
)

const stateAnnotation = "brokerctl-agent/state"

// errTaken is returned when another replica has the Lease.
var errTaken = errors.New("another replica has taken the Lease")

// coordination is a Lease of Kubernetes.
type coordination struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Metadata   metadata  `json:"metadata"`
	Spec       leaseSpec `json:"spec"`
}

type leaseSpec struct {
	Holder      string `json:"holderIdentity,omitempty"`
	Seconds     int    `json:"leaseDurationSeconds,omitempty"`
	AcquireTime string `json:"acquireTime,omitempty"`
	RenewTime   string `json:"renewTime,omitempty"`
	Transitions int    `json:"leaseTransitions,omitempty"`
}

// leaseStore is a store for replicas of one cluster of Kubernetes: a Lease says who works, and keeps the state.
type leaseStore struct {
	api    *kubernetes
	name   ObjectName
	holder string // unique to this process
	log    *slog.Logger

	mu      sync.Mutex
	object  coordination
	heldAt  time.Time // when the newest renewal that succeeded was sent
	gone    chan struct{}
	end     context.CancelFunc
	renewer sync.WaitGroup
}

func (l *leaseStore) path() string {
	return l.api.path("/apis/coordination.k8s.io/v1", "leases", l.name)
}

func (l *leaseStore) take(ctx context.Context, watch func(state)) (state, error) {
	var seen string
	var since time.Time
	var last error
	for {
		found, err := l.look(ctx)
		if err == nil {
			if found.Metadata.ResourceVersion != seen || since.IsZero() {
				seen, since = found.Metadata.ResourceVersion, time.Now()
			}
			s, unreadable := stateOf(found)
			if unreadable != nil {
				return s, unreadable
			}
			// It may be this one's already: the answer that said so was lost.
			if holder := found.Spec.Holder; holder == "" || holder == l.holder || time.Since(since) > leaseLasts {
				if err = l.acquire(ctx, found); err == nil {
					return s, nil
				}
			} else {
				watch(s)
			}
		}
		switch {
		case answered(err, http.StatusUnauthorized), answered(err, http.StatusForbidden), answered(err, http.StatusUnprocessableEntity):
			return state{}, err // it will not be another time
		case answered(err, http.StatusConflict):
			err = nil // another one was faster
		case err != nil && ctx.Err() == nil && (last == nil || last.Error() != err.Error()):
			l.log.Warn("the Lease cannot be taken; it is tried again", "error", err)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-time.After(leaseLook):
		case <-ctx.Done():
			if last != nil {
				return state{}, fmt.Errorf("%w; last: %w", ctx.Err(), last)
			}
			return state{}, ctx.Err()
		}
	}
}

// look returns the Lease as it is; a new one when there is none.
func (l *leaseStore) look(ctx context.Context) (coordination, error) {
	var found coordination
	err := l.api.call(ctx, http.MethodGet, l.path(), nil, &found)
	if answered(err, http.StatusNotFound) {
		return coordination{
			APIVersion: "coordination.k8s.io/v1", Kind: "Lease",
			Metadata: metadata{Name: l.name.Name, Namespace: l.api.space(l.name)},
		}, nil
	}
	if err != nil {
		return found, fmt.Errorf("reading the Lease %s: %w", l.name, err)
	}
	return found, nil
}

func stateOf(c coordination) (s state, err error) {
	text := c.Metadata.Annotations[stateAnnotation]
	if text == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("reading the annotation %s of the Lease: %w", stateAnnotation, err)
	}
	return s, nil
}

// acquire makes the Lease this replica's, unless it changed since it was looked at.
func (l *leaseStore) acquire(ctx context.Context, found coordination) error {
	found.Spec.Holder, found.Spec.AcquireTime = l.holder, microTime()
	found.Spec.Transitions++
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.put(ctx, found); err != nil {
		return err
	}
	l.gone = make(chan struct{})
	ctx, l.end = context.WithCancel(context.WithoutCancel(ctx))
	l.renewer.Go(func() { l.renew(ctx) })
	return nil
}

// put writes the Lease, with mu held. Its version makes sure that nobody else has meanwhile.
func (l *leaseStore) put(ctx context.Context, c coordination) error {
	sent := time.Now()
	c.Spec.Seconds, c.Spec.RenewTime = int(leaseLasts.Seconds()), microTime()
	method, path := http.MethodPut, l.path()
	if c.Metadata.ResourceVersion == "" {
		method, path = http.MethodPost, l.api.path("/apis/coordination.k8s.io/v1", "leases", ObjectName{Namespace: l.name.Namespace})
	}
	var now coordination
	if err := l.api.call(ctx, method, path, c, &now); err != nil {
		return fmt.Errorf("writing the Lease %s: %w", l.name, err)
	}
	l.object, l.heldAt = now, sent
	return nil
}

// update writes the Lease with a change. After a conflict it looks whether the Lease is still this replica's.
func (l *leaseStore) update(ctx context.Context, change func(*coordination)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.heldAt) > leaseGiveUp {
		return errTaken
	}
	ctx, cancel := context.WithDeadline(ctx, l.heldAt.Add(leaseGiveUp))
	defer cancel()
	for {
		next := l.object
		change(&next)
		err := l.put(ctx, next)
		if !answered(err, http.StatusConflict) {
			return err
		}
		found, failed := l.look(ctx)
		if failed != nil {
			return failed
		}
		if found.Spec.Holder != l.holder {
			l.heldAt = time.Time{}
			return errTaken
		}
		l.object = found // an earlier call whose answer was lost, or somebody's annotation
	}
}

func (l *leaseStore) save(ctx context.Context, s state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding the state: %w", err)
	}
	return l.update(ctx, func(c *coordination) {
		c.Metadata.Annotations = merged(c.Metadata.Annotations, map[string]string{stateAnnotation: string(text)})
	})
}

// renew keeps the Lease until it is given away or lost.
func (l *leaseStore) renew(ctx context.Context) {
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := l.update(ctx, func(*coordination) {})
		l.mu.Lock()
		late := time.Since(l.heldAt) > leaseGiveUp-leaseRenew // the next try would come too late
		l.mu.Unlock()
		if ctx.Err() == nil && (errors.Is(err, errTaken) || err != nil && late) {
			close(l.gone)
			return
		}
	}
}

func (l *leaseStore) lost() <-chan struct{} { return l.gone }

func (l *leaseStore) give() {
	if l.end == nil {
		return
	}
	l.end()
	l.renewer.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// Without an answer the next one waits until it has lasted its time.
	_ = l.update(ctx, func(c *coordination) { c.Spec.Holder = "" })
}

func microTime() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00") }

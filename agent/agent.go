package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"broker/api/client"
	"broker/sdnotify"
)

// Options say how an agent runs.
type Options struct {
	Config *Config

	// Load reads the configuration again, for each of Hangups. What it refuses changes nothing.
	Load    func() (*Config, error)
	Hangups <-chan os.Signal

	// SignIn returns a client, and what ends its stay at the broker. It must not need the broker itself.
	SignIn func(context.Context, Broker) (*client.Client, func(), error)

	// Once has Run end as soon as everything that is required is written, with the leases alive, or fail when that
	// has not come to pass in Wait.
	Once bool
	Wait time.Duration

	Log     *slog.Logger
	Manager *sdnotify.Notifier // nil: nobody is told
}

// agent is what lives through all configurations.
type agent struct {
	Options
	metrics *metrics
	told    bool // the service manager knows that it is ready
	secrets atomic.Int64

	before *Config // the configuration before, for as long as the one in use has not begun to work
}

// reloaded ends a session for one with another configuration.
type reloaded struct{ config *Config }

// Error says so.
func (reloaded) Error() string { return "there is another configuration" }

// errTooLate is returned when not everything was written in time.
var errTooLate = errors.New("not everything was written in time")

// Run writes what the configuration says and keeps it good until ctx ends. Leases stay alive then, unless the
// configuration says revoke_at_exit. While another agent works on the same state it waits.
func Run(ctx context.Context, o Options) error {
	a := &agent{Options: o, metrics: newMetrics()}
	if o.Once {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Wait, errTooLate)
		defer cancel()
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watched, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	defer unwatch()
	watching.Go(func() { o.Manager.Watch(watched, a.describe) })
	for {
		err := a.period(ctx)
		var next reloaded
		switch {
		case errors.As(err, &next):
			a.Manager.Tell("RELOADING=1")
			a.told = false
			a.before, a.Config = a.Config, next.config
			a.Log.Info("the configuration was read again")
		case errors.Is(err, errTaken):
			a.Log.Warn("another agent works now; waiting")
		case err != nil && a.before != nil && ctx.Err() == nil:
			a.before, a.Config = nil, a.before
			a.Log.Error("the configuration does not work; going on with the one before", "error", err)
		default:
			o.Manager.Tell("STOPPING=1")
			return err
		}
	}
}

// period is one time of working, or waiting for it, with one configuration.
func (a *agent) period(ctx context.Context) error {
	stop, err := a.metrics.serve(ctx, a.Config.Metrics, a.Log)
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	var hearing sync.WaitGroup
	defer hearing.Wait()
	defer cancel(nil)
	hearing.Go(func() { a.hearHangups(ctx, cancel) })

	keep, api, err := a.store()
	if err != nil {
		return err
	}
	waiting := false
	known, err := keep.take(ctx, func(others state) {
		if !waiting {
			waiting = true
			a.Log.Info("another agent works on the same state; waiting")
		}
		a.ready(others.Ready)
	})
	if err != nil {
		if waiting {
			err = fmt.Errorf("another agent works on the same state, and it did not end: %w", err)
		}
		return a.outcome(ctx, err)
	}
	defer keep.give()
	c, signOut, err := a.SignIn(ctx, a.Config.Broker)
	if err != nil {
		return err
	}
	defer signOut()
	a.metrics.setActive(true)
	defer a.metrics.setActive(false)
	a.before = nil
	a.secrets.Store(int64(len(a.Config.Secrets)))
	s := newSession(a, c, keep, known, api)
	return a.outcome(ctx, s.work(ctx))
}

// outcome says why a period ended.
func (a *agent) outcome(ctx context.Context, err error) error {
	var next reloaded
	if cause := context.Cause(ctx); errors.As(cause, &next) {
		if err != nil && !errors.Is(err, ctx.Err()) {
			a.Log.Error("the configuration before did not end in order", "error", err)
		}
		return cause
	}
	if a.Once && ctx.Err() != nil && err == nil {
		return context.Cause(ctx)
	}
	if !a.Once && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // it was told to end
	}
	return err
}

// hearHangups reads the configuration again when it is told to.
func (a *agent) hearHangups(ctx context.Context, end context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.Hangups:
		}
		next, err := a.Load()
		if err == nil {
			end(reloaded{next})
			return
		}
		a.Log.Error("the configuration stays as it was", "error", err)
	}
}

// store returns where the state is kept, and what calls Kubernetes if anything does.
func (a *agent) store() (store, *kubernetes, error) {
	var api *kubernetes
	needed := a.Config.StateLease != nil
	for _, one := range a.Config.Secrets {
		needed = needed || one.Kubernetes != nil
	}
	if needed {
		var err error
		if api, err = a.Config.Kubernetes.connect(); err != nil {
			return nil, nil, err
		}
	}
	if a.Config.StateLease == nil {
		return &directory{path: a.Config.State}, api, nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "agent"
	}
	return &leaseStore{api: api, name: *a.Config.StateLease, holder: host + "_" + rand.Text()[:10], log: a.Log}, api, nil
}

// ready tells whoever asks whether everything is written.
func (a *agent) ready(ready bool) {
	a.metrics.setReady(ready)
	if ready && !a.told {
		a.told = true
		a.Manager.Tell("READY=1", sdnotify.Status(a.describe()))
	}
}

func (a *agent) describe() string {
	switch {
	case !a.metrics.active.Load():
		return "another agent works; waiting"
	case a.metrics.ready.Load():
		return fmt.Sprintf("leases of %d secrets are kept", a.secrets.Load())
	}
	return "not everything is written yet"
}

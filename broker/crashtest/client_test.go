package crashtest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"broker/broker"
	"broker/fsm"
)

// client is somebody who asks the cluster for things, one after the other, and repeats what had no
// answer with the same key.
type client struct {
	w       *world
	name    string
	account fsm.AccountName
	last    *incarnation // that answered last
	key     string       // of its present issue
	lease   fsm.LeaseID  // that it was given
	twin    atomic.Bool  // there is one that asks the same at the same time, or it is one
}

// patience is how long a client repeats a request: longer than faults last.
const patience = 3 * time.Minute

// enter starts a client.
func (w *world) enter(name string, script func(*client)) *client {
	c := &client{w: w, name: name, account: accountName}
	w.clients.Add(1)
	go func() {
		script(c)
		w.clients.Add(-1)
		w.poke()
	}()
	return c
}

// request is one question to the leader.
type request struct {
	what string
	do   func(ctx context.Context, b *broker.Broker) (*broker.Issued, error)
}

// ask repeats a request until it has a definite answer, and returns it.
func (c *client) ask(r request) (*broker.Issued, error) {
	begun := time.Now()
	for {
		p := &point{kind: ask, what: r.what, client: c}
		if !c.w.park(p) {
			return nil, errUnknown
		}
		if p.target != nil {
			issued, err := c.once(r, p.target, p.asked)
			if c.definite(err) {
				return issued, err
			}
		}
		if time.Since(begun) > patience {
			c.w.check.fail("END", "%s never gets an answer to its %s", c.name, r.what)
			return nil, errUnknown
		}
		<-time.After(500 * time.Millisecond)
	}
}

func (c *client) once(r request, inc *incarnation, asked uint64) (*broker.Issued, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	issued, err := r.do(ctx, inc.broker)
	p := &point{kind: reply, what: r.what, client: c, inc: inc, issued: issued, failure: err, asked: asked}
	if !c.w.park(p) || p.lost {
		return nil, errUnknown
	}
	return issued, err
}

// target chooses the node that a client asks: the one that answered last as long as that takes itself
// for the leader, else the one that is.
func (w *world) target(c *client) *incarnation {
	serves := func(inc *incarnation) bool {
		return inc != nil && inc.broker != nil && !inc.dead.Load() && !inc.paused() && inc.broker.Leading()
	}
	if serves(c.last) && w.leader != nil {
		last := c.last
		c.last = nil // a repeated request goes to the true one
		return last
	}
	if w.leader != nil && serves(w.leader.inc) {
		return w.leader.inc
	}
	return nil
}

// definite reports whether a request need not be repeated. Users wait for what administrators will mend.
func (c *client) definite(err error) bool {
	var r *fsm.Refusal
	if errors.As(err, &r) {
		if c.account == operatorName {
			return true
		}
		switch r.Code {
		case broker.CodeProviderRejected, fsm.CodeSecretDisabled, fsm.CodeSecretChanged, fsm.CodeLeaseChanged, fsm.CodeLocked, fsm.CodeConnectionPaused:
			return false
		case fsm.CodeAccountDisabled, fsm.CodeBeingDeleted:
			return c.w.noAccount.Load()
		case fsm.CodeNotFound:
			return r.Field == "" // no secret, no connection
		}
		return true
	}
	var i *broker.InvalidError
	return err == nil || errors.As(err, &i)
}

// request is one with a key, or without when it is empty.
func (c *client) request(key, route string) broker.Request {
	r := broker.Request{Actor: fsm.Actor{Account: c.account, Node: c.name}}
	if key != "" {
		r.Key = &broker.Key{Value: key, Route: route, Body: []byte("body")}
	}
	return r
}

// issue asks for a lease with the key.
func (c *client) issue(key string, ttl time.Duration) {
	c.key = key
	issued, err := c.ask(request{"issue", func(ctx context.Context, b *broker.Broker) (*broker.Issued, error) {
		issued, err := b.Issue(ctx, c.request(key, "POST /leases"), broker.IssueSpec{Secret: secretName, TTL: ttl})
		return &issued, err
	}})
	if err == nil {
		c.lease = issued.Lease.ID
	}
}

// renew asks for more time.
func (c *client) renew(key string, spec broker.RenewSpec) {
	if spec.Lease = c.lease; c.lease == "" {
		return
	}
	_, _ = c.ask(request{"renew", func(ctx context.Context, b *broker.Broker) (*broker.Issued, error) {
		l, err := b.Renew(ctx, c.request(key, fmt.Sprintf("POST /leases/%s/renew", c.lease)), spec)
		return &broker.Issued{Lease: l}, err
	}})
}

// revoke asks for the end of a lease.
func (c *client) revoke(id fsm.LeaseID) {
	if id == "" {
		return
	}
	_, _ = c.ask(request{"revoke", func(ctx context.Context, b *broker.Broker) (*broker.Issued, error) {
		l, err := b.Revoke(ctx, c.request("", ""), broker.RevokeSpec{Lease: id})
		return &broker.Issued{Lease: l}, err
	}})
}

func wait(d time.Duration) { <-time.After(d) }

// askAgain has what a client is about to ask asked by another too, at the same time: an issue with the
// same key, anything else of its own accord.
func (w *world) askAgain(p *point) {
	c := p.client
	if c.twin.Swap(true) {
		return
	}
	key, id := c.key, c.lease
	w.enter(c.name+"'", func(twin *client) {
		twin.lease = id
		twin.twin.Store(true)
		switch {
		case p.what == "issue" && key != "":
			twin.issue(key, defaultTTL)
		case p.what == "renew":
			twin.renew("", broker.RenewSpec{TTL: 4 * time.Second})
		case p.what == "revoke":
			twin.revoke(id)
		}
		c.twin.Store(false)
	})
}

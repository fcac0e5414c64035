package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// heldLeases are those that the command of run lives on, in the order of the secrets.
type heldLeases []*client.Keeper

// takeLeases issues a lease of each secret. When one cannot be had it returns those that were.
func (a *app) takeLeases(ctx context.Context, c *client.Client, run runSpec, tell func(string, client.KeepEvent)) (heldLeases, error) {
	giveUp := time.Now().Add(run.wait)
	specs := make([]types.IssueSpec, len(run.secrets))
	keys := map[string]string{} // whose they are
	for i, secret := range run.secrets {
		var err error
		if specs[i], err = a.lookAhead(ctx, c, giveUp, secret, run.spec, keys); err != nil {
			return nil, err
		}
	}
	var held heldLeases
	clear(keys)
	for i, secret := range run.secrets {
		keeper, err := c.Keep(ctx, client.KeepConfig{
			Secret: secret, Spec: specs[i], Overlap: run.overlap, Single: run.atMax == "exit",
			Wait: max(time.Until(giveUp), time.Second), Notify: func(e client.KeepEvent) { tell(secret, e) },
		})
		if err != nil {
			return held, err
		}
		held = append(held, keeper)
		// The secret may have been changed since it was looked at, or may not be looked at.
		if err := addKeys(keys, secret, keeper.Current().Values.Keys()); err != nil {
			return held, err
		}
	}
	return held, nil
}

// lookAhead finds out, before there is any lease, whether one may be had, and what cannot be said in one go with the
// others' keys. It returns what to ask for.
func (a *app) lookAhead(ctx context.Context, c *client.Client, giveUp time.Time, secret string, spec types.IssueSpec, keys map[string]string) (types.IssueSpec, error) {
	err := patiently(ctx, giveUp, func() error {
		found, err := c.GetSecret(ctx, secret)
		var problem *types.Problem
		if errors.As(err, &problem) && problem.Status == http.StatusForbidden {
			return nil // whoever may lease a secret need not be able to read what it is; its keys are seen later
		}
		if err != nil {
			return err
		}
		var names []string
		for _, one := range found.Outputs {
			names = append(names, one.Key)
		}
		return addKeys(keys, secret, names)
	})
	if err != nil {
		return spec, err
	}
	if spec.TTL != nil {
		_, err := tryOut(ctx, c, giveUp, secret, spec)
		return spec, err
	}
	usual, err := tryOut(ctx, c, giveUp, secret, spec)
	if err != nil {
		return spec, err
	}
	short := spec
	ttl := types.Duration(runTTL)
	short.TTL = &ttl
	if usual.ExpiresAt.Before(usual.MaxExpiresAt) {
		return short, nil
	}
	// Either all the time that its secret allows is the usual, or the end of what it leases is fixed as it is made.
	if lease, err := tryOut(ctx, c, giveUp, secret, short); err == nil && lease.ExpiresAt.Before(lease.MaxExpiresAt) {
		return short, nil
	}
	return spec, nil
}

// tryOut returns the lease that would be issued. A TTL that is too long is no error: leases are shortened.
func tryOut(ctx context.Context, c *client.Client, giveUp time.Time, secret string, spec types.IssueSpec) (types.Lease, error) {
	var dry types.Issued
	err := patiently(ctx, giveUp, func() (err error) {
		dry, err = c.IssueLease(ctx, secret, spec, client.DryRun())
		return err
	})
	if client.Code(err) == "lease_ttl_exceeds_max" {
		err = nil
	}
	return dry.Lease, err
}

// addKeys notes whose keys these are, and refuses one that is another's.
func addKeys(keys map[string]string, secret string, names []string) error {
	for _, name := range names {
		if other, taken := keys[name]; taken {
			return &hintedError{
				err:  fmt.Errorf("both %s and %s have the key %s: the command can get one of them only", other, secret, name),
				hint: "give one of them other keys: brokerctl secret update " + secret + " --output KEY=FIELD",
			}
		}
		keys[name] = secret
	}
	return nil
}

// patiently repeats a call while the broker is away, until an instant.
func patiently(ctx context.Context, giveUp time.Time, call func() error) error {
	for {
		err := call()
		if err == nil || !client.Unavailable(err) || ctx.Err() != nil || time.Until(giveUp) <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(500*time.Millisecond, time.Until(giveUp))):
		}
	}
}

// values returns what the leases hold now.
func (h heldLeases) values() types.Values {
	var all types.Values
	for _, one := range h {
		all = append(all, one.Current().Values...)
	}
	return all
}

// environment returns the environment of the command: ours with the values, without what we sign in with.
func (h heldLeases) environment() ([]string, error) {
	values := h.values()
	hidden := append(values.Keys(), "BROKER_TOKEN", "BROKER_CLIENT_SECRET", valuesVariable)
	env := slices.DeleteFunc(os.Environ(), func(one string) bool {
		name, _, _ := strings.Cut(one, "=")
		return slices.Contains(hidden, name)
	})
	for _, one := range values {
		if strings.ContainsRune(one.Value, 0) || strings.ContainsAny(one.Key, "=\x00") {
			return nil, fmt.Errorf("the value of %q cannot be in an environment: it holds a zero byte", one.Key)
		}
		env = append(env, one.Key+"="+one.Value)
	}
	return env, nil
}

// release revokes all, at once.
func (h heldLeases) release() []error {
	var mu sync.Mutex
	var failures []error
	var closing sync.WaitGroup
	for _, one := range h {
		closing.Go(func() {
			if err := one.Close(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			}
		})
	}
	closing.Wait()
	return failures
}

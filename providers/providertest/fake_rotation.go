package providertest

import (
	"context"
	"slices"

	"broker/providers"
)

// RootPasswords returns the root passwords that the fake accepts, sorted; none: it accepts every one.
func (f *Fake) RootPasswords() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.roots))
}

// KeepRoots makes the fake a system of access keys instead of one password: an exchange adds a root password of the
// system's own choice, at most two are accepted, and the one before stays good until it is retired.
func (f *Fake) KeepRoots() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keepsRoots = true
}

func (f *Fake) acceptsLocked(root string) bool {
	return len(f.roots) == 0 || slices.Contains(f.roots, root)
}

const (
	planPassword = "password"
	planKeys     = "keys"
)

// PlanRotation chooses a password, or says which there are.
func (b *fakeBackend) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	f := b.fake
	f.mu.Lock()
	keeps, roots := f.keepsRoots, slices.Clone(f.roots)
	f.mu.Unlock()
	password, err := providers.NewPassword(b.random, 0)
	if err != nil {
		return nil, providers.Errorf(providers.KindUnavailable, "planning: %w", err)
	}
	plan := providers.Settings{planPassword: password.Reveal()}
	switch earlier := abandoned.List(planKeys); {
	case keeps && abandoned != nil:
		plan = providers.Settings{planKeys: slices.DeleteFunc(roots, func(root string) bool { return root != b.password && !slices.Contains(earlier, root) })}
	case keeps:
		plan = providers.Settings{planKeys: roots}
	case abandoned != nil:
		return providers.Settings{planPassword: abandoned.String(planPassword)}, nil
	}
	if err := b.call(ctx, OpPlan, nil, func(func(int) bool) {}); err != nil {
		return nil, err
	}
	return plan, nil
}

// Rotate makes the new password good. What a FaultLate delivers is sent in a session that the old one opened, which
// ends when that is retired.
func (b *fakeBackend) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	f := b.fake
	planned := plan.String(planPassword)
	providers.Conceal(ctx, providers.NewSecret(planned))
	f.mu.Lock()
	keeps := f.keepsRoots
	good := !keeps && slices.Contains(f.roots, planned)
	sessions := f.retirements
	f.mu.Unlock()
	changed := providers.Settings{planPassword: planned}
	if good {
		return changed, nil
	}
	var refused error
	err := b.call(ctx, OpRotate, nil, func(func(int) bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case f.retirements != sessions: // the session has ended
		case keeps:
			f.roots = slices.DeleteFunc(f.roots, func(root string) bool { return root != b.password && !slices.Contains(plan.List(planKeys), root) })
			if len(f.roots) >= 2 {
				refused = providers.Errorf(providers.KindRejected, "rotating: there are two keys, and none of them is ours to remove")
				return
			}
			made, err := providers.NewPassword(b.random, 0)
			if err != nil {
				refused = err
				return
			}
			f.roots = append(f.roots, made.Reveal())
			changed[planPassword] = made.Reveal()
		default:
			f.roots = []string{planned}
		}
	})
	if err != nil {
		if err.Kind == providers.KindRejected && err.NotSent {
			err.Kind = providers.KindUnavailable // neither password is good
		}
		return nil, err
	}
	if refused != nil {
		return nil, refused
	}
	return changed, nil
}

// Retire has the password before refused.
func (b *fakeBackend) Retire(ctx context.Context, previous providers.Settings) error {
	f := b.fake
	old := previous.String(planPassword)
	var accepted bool
	err := b.call(ctx, OpRetire, nil, func(func(int) bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.keepsRoots && old != b.password {
			f.roots = slices.DeleteFunc(f.roots, func(root string) bool { return root == old })
		}
		f.retirements++
		accepted = old != b.password && f.acceptsLocked(old)
	})
	switch {
	case err != nil:
		return err
	case accepted:
		return providers.Errorf(providers.KindRejected, "the root password before is still accepted")
	}
	return nil
}

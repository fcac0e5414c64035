package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"broker/fsm"
)

// Sealing is the exchange of the keyring's sealing key, as package seal provides it, and who has to take part.
type Sealing interface {
	// Keys returns the ids of the sealing keys that this node has.
	Keys() []uint32

	// New makes a sealing key, which opens and does not seal yet. It is durable when New returns.
	New() (id uint32, err error)

	// Follow has one key seal from now on, and drops others for good. It is durable when Follow returns.
	Follow(primary uint32, drop []uint32) error

	// Use has one key seal from now on, until this process ends.
	Use(primary uint32) error

	// Wrap wraps the keyring, without some of its keys, for the recovery shares.
	Wrap(recovery fsm.Recovery, without ...uint32) ([]byte, error)

	// Members names the nodes of the cluster, those that are down too.
	Members() []string
}

// The pace of an exchange.
const (
	sealingEvery = 500 * time.Millisecond // how often it is looked whether it can go on
	resealPause  = 20 * time.Millisecond  // between two pages, at least
	resealPage   = 100                    // values
	resealBytes  = 256 << 10
	sealingRest  = time.Second // for how long nothing is sealed with an old key before it is retired
)

// sealingWork is what a period does about sealing keys.
type sealingWork struct {
	mu    sync.Mutex // held while a key is made, until it is in the log
	poke  poker
	clean time.Time // since when nothing was found that is sealed with an old key; zero: something was
}

// RotateSealingKey begins the exchange of the sealing key, which goes on by itself, whichever node leads. Errors:
// *fsm.Refusal, ErrNotLeader, ErrOutcomeUnknown.
func (b *Broker) RotateSealingKey(ctx context.Context, req Request) (fsm.SealingKey, error) {
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.SealingKey{}, err
	}
	defer leave()
	if b.Sealing == nil {
		return fsm.SealingKey{}, &fsm.Refusal{Code: fsm.CodeInvalid, Message: "the keyring of this node cannot be changed"}
	}
	return p.createSealingKey(work, req, 0)
}

// createSealingKey makes a sealing key, in the place of one that was given up if there is one.
func (p *period) createSealingKey(ctx context.Context, req Request, replaces uint64) (fsm.SealingKey, error) {
	p.sealing.mu.Lock()
	defer p.sealing.mu.Unlock()
	keys, recovery, err := p.sealingKeys()
	if err != nil {
		return fsm.SealingKey{}, err
	}
	// What would be refused must not make a key.
	would := &fsm.CreateSealingKey{ID: unusedID(keys), Replaces: replaces}
	if recovery != nil {
		would.Wrapped = recovery.Wrapped
	}
	trial := req
	trial.DryRun = true
	k, result, err := propose[fsm.SealingKey](ctx, p, trial, would)
	if err != nil || req.DryRun || result.Replayed {
		return k, err
	}
	if err := p.dropStrays(keys); err != nil {
		return k, err
	}
	body := &fsm.CreateSealingKey{Replaces: replaces}
	if body.ID, err = p.Sealing.New(); err != nil {
		return k, err
	}
	if recovery != nil {
		if body.Wrapped, err = p.Sealing.Wrap(*recovery); err != nil {
			return k, err
		}
	}
	k, _, err = propose[fsm.SealingKey](ctx, p, req, body)
	if err == nil {
		p.log.Info("made another sealing key", "number", k.Number)
		p.sealing.poke.poke()
	}
	return k, err
}

func unusedID(keys []fsm.SealingKey) uint32 {
	for id := uint32(1); ; id++ {
		if !slices.ContainsFunc(keys, func(k fsm.SealingKey) bool { return k.ID == id }) {
			return id
		}
	}
}

// RecordSealingKey notes that a node has a sealing key, durably, or has it no more.
func (b *Broker) RecordSealingKey(ctx context.Context, req Request, body fsm.RecordSealingKey) error {
	_, err := change[fsm.SealingKey](ctx, b, req, nil, &body)
	if p := b.period.Load(); err == nil && p != nil {
		p.sealing.poke.poke()
	}
	return err
}

// sealingKeys returns what the state knows of sealing keys, and what the recovery shares open.
func (p *period) sealingKeys() (keys []fsm.SealingKey, recovery *fsm.Recovery, err error) {
	err = p.view(func(v *fsm.View) { keys, recovery = v.SealingKeys(), v.Meta().Recovery })
	return keys, recovery, err
}

// follow has this node's keyring seal with the state's primary key, and drop what is retired. A restored cluster
// changes no key file: it may be a drill beside the living one, whose file it was given.
func (p *period) follow(keys []fsm.SealingKey) error {
	primary, ok := inState(keys, fsm.SealingPrimary)
	if p.Sealing == nil || !ok {
		return nil
	}
	if p.restored != nil {
		return p.Sealing.Use(primary.ID)
	}
	return p.Sealing.Follow(primary.ID, Retired(keys))
}

// Retired returns the ids of the keys that nodes are to drop.
func Retired(keys []fsm.SealingKey) (ids []uint32) {
	for _, k := range keys {
		if !k.Live() {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// dropStrays drops keys that were made and did not get into the log. What is sealed with a key that the state does
// not know is of a restored cluster that began with a newer key file: that one stays.
func (p *period) dropStrays(keys []fsm.SealingKey) error {
	primary, _ := inState(keys, fsm.SealingPrimary)
	var used map[uint32]uint64
	if err := p.view(func(v *fsm.View) { used = v.SealedBy() }); err != nil {
		return err
	}
	strays := slices.DeleteFunc(p.Sealing.Keys(), func(id uint32) bool {
		return used[id] > 0 || slices.ContainsFunc(keys, func(k fsm.SealingKey) bool { return k.ID == id })
	})
	return p.Sealing.Follow(primary.ID, strays)
}

func inState(keys []fsm.SealingKey, state fsm.SealingState) (fsm.SealingKey, bool) {
	if i := slices.IndexFunc(keys, func(k fsm.SealingKey) bool { return k.State == state }); i >= 0 {
		return keys[i], true
	}
	return fsm.SealingKey{}, false
}

// runSealing carries on the exchange of the sealing key, whoever began it.
func (p *period) runSealing() {
	tick := time.NewTicker(sealingEvery)
	defer tick.Stop()
	told := ""
	for {
		again, err := p.exchange()
		switch {
		case err == nil:
			told = ""
		case p.ctx.Err() == nil && err.Error() != told:
			told = err.Error()
			p.log.Error("the exchange of the sealing key does not go on", "error", err)
		}
		if again && err == nil {
			continue
		}
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		case <-p.sealing.poke:
		}
	}
}

// sealingKeysKey names the sealing keys among what is remembered of the configuration.
type sealingKeysKey struct{}

// exchange does the next step, and reports whether there may be another one at once.
func (p *period) exchange() (again bool, err error) {
	keys, _, err := recall(p.Broker, sealingKeysKey{}, func(v *fsm.View) ([]fsm.SealingKey, bool) { return v.SealingKeys(), true })
	if err != nil {
		return false, err
	}
	// From here on this leader seals with the primary key.
	if err := p.follow(keys); err != nil {
		return false, err
	}
	if err := p.recordOwnKeys(keys); err != nil {
		return false, err
	}
	if next, ok := inState(keys, fsm.SealingNext); ok {
		return p.promote(next)
	}
	primary, ok := inState(keys, fsm.SealingPrimary)
	old, exchanging := inState(keys, fsm.SealingOld)
	if !ok || !exchanging {
		return false, nil
	}
	found, err := p.reseal(primary)
	switch {
	case found:
		p.sealing.clean = time.Time{}
		return err == nil, err
	case err != nil:
		return false, err
	case p.sealing.clean.IsZero():
		p.sealing.clean = p.Now()
		return false, nil
	case p.Now().Sub(p.sealing.clean) < sealingRest:
		return false, nil // something that was sealed before may still be on its way into the log
	}
	return true, p.retire(old)
}

// recordOwnKeys has it recorded what this node has.
func (p *period) recordOwnKeys(keys []fsm.SealingKey) error {
	have := p.Sealing.Keys()
	for _, k := range keys {
		if has := slices.Contains(have, k.ID); has != slices.Contains(k.Holders, p.NodeID) && has == k.Live() {
			if _, _, err := propose[fsm.SealingKey](p.ctx, p, p.self(), &fsm.RecordSealingKey{Node: p.NodeID, Number: k.Number, Gone: !has}); err != nil {
				return err
			}
		}
	}
	return nil
}

// promote has a new key be the one that seals, once every member has it.
func (p *period) promote(next fsm.SealingKey) (again bool, err error) {
	if !slices.Contains(p.Sealing.Keys(), next.ID) {
		// Whoever made it does not lead any more, and nothing is sealed with it.
		_, err := p.createSealingKey(p.ctx, p.self(), next.Number)
		return err == nil, err
	}
	members := p.Sealing.Members()
	if len(members) == 0 || len(Missing(next, members)) > 0 {
		return false, nil
	}
	_, _, err = propose[fsm.SealingKey](p.ctx, p, p.self(), &fsm.PromoteSealingKey{Number: next.Number, Members: members})
	if isRefusal(err, fsm.CodeSealingKeyState) {
		return false, nil // the holders were read a moment ago
	}
	if err == nil {
		p.log.Info("every node has the new sealing key: what is sealed now is sealed with it", "number", next.Number)
	}
	return err == nil, err
}

// Missing returns the members that do not have a sealing key yet.
func Missing(k fsm.SealingKey, members []string) (missing []string) {
	for _, node := range members {
		if !slices.Contains(k.Holders, node) {
			missing = append(missing, node)
		}
	}
	return missing
}

// reseal seals a page of values anew, and reports whether there was any.
func (p *period) reseal(primary fsm.SealingKey) (found bool, err error) {
	began := time.Now()
	var page []fsm.SealedValue
	if err := p.view(func(v *fsm.View) { page = v.SealedOtherwise(primary.ID, resealPage) }); err != nil {
		return false, err
	}
	body := &fsm.ResealValues{Number: primary.Number}
	var failed error
	for size, i := 0, 0; i < len(page) && size < resealBytes; i++ {
		s := page[i]
		sealed, err := p.resealed(s)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		old := sha256.Sum256(s.Sealed)
		body.Values = append(body.Values, fsm.ResealedValue{Kind: s.Kind, Key: s.Key, Old: old[:], Sealed: sealed})
		size += len(sealed)
	}
	if len(body.Values) == 0 {
		return len(page) > 0, failed
	}
	if _, _, err := propose[fsm.ResealedValues](p.ctx, p, p.self(), body); err != nil {
		return true, err
	}
	p.sleep(max(resealPause, time.Since(began)))
	return true, failed
}

// resealed opens a value and seals it with the primary key.
func (p *period) resealed(s fsm.SealedValue) ([]byte, error) {
	plain, err := p.Keyring.Open(s.Sealed, s.Bound)
	if err != nil {
		return nil, fmt.Errorf("a %s is sealed with key %08x: %w", s.Kind, fsm.SealingKeyOf(s.Sealed), err)
	}
	defer clear(plain)
	return p.Keyring.Seal(plain, s.Bound)
}

// retire ends a key that nothing is sealed with. Nodes drop it when they see that.
func (p *period) retire(old fsm.SealingKey) error {
	body := &fsm.RetireSealingKey{Number: old.Number}
	_, recovery, err := p.sealingKeys()
	if err != nil {
		return err
	}
	if recovery != nil {
		if body.Wrapped, err = p.Sealing.Wrap(*recovery, old.ID); err != nil {
			return err
		}
	}
	p.sealing.clean = time.Time{}
	_, _, err = propose[fsm.SealingKey](p.ctx, p, p.self(), body)
	if isRefusal(err, fsm.CodeInUse) {
		return nil // something came in meanwhile
	}
	if err == nil {
		p.log.Info("nothing is sealed with the old sealing key any more: the nodes drop it", "number", old.Number)
	}
	return err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/seal"
)

// sealingKeys is the node's keyring as the exchange of the sealing key needs it.
type sealingKeys struct{ *node }

// Keys returns the ids of the sealing keys that this node has.
func (s sealingKeys) Keys() []uint32 { return s.keyring.SealingKeys() }

// New makes a sealing key.
func (s sealingKeys) New() (uint32, error) { return s.keyring.NewSealingKey() }

// Follow has one key seal from now on, and drops others for good.
func (s sealingKeys) Follow(primary uint32, drop []uint32) error {
	return sealingError(s.keyring.Follow(primary, drop...))
}

// Use has one key seal from now on, until this process ends.
func (s sealingKeys) Use(primary uint32) error { return sealingError(s.keyring.Use(primary)) }

func sealingError(err error) error {
	if errors.Is(err, seal.ErrUnknownKey) {
		return fmt.Errorf("this node's key file lacks the cluster's sealing key, and cannot lead before another node has sent it: %w", err)
	}
	return err
}

// Wrap wraps the keyring, without some of its keys, for the recovery shares.
func (s sealingKeys) Wrap(r fsm.Recovery, without ...uint32) ([]byte, error) {
	file, err := s.keyring.Without(without...)
	if err != nil {
		return nil, err
	}
	wrapped, err := recoveryOf(r).Wrap(s.cluster.ClusterID(), file)
	return wrapped.Wrapped, err
}

func recoveryOf(r fsm.Recovery) seal.Recovery {
	return seal.Recovery{Wrapped: r.Wrapped, Shares: r.Shares, Threshold: r.Threshold, Split: r.Split, Public: r.Public}
}

// Members names the nodes of the cluster.
func (s sealingKeys) Members() []string {
	var names []string
	for _, m := range s.cluster.Status().Members {
		names = append(names, m.ID)
	}
	return names
}

// The questions of members about sealing keys.
const (
	aboutKeyring    = "keyring"     // for the leader's, of a member whose key file lacks a key
	aboutSealingKey = "sealing-key" // that a member has one, or has it no more
)

// keyringAnswer is a key file on its way to a member, over a connection that both sides' keys encrypt.
type keyringAnswer struct {
	Keyring []byte `json:"keyring"`
}

// sealingKeyQuestion says what a node has.
type sealingKeyQuestion struct {
	Node   string `json:"node"`
	Number uint64 `json:"number"`
	Gone   bool   `json:"gone,omitempty"`
}

func (n *node) answerKeyring(context.Context, struct{}) (keyringAnswer, error) {
	return keyringAnswer{n.keyring.File()}, nil
}

func (n *node) answerSealingKey(ctx context.Context, q sealingKeyQuestion) (struct{}, error) {
	req := n.request()
	req.Actor.Node = q.Node
	return struct{}{}, n.broker.RecordSealingKey(ctx, req, fsm.RecordSealingKey{Node: q.Node, Number: q.Number, Gone: q.Gone})
}

// sealingTimeout bounds one question to the leader.
const sealingTimeout = 10 * time.Second

// watchSealing keeps the node's key file at what the cluster has agreed upon, until ctx ends.
func (n *node) watchSealing(ctx context.Context) {
	tick := time.NewTicker(trustInterval)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		switch err := n.keepKeys(ctx); {
		case err == nil:
			told = ""
		case err.Error() != told && ctx.Err() == nil:
			told = err.Error()
			n.log.Error("this node cannot keep up with the cluster's sealing keys", "error", err)
		}
	}
}

type sealingKeysKey struct{}

// keepKeys fetches what this node lacks, drops what is retired, and has recorded what it has. It goes by a state that
// has all that was committed: one that is being read from the log anew may say that a key is needed which was retired
// long ago. A restored cluster changes no key file.
func (n *node) keepKeys(ctx context.Context) error {
	if n.cluster.Ready() != nil || n.state.Restored() != nil {
		return nil
	}
	value, err := n.state.Remember(sealingKeysKey{}, func(v *fsm.View) any { return v.SealingKeys() })
	if err != nil {
		return err
	}
	keys := value.([]fsm.SealingKey)
	ctx, cancel := context.WithTimeout(ctx, sealingTimeout)
	defer cancel()
	if slices.ContainsFunc(keys, func(k fsm.SealingKey) bool { return k.Live() && !n.keyring.Holds(k.ID) }) && !n.cluster.LeaderReady() {
		if err := n.fetchKeys(ctx); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if k.State != fsm.SealingPrimary {
			continue
		}
		if err := n.keyring.Follow(k.ID, broker.Retired(keys)...); err != nil {
			return sealingError(err)
		}
	}
	for _, k := range keys {
		has := n.keyring.Holds(k.ID)
		if has == slices.Contains(k.Holders, n.config.NodeID) || has != k.Live() || n.cluster.LeaderReady() { // the leader's own are its broker's work
			continue
		}
		if err := n.ask(ctx, aboutSealingKey, sealingKeyQuestion{Node: n.config.NodeID, Number: k.Number, Gone: !has}, nil); err != nil {
			return err
		}
	}
	return nil
}

// fetchKeys takes in the sealing keys of the leader's key file that this node's lacks.
func (n *node) fetchKeys(ctx context.Context) error {
	var answer keyringAnswer
	if err := n.ask(ctx, aboutKeyring, struct{}{}, &answer); err != nil {
		return err
	}
	defer clear(answer.Keyring)
	before := n.keyring.SealingKeys()
	if err := n.keyring.Learn(answer.Keyring); err != nil {
		return err
	}
	if after := n.keyring.SealingKeys(); len(after) > len(before) {
		n.log.Info("the key file has another sealing key", "path", n.config.KeyFile, "keys", len(after))
	}
	return nil
}

// ask asks the leader.
func (n *node) ask(ctx context.Context, about string, question, answer any) error {
	data, err := json.Marshal(question)
	if err != nil {
		return err
	}
	raw, err := n.cluster.AskLeader(ctx, about, data)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(raw, answer)
}

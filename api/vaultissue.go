package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"
	"time"

	"broker/api/types"
	"broker/api/vault"
	"broker/fsm"
)

// A client of Vault asks again when it got no answer, with nothing that tells it from one who wants another lease. So a
// GET that mints is the same as the one before it, by the same token and from the same address, for replayWindow after
// that one's lease became active: longer than a request waits for a leader and a client then pauses. Whoever has used the
// lease, by renewing or revoking it, has had the answer; and a lease of which half is over would be no use to who asks now.
const replayWindow = 15 * time.Second

// replaySlot is what time is cut into for the names of such requests: longer than anything that is looked back for.
const replaySlot = time.Minute

// maxReplaySlot is more than one account asks for at one node in a slot.
const maxReplaySlot = 1 << 17

func (n vaultNative) Issue(ctx context.Context, secret vault.Secret, spec types.IssueSpec, once bool) (vault.Issued, error) {
	in := &LeaseIssue{
		SecretPath: SecretPath{EnvironmentPath: EnvironmentPath{App: secret.App, Env: secret.Env}, Name: secret.Name},
		Body:       &spec,
	}
	fields := map[string]string{}
	out, err := serve(ctx, n.s, vaultIssue, in, func(ctx context.Context, c *call, in *LeaseIssue) (*created[types.Issued], error) {
		if err := n.s.config.State.Peek(func(view View) { fields = outputFields(view, in.secret()) }); err != nil {
			return nil, err
		}
		if !once || c.keyValue != "" {
			return n.s.issueLease(ctx, c, in)
		}
		return n.s.issueOnce(ctx, c, in)
	})
	if err != nil {
		return vault.Issued{}, err
	}
	return vault.Issued{Issued: out.Body, Fields: fields}, nil
}

// issueOnce issues a lease by the key that such requests share. A lease that ends between the choice of the key and its use
// has another key chosen.
func (s *Server) issueOnce(ctx context.Context, c *call, in *LeaseIssue) (out *created[types.Issued], err error) {
	for range 3 {
		if c.keyValue, err = s.replayKey(c); err != nil {
			return nil, err
		}
		out, err = s.issueLease(ctx, c, in)
		if p, _ := problemOf(err, s.config.Now()); err == nil || p.Code != string(fsm.CodeLeaseEnded) && p.Code != string(fsm.CodeKeyAnswerGone) {
			break
		}
	}
	return out, err
}

// replayKey returns the idempotency key of a request that mints: that of the newest one like it while that one answers
// this one too, else one of its own. Keys are told apart by a slot of time and a number in it, and found by asking which
// are bound, so that nothing need be kept but what the state machine keeps anyway, whoever leads.
func (s *Server) replayKey(c *call) (string, error) {
	now := s.config.Now()
	slot := now.Unix() / int64(replaySlot/time.Second)
	shared := fmt.Sprintf("%s\n%s\n%x\n%s", c.token, c.address, sha256.Sum256(c.body), c.query)
	name := func(slot int64, number int) string {
		hash := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d", shared, slot, number))
		return "vault-" + hex.EncodeToString(hash[:])
	}
	chosen := name(slot, 0)
	err := s.config.State.Peek(func(view View) {
		bound := func(slot int64, number int) (fsm.Lease, bool) {
			key := c.keyed(name(slot, number))
			return view.LeaseByKey(fsm.NewKey(c.identity.Account, key.Route, key.Value, key.Body))
		}
		// The clock of another leader may have been ahead.
		for _, at := range []int64{slot + 1, slot, slot - 1} {
			next := sort.Search(maxReplaySlot, func(number int) bool { _, is := bound(at, number); return !is })
			if next == 0 {
				continue
			}
			if at >= slot {
				chosen = name(at, next)
			}
			if newest, _ := bound(at, next-1); answersAgain(newest, fsm.At(now)) {
				chosen = name(at, next-1)
			}
			return
		}
	})
	return chosen, err
}

// answersAgain reports whether a request that is bound to a lease answers a repeated one: it is being made, or came to
// nothing, or is new and nobody has used it.
func answersAgain(l fsm.Lease, now fsm.Instant) bool {
	if l.State == fsm.Pending || !l.WasActive() {
		return true
	}
	half := l.ExpiresAt.Sub(l.CreatedAt) / 2
	return l.State == fsm.Active && l.Renewals == 0 && now < l.ActivatedAt.Add(replayWindow) && l.ExpiresAt.Sub(now) >= half
}

// outputFields names the provider's field behind each output that is one as it is.
func outputFields(view View, name fsm.SecretName) map[string]string {
	fields := map[string]string{}
	found, _ := view.Secret(name)
	for _, one := range found.Outputs {
		if !strings.Contains(one.Source, "{{") {
			fields[one.Key] = one.Source
		}
	}
	return fields
}

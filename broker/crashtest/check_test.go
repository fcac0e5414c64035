package crashtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

// checker holds the promises against what happens:
//
//	A1  every login belongs to a lease that is pending, active or revoking
//	A2  no lease ends after its longest time
//	A3  a credential works only while its lease does, and as long as its lease does; nothing is born
//	    or renewed after its end
//	A4  one key never has two revealed credentials; nothing is revealed that was not activated
//	A5  what was acknowledged is known to every later leader; states move forward only
//	A6  the history of a lease has no hole
//	A7  every changing call is authorised by a committed command
//	OPS an operation that is done has reached every lease that it chose; what it deleted is gone
//	PAUSE a connection that is paused is not called
//	END everything comes to its end, all nodes agree
type checker struct {
	w         *world
	prev      map[fsm.LeaseID]fsm.Lease
	byLogin   map[providers.LoginName]fsm.LeaseID
	endedAt   map[fsm.LeaseID]uint64       // index at which the lease's end began
	prepared  map[fsm.LeaseID]*incarnation // who was told that its Prepare is committed
	created   map[fsm.LeaseID]int
	revealed_ map[string]revealed // by idempotency key
	paused    pause
	madeAt    map[fsm.LeaseID]uint64     // index at which a lease was prepared
	begunAt   map[fsm.OperationID]uint64 // index at which an operation was begun
	ackedAt   uint64                     // newest index that somebody was told of

	mu         sync.Mutex
	violations []string
}

// revealed is the credential that a key was answered with.
type revealed struct {
	lease  fsm.LeaseID
	values string
}

func newChecker(w *world) *checker {
	return &checker{
		w: w, prev: map[fsm.LeaseID]fsm.Lease{}, byLogin: map[providers.LoginName]fsm.LeaseID{}, endedAt: map[fsm.LeaseID]uint64{},
		prepared: map[fsm.LeaseID]*incarnation{}, created: map[fsm.LeaseID]int{}, revealed_: map[string]revealed{},
		madeAt: map[fsm.LeaseID]uint64{}, begunAt: map[fsm.OperationID]uint64{},
	}
}

func (c *checker) fail(promise, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations = append(c.violations, promise+": "+fmt.Sprintf(format, args...))
	c.w.poke()
}

func (c *checker) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.violations) > 0
}

// mark is the index of the newest committed entry.
func (c *checker) mark() uint64 { return uint64(len(c.w.log)) }

// reached looks at a point before anything happens there. A call was made by a process that had
// applied what authorises it.
func (c *checker) reached(p *point) {
	if p.kind != send {
		return
	}
	c.paused.called(c, p)
	for i, login := range p.call.names {
		id := c.byLogin[login]
		truth, known := c.prev[id]
		mine, has := lease(p.inc.state, id)
		name := c.nameOf(login)
		switch {
		case !known || !has:
			c.fail("A7", "%s for %s, of which the log knows nothing", p.call.op, login)
		case p.call.op == providertest.OpCreate:
			if c.created[id]++; c.created[id] > 1 || c.prepared[id] != p.inc || truth.Term != p.call.term || mine.State != fsm.Pending {
				c.fail("A7", "a create for %s that its Prepare does not authorise: it is %s", name, mine.State)
			}
		case p.call.op == providertest.OpRenew:
			if mine.State != fsm.Active || fsm.At(p.call.ends[i]) > truth.MaxExpiresAt {
				c.fail("A7", "a renewal of %s, which is %s, to %s", name, mine.State, p.call.ends[i])
			}
		case truth.State == fsm.Pending || truth.State == fsm.Active:
			c.fail("A7", "%s for %s, which is %s", p.call.op, name, truth.State)
		}
	}
}

// committed looks at a command that was just committed.
func (c *checker) committed(p *point) {
	result := p.response.(*fsm.Result)
	if p.command.Term != c.w.term && result.Refusal == nil {
		c.fail("A5", "a command of term %d is applied in term %d", p.command.Term, c.w.term)
	}
	var renewal fsm.RenewLease
	if p.command.Type == fsm.TypeRenewLease && result.Refusal == nil && !result.Replayed {
		must(cbor.Unmarshal(p.command.Body, &renewal))
		if before := c.prev[renewal.ID]; before.Version != renewal.IfVersion {
			c.fail("A5", "%s is renewed from version %d, which was overtaken by %d", c.w.name(renewal.ID), renewal.IfVersion, before.Version)
		}
	}
	if p.command.Type == fsm.TypeFinishOperation && result.Refusal == nil {
		c.operationDone(result.Value.(fsm.Operation))
	}
	if own := string(metaOf(p.inc.state).Hash); own != c.w.log[p.index-1].hash {
		c.fail("A5", "%s has another state than the truth after entry %d", p.who(), p.index)
	}
	c.changed()
}

// told notes that the proposer knows of its entry.
func (c *checker) told(p *point) {
	result := p.response.(*fsm.Result)
	c.ackedAt = max(c.ackedAt, p.index)
	if l, isLease := result.Value.(fsm.Lease); isLease && p.command.Type == fsm.TypePrepareLease && result.Refusal == nil && !result.Replayed {
		c.prepared[l.ID] = p.inc
	}
}

// leads looks at a node that begins to lead.
func (c *checker) leads(inc *incarnation) {
	if inc.applied < c.ackedAt {
		c.fail("A5", "%s leads and does not know entry %d, which was acknowledged", inc.node.name, c.ackedAt)
	}
}

// changed compares the ledger with what it was.
func (c *checker) changed() {
	index := uint64(len(c.w.log))
	meta := metaOf(c.w.truth)
	for _, l := range c.mayHaveChanged() {
		before, known := c.prev[l.ID]
		if known && before.Version == l.Version {
			continue
		}
		name := c.w.name(l.ID)
		forgotten := c.prev[c.byLogin[providers.LoginName(l.Username)]].Forgotten
		c.byLogin[providers.LoginName(l.Username)] = l.ID
		c.prev[l.ID] = l
		if !known {
			c.madeAt[l.ID] = index
			before = fsm.Lease{ExpiresAt: l.ExpiresAt, MaxExpiresAt: l.MaxExpiresAt}
		}
		if before.State == "" && l.State != fsm.Pending && !forgotten && !c.w.planted[providers.LoginName(l.Username)] {
			c.fail("A1", "%s is %s, and its login was taken for an orphan", name, l.State)
		}
		if l.ExpiresAt > l.MaxExpiresAt || l.MaxExpiresAt != before.MaxExpiresAt {
			c.fail("A2", "%s ends at %s, its longest time at %s", name, l.ExpiresAt, l.MaxExpiresAt)
		}
		if !slices.Contains(forward[before.State], l.State) {
			c.fail("A5", "%s goes from %s to %s", name, before.State, l.State)
		}
		if l.ExpiresAt < before.ExpiresAt {
			c.fail("A3", "%s is shortened", name)
		}
		given := l.State == fsm.Active && (before.State != fsm.Active || l.ExpiresAt > before.ExpiresAt)
		if given && meta.Clock >= before.ExpiresAt {
			c.fail("A3", "%s is %s → %s after its end", name, before.State, l.State)
		}
		if given {
			if why := c.forbidden(before.State == fsm.Active); why != "" {
				c.fail("A3", "%s is %s → %s though %s", name, before.State, l.State, why)
			}
		}
		if before.State == fsm.Active && l.State == fsm.Revoking && l.Cause == fsm.CauseExpire && meta.Clock < l.ExpiresAt {
			c.fail("A3", "%s expires before its end", name)
		}
		if l.State == fsm.Revoking && before.State != fsm.Revoking {
			c.endedAt[l.ID] = index
		}
		c.history(l)
	}
	c.paused.changed(c)
	for _, op := range c.running() {
		if c.begunAt[op.ID] == 0 {
			c.begunAt[op.ID] = index
		}
	}
	c.outside()
}

var forward = map[fsm.LeaseState][]fsm.LeaseState{
	"":           {fsm.Pending, fsm.Revoking}, // an orphan
	fsm.Pending:  {fsm.Active, fsm.Revoking, fsm.Failed},
	fsm.Active:   {fsm.Active, fsm.Revoking},
	fsm.Revoking: {fsm.Revoking, fsm.Revoked, fsm.Expired, fsm.Failed},
}

// outside compares the outside system with the ledger.
func (c *checker) outside() {
	there := map[fsm.LeaseID]providertest.FakeLogin{}
	for _, login := range c.w.fake.Logins() {
		id := c.byLogin[login.Name]
		if id == "" && c.w.planted[login.Name] {
			continue
		}
		there[id] = login
		if l, known := c.prev[id]; !known || !l.State.Live() && !l.Forgotten {
			c.fail("A1", "the login of %s exists, and the lease is %q", c.nameOf(login.Name), l.State)
		}
	}
	for id, l := range c.prev {
		login, exists := there[id]
		if l.State == fsm.Active && (!exists || !login.CanLogin || fsm.At(login.ExpiresAt) < l.ExpiresAt) {
			c.fail("A3", "%s is active and its login does not work until its end", c.w.name(id))
		}
	}
}

// revealed looks at an answer that leaves the leader.
func (c *checker) revealed(p *point) {
	if p.failure != nil || p.issued == nil || p.issued.Lease.ID == "" {
		return
	}
	got := p.issued.Lease
	l := c.prev[got.ID]
	name := c.w.name(got.ID)
	switch p.what {
	case "renew":
		if l.ExpiresAt < got.ExpiresAt {
			c.fail("A5", "%s was told that %s ends at %s; the ledger says %s", p.client.name, name, got.ExpiresAt, l.ExpiresAt)
		}
	case "revoke", "retry", "forget":
		if l.State != got.State && (l.State.Live() && !got.State.Live() || l.State == fsm.Active) {
			c.fail("A5", "%s was told that %s is %s; it is %s", p.client.name, name, got.State, l.State)
		}
	case "issue":
		c.credential(p, l, name)
	}
}

func (c *checker) credential(p *point, l fsm.Lease, name string) {
	if !l.WasActive() {
		c.fail("A4", "the values of %s were revealed, which was never activated", name)
	}
	if at := c.endedAt[l.ID]; at != 0 && at <= p.asked {
		c.fail("A4", "the values of %s were revealed after its end had begun", name)
	}
	if p.client.key == "" {
		return
	}
	r := revealed{lease: l.ID}
	for _, v := range p.issued.Values {
		r.values += v.Key + "=" + v.Value.Reveal() + " "
	}
	if old, before := c.revealed_[p.client.key]; before && old != r {
		c.fail("A4", "one key was answered with %s and with %s", c.w.name(old.lease), name)
	}
	c.revealed_[p.client.key] = r
	for _, login := range c.w.fake.Logins() {
		if c.byLogin[login.Name] == l.ID && l.State == fsm.Active && c.w.fake.LogIn(string(login.Name), passwordOf(p)) != nil {
			c.fail("A3", "the revealed values of %s do not work", name)
		}
	}
}

func passwordOf(p *point) string {
	for _, v := range p.issued.Values {
		if v.Key == "DB_PASSWORD" {
			return v.Value.Reveal()
		}
	}
	return ""
}

// atRest reports whether nothing is left to do.
func (c *checker) atRest() bool {
	for _, l := range c.prev {
		if l.State.Live() {
			return false
		}
	}
	return len(c.w.points()) == 0 && c.left() == 0 && len(c.running()) == 0
}

// left counts the logins that should be gone in the end. What was put into a system that no lease and no
// connection needs any more is nobody's business, nor is what was forgotten where nobody sweeps.
func (c *checker) left() (n int) {
	for _, login := range c.w.fake.Logins() {
		l := c.prev[c.byLogin[login.Name]]
		switch {
		case c.w.planted[login.Name]:
			if login.System != c.w.system() {
				continue
			}
		case l.Forgotten:
			if c.w.sweep == 0 || login.System != c.w.system() && c.deletedSince(l) {
				continue
			}
		}
		n++
	}
	return n
}

// end looks at a world that rests.
func (c *checker) end() {
	for _, l := range leases(c.w.truth) {
		if l.Version != c.prev[l.ID].Version {
			c.fail("A5", "%s changed unseen", c.w.name(l.ID))
		}
	}
	for _, n := range c.w.nodes {
		if n.inc.state == nil {
			continue
		}
		n.inc.catchUp(uint64(len(c.w.log)))
		if string(metaOf(n.inc.state).Hash) != string(metaOf(c.w.truth).Hash) {
			c.fail("END", "%s has another state than the truth", n.name)
		}
	}
}

// restless says what did not come to its end.
func (c *checker) restless() {
	for _, id := range slices.Sorted(maps.Keys(c.prev)) {
		if l := c.prev[id]; l.State.Live() {
			c.fail("END", "%s is %s for ever: %s %s", c.w.name(id), l.State, l.LastError, l.Reason)
		}
	}
	for _, op := range c.running() {
		c.fail("END", "operation %s, %s, is running for ever: %d of %d leases are at their end", op.ID, op.Kind, op.Done, op.Begun)
	}
	if left := c.left(); left > 0 {
		c.fail("END", "%d logins are left for ever", left)
	}
	for _, p := range c.w.points() {
		c.fail("END", "%s of %s waits for ever", p.name(), p.detail)
	}
}

func (c *checker) nameOf(login providers.LoginName) string {
	if id, known := c.byLogin[login]; known {
		return c.w.name(id)
	}
	return string(login)
}

func (c *checker) leaseOf(login providers.LoginName) fsm.LeaseID { return c.byLogin[login] }

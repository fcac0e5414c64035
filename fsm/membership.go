package fsm

import "slices"

// Membership is what is remembered of a node beside its place in the log's configuration.
type Membership struct {
	Node string `cbor:"1,keyasint"`

	// Instance names the data directory that was admitted under the node's name. Another directory under
	// that name has given none of this one's promises.
	Instance string `cbor:"2,keyasint,omitempty"`

	Address    string  `cbor:"3,keyasint,omitempty"` // of its cluster port, when it was admitted
	Held       bool    `cbor:"4,keyasint,omitempty"` // it gets a vote by an operator's hand only
	AdmittedAt Instant `cbor:"5,keyasint,omitempty"`
	Version    uint64  `cbor:"6,keyasint"`
}

// MemberChange says what becomes of a node in the cluster.
type MemberChange string

// The changes of a membership.
const (
	MemberNoted    MemberChange = "noted"    // the instance of a node that was a member before any was recorded
	MemberAdmitted MemberChange = "admitted" // let in, without a vote yet
	MemberMoved    MemberChange = "moved"    // found at another address
	MemberPromoted MemberChange = "promoted" // has a vote
	MemberDemoted  MemberChange = "demoted"  // has none until an operator gives it one
	MemberRemoved  MemberChange = "removed"
)

var memberChanges = []MemberChange{MemberNoted, MemberAdmitted, MemberMoved, MemberPromoted, MemberDemoted, MemberRemoved}

// RecordMember remembers what becomes of a node, and writes it into the history. Who is a member and who
// votes is what the log's own configuration says. Value: Membership, of a removed node its last one.
type RecordMember struct {
	Node     string       `cbor:"1,keyasint"`
	Change   MemberChange `cbor:"2,keyasint"`
	Instance string       `cbor:"3,keyasint,omitempty"` // when noted or admitted
	Address  string       `cbor:"4,keyasint,omitempty"` // when admitted or moved
	Reason   string       `cbor:"5,keyasint,omitempty"`
}

func (*RecordMember) commandType() CommandType { return TypeRecordMember }

var memberships = table[Membership]{
	bucket: "memberships",
	key:    func(r *Membership) []byte { return []byte(r.Node) },
}

func applyRecordMember(t *txn, c *RecordMember) (Membership, *Refusal) {
	if !ValidName(c.Node) {
		return Membership{}, badName("node", c.Node)
	}
	if !slices.Contains(memberChanges, c.Change) {
		return Membership{}, &Refusal{Code: CodeInvalid, Field: "change", Message: "nothing of that kind becomes of a node"}
	}
	m, known := t.Membership(c.Node)
	before := m
	details := map[string]string{}
	m.Node = c.Node
	switch c.Change {
	case MemberNoted:
		if m.Instance != "" {
			return m, nil
		}
		m.Instance = c.Instance
	case MemberAdmitted:
		if known && m.Instance == c.Instance && m.Address == c.Address {
			return m, nil // asked twice
		}
		if known {
			details["replaces"] = "an earlier data directory"
		}
		m = Membership{Node: c.Node, Instance: c.Instance, Address: c.Address, Held: m.Held, AdmittedAt: t.now()}
		details["address"] = c.Address
	case MemberMoved:
		m.Address = c.Address
		details["address"] = c.Address
	case MemberPromoted:
		m.Held = false
	case MemberDemoted:
		m.Held = true
	case MemberRemoved:
		m.Version = t.meta.Index
		memberships.delete(t, []byte(c.Node))
	}
	if c.Change != MemberRemoved {
		m.Version = before.Version
		if m != before || !known {
			m.Version = t.meta.Index
			memberships.put(t, m)
		}
	}
	if c.Change != MemberNoted {
		if c.Reason != "" {
			details["reason"] = c.Reason
		}
		t.record(Event{Type: EventType("member." + string(c.Change)), Subject: c.Node, Details: details})
	}
	return m, nil
}

// Membership returns what is remembered of a node.
func (v *View) Membership(node string) (Membership, bool) {
	return memberships.get(v.tx, []byte(node))
}

// Memberships returns what is remembered of every node, by name.
func (v *View) Memberships() []Membership {
	return page(v.tx, memberships, nil, int(^uint(0)>>1), nil)
}

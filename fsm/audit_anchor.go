package fsm

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// AuditAnchor says where a node's audit log was: whoever shortens or rewrites what came before it is found out.
type AuditAnchor struct {
	Node     string  `cbor:"1,keyasint"`
	Chain    string  `cbor:"2,keyasint"` // a node that lost its log begins another chain
	Seq      uint64  `cbor:"3,keyasint"` // of the newest record that was certainly on the disk
	Head     []byte  `cbor:"4,keyasint"` // hash of that record
	AnchorAt Instant `cbor:"5,keyasint"`
	Version  uint64  `cbor:"6,keyasint"`
}

// AnchorAudit remembers the head of a node's audit log. The same head may be sent again. Value: AuditAnchor.
type AnchorAudit struct {
	Node  string `cbor:"1,keyasint"`
	Chain string `cbor:"2,keyasint"`
	Seq   uint64 `cbor:"3,keyasint"`
	Head  []byte `cbor:"4,keyasint"`
}

func (*AnchorAudit) commandType() CommandType { return TypeAnchorAudit }

// EventAuditBegan is recorded when a node's audit log is anchored that begins a new chain: its first one, or the
// one after a log that was lost.
const EventAuditBegan EventType = "audit.began"

// CodeAuditRewritten is the code of an anchor that contradicts an earlier one: the log was cut or rewritten.
const CodeAuditRewritten Code = "audit_rewritten"

const (
	auditHeadSize  = 32
	maxAuditChain  = 64
	bucketAnchored = "audit_anchors_by_age"
)

var auditAnchors = table[AuditAnchor]{
	bucket:  "audit_anchors",
	key:     func(r *AuditAnchor) []byte { return rowKey(auditChainKey(r.Node, r.Chain), bigEndian(r.Seq)) },
	indexes: []index[AuditAnchor]{filedAt(bucketAnchored, func(r *AuditAnchor) (Instant, bool) { return r.AnchorAt, true })},
}

func auditChainKey(node, chain string) []byte { return rowKey([]byte(node), []byte(chain)) }

func applyAnchorAudit(t *txn, c *AnchorAudit) (AuditAnchor, *Refusal) {
	switch {
	case !ValidName(c.Node):
		return AuditAnchor{}, badName("node", c.Node)
	case !validAuditChain(c.Chain):
		return AuditAnchor{}, &Refusal{Code: CodeInvalid, Field: "chain", Message: fmt.Sprintf("a chain is named by 1 to %d capital letters and digits", maxAuditChain)}
	case c.Seq == 0:
		return AuditAnchor{}, &Refusal{Code: CodeInvalid, Field: "seq", Message: "records are counted from 1"}
	case len(c.Head) != auditHeadSize:
		return AuditAnchor{}, &Refusal{Code: CodeInvalid, Field: "head", Message: fmt.Sprintf("a head is a hash of %d bytes", auditHeadSize)}
	}
	newest, known := t.newestAuditAnchor(c.Node, c.Chain)
	switch {
	case known && c.Seq < newest.Seq:
		return newest, (&Refusal{Code: CodeAuditRewritten, Field: "seq", Message: fmt.Sprintf(
			"the audit log of node %s ends at record %d, and was anchored at record %d: it was cut", c.Node, c.Seq, newest.Seq)}).
			With("anchored_seq", fmt.Sprint(newest.Seq)).With("anchored_head", hex.EncodeToString(newest.Head))
	case known && c.Seq == newest.Seq && !bytes.Equal(c.Head, newest.Head):
		return newest, (&Refusal{Code: CodeAuditRewritten, Field: "head", Message: fmt.Sprintf(
			"record %d of the audit log of node %s is not the one that was anchored: the log was rewritten", c.Seq, c.Node)}).
			With("anchored_seq", fmt.Sprint(newest.Seq)).With("anchored_head", hex.EncodeToString(newest.Head))
	case known && c.Seq == newest.Seq:
		return newest, nil // sent twice
	}
	a := AuditAnchor{Node: c.Node, Chain: c.Chain, Seq: c.Seq, Head: c.Head, AnchorAt: t.now(), Version: t.meta.Index}
	auditAnchors.put(t, a)
	if !known {
		t.record(Event{Type: EventAuditBegan, Subject: c.Node, Details: map[string]string{"chain": c.Chain, "seq": fmt.Sprint(c.Seq)}})
	}
	return a, nil
}

func validAuditChain(chain string) bool {
	if chain == "" || len(chain) > maxAuditChain {
		return false
	}
	for _, c := range []byte(chain) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// newestAuditAnchor returns the last anchor of one chain.
func (v *View) newestAuditAnchor(node, chain string) (a AuditAnchor, ok bool) {
	eachRow(v.tx, auditAnchors.bucket, auditChainKey(node, chain), nil, true, func(seq []byte) bool {
		a, ok = auditAnchors.get(v.tx, rowKey(auditChainKey(node, chain), seq))
		return false
	})
	return a, ok
}

// AuditAnchors returns up to limit anchors by node, chain and record, beginning after the one given; of one node, or
// of all when node is empty.
func (v *View) AuditAnchors(node string, after AuditAnchor, limit int) []AuditAnchor {
	var start []byte
	if after.Node != "" {
		start = auditAnchors.key(&after)
	}
	if node == "" {
		return page(v.tx, auditAnchors, start, limit, nil)
	}
	if prefix := rowKey([]byte(node), nil); bytes.Compare(start, prefix) < 0 {
		start = prefix
	}
	return page(v.tx, auditAnchors, start, limit, func(a AuditAnchor) bool { return a.Node == node })
}

// pruneAuditAnchors forgets anchors from before the horizon. The newest one of each node stays: it still proves what
// came before.
func (t *txn) pruneAuditAnchors(horizon Instant, limit int) (pruned int) {
	for _, key := range t.oldest(bucketAnchored, horizon, limit) {
		a, ok := auditAnchors.get(t.tx, key)
		if !ok || t.lastAnchored(a) {
			continue
		}
		auditAnchors.delete(t, key)
		pruned++
	}
	return pruned
}

// lastAnchored reports whether a node has no later anchor, in whatever chain.
func (t *txn) lastAnchored(a AuditAnchor) bool {
	last := true
	eachRow(t.tx, auditAnchors.bucket, []byte(a.Node), nil, false, func(rest []byte) bool {
		other, ok := auditAnchors.get(t.tx, rowKey([]byte(a.Node), rest))
		last = !ok || other.Version <= a.Version
		return last
	})
	return last
}

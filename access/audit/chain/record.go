package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is the version of the records' form, the "v" of each.
const Version = 1

// MaxLine bounds a line, its end included.
const MaxLine = 64 << 10

// Type says what a record tells.
type Type string

// The types of records.
const (
	TypeRequest Type = "request" // somebody asks; written before it is acted on
	TypeOutcome Type = "outcome" // how a request ended
	TypeCall    Type = "call"    // a call of an outside system
	TypeStart   Type = "start"   // the node began to write
	TypeStop    Type = "stop"    // it ended as it should
	TypeRotate  Type = "rotate"  // the first record of a further file
	TypeGap     Type = "gap"     // something is missing, and the log says so itself
)

// Head names a place in a chain: the hash of the record of that number.
type Head struct {
	Chain string
	Seq   uint64
	Hash  Hash
}

// Hash is the SHA-256 of a line without its end.
type Hash [sha256.Size]byte

// HashOf returns the hash of a line, which is given without its end.
func HashOf(line []byte) Hash { return sha256.Sum256(line) }

// String is what records say: 64 digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Record is what the chain is made of in each record, and what tells people where they are.
type Record struct {
	V     int       `json:"v"`
	Chain string    `json:"chain"`
	Seq   uint64    `json:"seq"`
	Prev  string    `json:"prev"` // hash of the line before; empty in the first of a chain
	Time  time.Time `json:"time"`
	Type  Type      `json:"type"`
	Node  string    `json:"node"` // that wrote it

	// Of gap records.
	Reason string            `json:"reason,omitempty"`
	Sink   string            `json:"sink,omitempty"` // that lacks the records; empty: the log itself
	Lost   map[string]uint64 `json:"lost,omitempty"`
}

// errNoRecord is what a line is that does not parse.
var errNoRecord = errors.New("no record of an audit log")

// Parse reads a line, which is given without its end.
func Parse(line []byte) (Record, error) {
	var r Record
	if len(line) >= MaxLine {
		return r, fmt.Errorf("%w: it is too long", errNoRecord)
	}
	if !bytes.HasPrefix(line, []byte("{")) {
		return r, errNoRecord // null would be taken for an empty record
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, errNoRecord // the error would quote the line
	}
	switch {
	case r.V == 0 || r.Chain == "" || r.Seq == 0 || r.Type == "" || r.Time.IsZero():
		return r, fmt.Errorf("%w: v, chain, seq, time or type is missing", errNoRecord)
	case r.V != Version:
		return r, fmt.Errorf("a record of version %d, which this program does not read", r.V)
	case r.Prev == "" && r.Seq == 1:
		return r, nil
	}
	if h, err := hex.DecodeString(r.Prev); err != nil || len(h) != sha256.Size {
		return r, fmt.Errorf("%w: prev is no hash", errNoRecord)
	}
	return r, nil
}

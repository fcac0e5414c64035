package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Format is the newest format that this program reads and the one it writes.
const Format = 1

// Header says what a snapshot is of. It holds nothing secret.
type Header struct {
	Format    int       `json:"format"`
	ClusterID string    `json:"cluster_id"`
	Index     uint64    `json:"index"` // of the last log entry in it
	Term      uint64    `json:"term"`  // of that entry
	ClockAt   time.Time `json:"clock_at"`
	CreatedAt time.Time `json:"created_at"`
	Node      string    `json:"node"`    // that made it
	Version   string    `json:"version"` // of the program that made it

	// FeatureLevel is the one in force in the state: what a program must be able to read.
	FeatureLevel uint64 `json:"feature_level,omitempty"`

	// StateHash is the running hash of the state, in hexadecimal digits.
	StateHash string `json:"state_hash"`

	// Recovery tells whether shares open the keyring that lies in the snapshot. Nil: they cannot, and it
	// is of use only together with a key file.
	Recovery *Recovery `json:"recovery,omitempty"`

	// Restored is set when the cluster was restored itself and has not been released since.
	Restored string `json:"restored,omitempty"` // "restore" or "drill"

	Counts map[string]uint64 `json:"counts"`
}

// Recovery says how many of the recovery shares are needed.
type Recovery struct {
	Shares    int       `json:"shares"`
	Threshold int       `json:"threshold"`
	CreatedAt time.Time `json:"created_at"`
	Split     string    `json:"split"` // names this splitting; every share of it tells the same
}

// The errors of files that are not what they should be.
var (
	// ErrNotSnapshot is returned for a file that is none of the broker's snapshots.
	ErrNotSnapshot = errors.New("this is not a snapshot of the broker")

	// ErrNewer is returned for a snapshot that a newer version of the broker made.
	ErrNewer = errors.New("this snapshot was made by a newer version of the broker: use that version")

	// ErrTruncated is returned for a snapshot whose end is missing.
	ErrTruncated = errors.New("this snapshot is not complete: its end is missing")

	// ErrDamaged is returned for a snapshot that does not have its checksum.
	ErrDamaged = errors.New("this snapshot is damaged: its checksum is wrong")

	// ErrForged is returned for a snapshot that no node of the cluster made.
	ErrForged = errors.New("this snapshot was not made with the cluster's keyring, or was changed since: do not use it; take one from a place that only the nodes write to")
)

// maxHeader is more than any header has; a damaged length must not fill the memory.
const maxHeader = 1 << 20

func decodeHeader(data []byte) (Header, error) {
	var format struct {
		Format int `json:"format"`
	}
	var h Header
	if err := json.Unmarshal(data, &format); err != nil || format.Format < 1 {
		return h, fmt.Errorf("%w: its header cannot be read", ErrDamaged)
	}
	if format.Format > Format {
		return h, fmt.Errorf("%w (its format is %d, this version reads %d)", ErrNewer, format.Format, Format)
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("%w: its header cannot be read", ErrDamaged)
	}
	return h, nil
}

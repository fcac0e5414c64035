package seal

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// Share is one of the recovery shares. Enough of them open the keyring that lies in every snapshot of their
// cluster. It prints as [redacted]; Text returns the line to keep.
type Share struct {
	number  byte
	cluster string // a hint, 8 hexadecimal digits
	split   []byte // names the splitting
	value   []byte
}

const (
	sharePrefix  = "brs"
	splitSize    = 4
	checksumSize = 4
)

var shareEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ErrShare is returned for a share that is none, was mangled, or does not go with the others.
var ErrShare = errors.New("a recovery share cannot be used")

// Text returns the share as one line: brs_NUMBER_CLUSTER_VALUE. The value ends with a checksum over all.
func (s Share) Text() string {
	head := s.head()
	payload := slices.Concat(s.split, s.value)
	payload = append(payload, shareChecksum(head, payload)...)
	return head + strings.ToLower(shareEncoding.EncodeToString(payload))
}

// Number tells the shares of one splitting apart.
func (s Share) Number() int { return int(s.number) }

// Split names the splitting that the share is of.
func (s Share) Split() []byte { return slices.Clone(s.split) }

func (s Share) head() string { return fmt.Sprintf("%s_%d_%s_", sharePrefix, s.number, s.cluster) }

// String hides the share.
func (s Share) String() string { return "[redacted]" }

// Format hides the share from every verb.
func (s Share) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) } // a printer has no errors

// MarshalText hides the share from encoders.
func (s Share) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// LogValue hides the share from logs.
func (s Share) LogValue() slog.Value { return slog.StringValue("[redacted]") }

func shareChecksum(head string, payload []byte) []byte {
	sum := sha256.Sum256(append([]byte("broker recovery share\x00"+head), payload...))
	return sum[:checksumSize]
}

// clusterHint is what a share tells of its cluster: enough to see that it belongs to another one.
func clusterHint(clusterID string) string {
	sum := sha256.Sum256([]byte("broker cluster\x00" + clusterID))
	return hex.EncodeToString(sum[:4])
}

// ParseShare reads a line that Text returned. Errors wrap ErrShare and never repeat the line.
func ParseShare(line string) (Share, error) {
	line = strings.ToLower(strings.TrimSpace(line))
	parts := strings.Split(line, "_")
	if parts[0] != sharePrefix || len(parts) != 4 {
		return Share{}, fmt.Errorf("%w: a share is one line that begins with %s_ and has four parts", ErrShare, sharePrefix)
	}
	number, err := strconv.ParseUint(parts[1], 10, 8)
	if err != nil || number == 0 {
		return Share{}, fmt.Errorf("%w: its number cannot be read", ErrShare)
	}
	s := Share{number: byte(number), cluster: parts[2]}
	payload, err := shareEncoding.DecodeString(strings.ToUpper(parts[3]))
	if err != nil || len(payload) != splitSize+recoveryKeySize+checksumSize {
		return Share{}, fmt.Errorf("%w: share %d was mangled: characters are missing, too many, or wrong", ErrShare, number)
	}
	body, sum := payload[:splitSize+recoveryKeySize], payload[splitSize+recoveryKeySize:]
	s.split, s.value = body[:splitSize], body[splitSize:]
	if subtle.ConstantTimeCompare(sum, shareChecksum(s.head(), body)) != 1 {
		return Share{}, fmt.Errorf("%w: share %d was mangled: its checksum is wrong", ErrShare, number)
	}
	return s, nil
}

// CheckShare says what is wrong with a share for the recovery of a cluster, given those collected before: it
// is of another cluster or splitting, or was given already. Nil: it is one more.
func CheckShare(s Share, clusterID string, split []byte, before []Share) error {
	switch {
	case s.cluster != clusterHint(clusterID):
		return fmt.Errorf("%w: share %d belongs to another cluster (its hint is %s, this cluster's is %s)", ErrShare, s.number, s.cluster, clusterHint(clusterID))
	case subtle.ConstantTimeCompare(s.split, split) != 1:
		return fmt.Errorf("%w: share %d is of another splitting than this snapshot's: shares of two splittings do not go together", ErrShare, s.number)
	}
	for _, other := range before {
		if other.number == s.number {
			return fmt.Errorf("%w: share %d was given already: each counts once", ErrShare, s.number)
		}
	}
	return nil
}

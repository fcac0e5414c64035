package providers

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"io"
	"strings"
)

// DefaultPrefix is what login names begin with unless the operator chose another prefix.
const DefaultPrefix = "brk_"

// lowerBase32 has only characters that every outside system takes in a name without quoting.
var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Cluster4 derives the four characters that stand for a cluster in login names from its full id.
func Cluster4(clusterID string) string {
	sum := sha256.Sum256([]byte(clusterID))
	return lowerBase32.EncodeToString(sum[:])[:4]
}

// Prefix returns what every login name of a cluster begins with: `<prefix><cluster4>_`.
func Prefix(prefix, cluster4 string) string {
	return prefix + cluster4 + "_"
}

// NewLoginName returns `<prefix><cluster4>_<middle>_<unique>`, at most limit bytes long; a limit of
// zero or less is none. Prefix, cluster and unique part are always whole, since they make the name
// ours and unique; only the middle is brought to [a-z0-9_] and cut, and left out with its
// underscore when nothing of it remains. When the whole parts alone exceed the limit the name does
// too, and the outside system refuses it rather than take a name that is not unique.
func NewLoginName(prefix, cluster4, middle, unique string, limit int) LoginName {
	head := Prefix(prefix, cluster4)
	middle = sanitise(middle)
	if limit > 0 {
		room := max(limit-len(head)-len("_")-len(unique), 0)
		middle = middle[:min(len(middle), room)]
	}
	middle = strings.Trim(middle, "_")
	if middle == "" {
		return LoginName(head + unique)
	}
	return LoginName(head + middle + "_" + unique)
}

// sanitise lower-cases and replaces each run of other characters by one underscore.
func sanitise(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(s) {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			gap = false
			b.WriteRune(r)
			continue
		}
		gap = true
	}
	return b.String()
}

// NewUnique reads 80 bits from random and returns them as 16 characters of lower-case base32. It is
// the part of a login name that is never reused.
func NewUnique(random io.Reader) (string, error) {
	var bits [10]byte
	if _, err := io.ReadFull(random, bits[:]); err != nil {
		return "", fmt.Errorf("reading random bits for a login name: %w", err)
	}
	return lowerBase32.EncodeToString(bits[:]), nil
}

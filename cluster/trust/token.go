package trust

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strings"
)

// joinTokenPrefix lets scanners for secrets find join tokens.
const joinTokenPrefix = "brkj_"

const joinSecretBytes = 24

// A JoinToken lets a node into a cluster: a secret that the cluster knows by its hash, and the fingerprint
// of the authority that whoever answers must belong to.
type JoinToken struct {
	secret    [joinSecretBytes]byte
	authority Fingerprint
}

// NewJoinToken makes a token for the cluster of that authority.
func NewJoinToken(authority Fingerprint) JoinToken {
	t := JoinToken{authority: authority}
	_, _ = rand.Read(t.secret[:]) // never fails
	return t
}

// ParseJoinToken reads a token as Reveal wrote it. ErrToken says what is wrong, and never the text.
func ParseJoinToken(text string) (JoinToken, error) {
	var t JoinToken
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), joinTokenPrefix)
	if !ok {
		return t, fmt.Errorf("%w: one begins with %s", ErrToken, joinTokenPrefix)
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	want := len(t.secret) + len(t.authority)
	if err != nil || len(raw) != want+4 {
		return t, fmt.Errorf("%w: it is not whole, or has something added", ErrToken)
	}
	if sum := crc32.ChecksumIEEE(raw[:want]); [4]byte(raw[want:]) != [4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)} {
		return t, fmt.Errorf("%w: a character of it was changed", ErrToken)
	}
	copy(t.secret[:], raw)
	copy(t.authority[:], raw[len(t.secret):])
	return t, nil
}

// Reveal returns the token as a text, to be shown once.
func (t JoinToken) Reveal() string {
	raw := append(append([]byte(nil), t.secret[:]...), t.authority[:]...)
	sum := crc32.ChecksumIEEE(raw)
	raw = append(raw, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
	return joinTokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
}

// Format writes no more than that it is a token, for every verb.
func (t JoinToken) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted join token]") }

// Authority is whom the token's owner is to believe.
func (t JoinToken) Authority() Fingerprint { return t.authority }

// Hash is how the cluster knows the token. The secret has 192 random bits, so no key is needed.
func (t JoinToken) Hash() []byte {
	sum := sha256.Sum256(append([]byte("broker join token\x00"), t.secret[:]...))
	return sum[:]
}

package access

import (
	"encoding/base32"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// What begins the texts of credentials, so that scanners for leaked secrets recognise them.
const (
	TokenPrefix        = "brk_"
	ClientSecretPrefix = "brks_"
	WrappingPrefix     = "brkw_" // of a token that a value can be taken with, once
)

// ErrMalformedToken is returned for a text that cannot be a token: mistyped or cut off.
var ErrMalformedToken = errors.New("this is not a token of the broker: it begins with brk_ and ends with a checksum")

// tokenEncoding is base32 without the letters that are mistaken for digits (Crockford's alphabet).
var tokenEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewToken returns a token of 256 random bits with a checksum.
func NewToken(random io.Reader) (string, error) { return newCredential(TokenPrefix, random) }

func newCredential(prefix string, random io.Reader) (string, error) {
	body := make([]byte, 32)
	if _, err := io.ReadFull(random, body); err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	text := tokenEncoding.EncodeToString(body)
	return prefix + text + checksum(prefix, text), nil
}

// CheckToken returns ErrMalformedToken for what is mistyped, before anything is looked up.
func CheckToken(token string) error {
	if !wellFormed(TokenPrefix, token) {
		return ErrMalformedToken
	}
	return nil
}

func wellFormed(prefix, credential string) bool {
	text, ok := strings.CutPrefix(credential, prefix)
	return ok && len(text) == 52+7 && checksum(prefix, text[:52]) == text[52:]
}

// checksum is no protection, only a guard against mistyping.
func checksum(prefix, text string) string {
	sum := crc32.ChecksumIEEE([]byte(prefix + text))
	return tokenEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

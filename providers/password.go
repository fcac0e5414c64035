package providers

import (
	"fmt"
	"io"
)

// DefaultPasswordLength gives a password of 190 bits.
const DefaultPasswordLength = 32

const alphanumeric = upper + lower + digits

// NewPassword returns a password of length letters and digits, each drawn evenly from random; a
// length of zero or less means DefaultPasswordLength. Letters and digits alone need no quoting in
// any shell, URL or statement.
func NewPassword(random io.Reader, length int) (Secret, error) {
	return newPassword(random, length, alphanumeric)
}

func newPassword(random io.Reader, length int, alphabet string) (Secret, error) {
	if length <= 0 {
		length = DefaultPasswordLength
	}
	// Bytes at or above this bound would favour the first characters of the alphabet.
	bound := 256 - 256%len(alphabet)
	password := make([]byte, 0, length)
	chunk := make([]byte, length)
	for len(password) < length {
		if _, err := io.ReadFull(random, chunk); err != nil {
			return Secret{}, fmt.Errorf("reading random bits for a password: %w", err)
		}
		for _, b := range chunk {
			if int(b) < bound && len(password) < length {
				password = append(password, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return NewSecret(string(password)), nil
}

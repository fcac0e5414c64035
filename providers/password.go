package providers

import (
	"fmt"
	"io"
)

// DefaultPasswordLength gives a password of 190 bits.
const DefaultPasswordLength = 32

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// NewPassword returns a password of length letters and digits, each drawn evenly from random; a
// length of zero or less means DefaultPasswordLength. Letters and digits alone need no quoting in
// any shell, URL or statement.
func NewPassword(random io.Reader, length int) (Secret, error) {
	if length <= 0 {
		length = DefaultPasswordLength
	}
	// Bytes at or above this bound would favour the first characters of the alphabet.
	const bound = 256 - 256%len(alphanumeric)
	password := make([]byte, 0, length)
	chunk := make([]byte, length)
	for len(password) < length {
		if _, err := io.ReadFull(random, chunk); err != nil {
			return Secret{}, fmt.Errorf("reading random bits for a password: %w", err)
		}
		for _, b := range chunk {
			if int(b) < bound && len(password) < length {
				password = append(password, alphanumeric[int(b)%len(alphanumeric)])
			}
		}
	}
	return NewSecret(string(password)), nil
}

package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

const recoveryKeySize = 32

// Recovery is a keyring wrapped by a key that only its shares make.
type Recovery struct {
	Wrapped   []byte
	Shares    int
	Threshold int
	Split     []byte // names the splitting
}

// ErrRecovery is returned when the shares together do not open what was wrapped.
var ErrRecovery = errors.New("these shares do not open this snapshot's keyring")

// NewRecovery wraps the keyring for a cluster by a new key, which it splits and forgets.
func (k *Keyring) NewRecovery(clusterID string, shares, threshold int, random io.Reader) (Recovery, []Share, error) {
	fresh := make([]byte, recoveryKeySize+splitSize+12)
	if _, err := io.ReadFull(random, fresh); err != nil {
		return Recovery{}, nil, fmt.Errorf("making a recovery key: %w", err)
	}
	defer clear(fresh)
	key, nonce := fresh[:recoveryKeySize], fresh[recoveryKeySize+splitSize:]
	r := Recovery{Shares: shares, Threshold: threshold, Split: append([]byte(nil), fresh[recoveryKeySize:recoveryKeySize+splitSize]...)}
	gcm, err := recoveryCipher(key, clusterID)
	if err != nil {
		return Recovery{}, nil, err
	}
	r.Wrapped = gcm.Seal(append([]byte(nil), nonce...), nonce, k.file, recoveryRecord(clusterID, r.Split))
	values, err := split(key, shares, threshold, random)
	if err != nil {
		return Recovery{}, nil, err
	}
	list := make([]Share, shares)
	for i, value := range values {
		list[i] = Share{number: byte(i + 1), cluster: clusterHint(clusterID), split: r.Split, value: value}
	}
	return r, list, nil
}

// Open returns the content of the key file that was wrapped. Errors wrap ErrShare for shares that are too
// few or do not go together, and ErrRecovery when they do and still do not open it.
func (r Recovery) Open(clusterID string, shares []Share) (KeyFile, error) {
	var numbers []byte
	var values [][]byte
	for i, s := range shares {
		if err := CheckShare(s, clusterID, r.Split, shares[:i]); err != nil {
			return nil, err
		}
		numbers, values = append(numbers, s.number), append(values, s.value)
	}
	if len(shares) < r.Threshold {
		return nil, fmt.Errorf("%w: %d of the %d shares are needed, and %d given", ErrShare, r.Threshold, r.Shares, len(shares))
	}
	key, err := combine(numbers, values)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShare, err)
	}
	defer clear(key)
	gcm, err := recoveryCipher(key, clusterID)
	if err != nil {
		return nil, err
	}
	if len(r.Wrapped) < gcm.NonceSize() {
		return nil, fmt.Errorf("%w: what it holds is damaged", ErrRecovery)
	}
	file, err := gcm.Open(nil, r.Wrapped[:gcm.NonceSize()], r.Wrapped[gcm.NonceSize():], recoveryRecord(clusterID, r.Split))
	if err != nil {
		return nil, ErrRecovery
	}
	return file, nil
}

// KeyFile is the content of a key file, in clear. It prints as [redacted].
type KeyFile []byte

// String hides the content.
func (KeyFile) String() string { return "[redacted]" }

// Format hides the content from every verb.
func (KeyFile) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) } // a printer has no errors

// MarshalText hides the content from encoders.
func (KeyFile) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Write makes a key file. It is an error when it exists: another keyring may be in it.
func (f KeyFile) Write(path string) error { return writeKeyFile(path, f) }

// Keyring returns the keyring that the content holds.
func (f KeyFile) Keyring() (*Keyring, error) { return parse(f, "the recovered key file") }

// recoveryCipher returns the cipher of a recovery key for one cluster (HKDF, RFC 5869).
func recoveryCipher(key []byte, clusterID string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, []byte(clusterID), "broker recovery 1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving a key for recovery: %w", err)
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("deriving a key for recovery: %w", err)
	}
	return cipher.NewGCM(block)
}

// recoveryRecord is what a wrapped keyring is bound to.
func recoveryRecord(clusterID string, split []byte) []byte {
	return []byte("recovery:" + hex.EncodeToString(split) + ":" + clusterID)
}

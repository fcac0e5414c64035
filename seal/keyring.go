package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrOpen is returned when a sealed value cannot be opened: another keyring, another record, or damage.
var ErrOpen = errors.New("a sealed value cannot be opened with this keyring")

// Keyring encrypts and hashes for the whole cluster. It has one hashing key, and one sealing key or, while that is
// exchanged, several. It is safe for concurrent use.
type Keyring struct {
	keys  atomic.Pointer[keys]
	keep  func(before, after KeyFile) error // makes what was changed durable; nil: nothing does
	alter sync.Mutex                        // held while it is changed
}

// keys is what a keyring holds at one time.
type keys struct {
	sealing, hashing *keyset.Handle
	aead             tink.AEAD
	prf              *prf.Set
	file             KeyFile // the same as a key file, to be wrapped and sent
	kept             KeyFile // what was made durable last
}

func newKeyring(content *keys, keep func(before, after KeyFile) error) *Keyring {
	k := &Keyring{keep: keep}
	k.keys.Store(content)
	return k
}

// Seal encrypts a value and binds it to the record it belongs to: it opens for the same record only.
func (k *Keyring) Seal(plain []byte, record string) ([]byte, error) {
	sealed, err := k.keys.Load().aead.Encrypt(plain, []byte(record))
	if err != nil {
		return nil, fmt.Errorf("sealing a value of %s: %w", record, err)
	}
	return sealed, nil
}

// Open decrypts a value of the record. ErrOpen when that is not possible.
func (k *Keyring) Open(sealed []byte, record string) ([]byte, error) {
	plain, err := k.keys.Load().aead.Decrypt(sealed, []byte(record))
	if err != nil {
		return nil, fmt.Errorf("opening a value of %s: %w", record, ErrOpen)
	}
	return plain, nil
}

// Hash returns a keyed hash of a value, the same on every node and useless without the keyring.
func (k *Keyring) Hash(purpose, value string) ([]byte, error) {
	sum, err := k.keys.Load().prf.ComputePrimaryPRF(fmt.Appendf(nil, "%s\x00%s", purpose, value), 32)
	if err != nil {
		return nil, fmt.Errorf("hashing a value: %w", err)
	}
	return sum, nil
}

// SealFor encrypts a value so that it opens only with the keyring and the secret together. The secret
// is kept nowhere in the cluster: once its owner forgets it, the value is gone, from log and
// snapshots too.
func (k *Keyring) SealFor(secret string, plain []byte, record string) ([]byte, error) {
	gcm, err := owned(secret, record)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("sealing a value of %s: %w", record, err)
	}
	return k.Seal(gcm.Seal(nonce, nonce, plain, []byte(record)), record)
}

// OpenFor decrypts what SealFor encrypted. ErrOpen when secret, record or keyring differ.
func (k *Keyring) OpenFor(secret string, sealed []byte, record string) ([]byte, error) {
	inner, err := k.Open(sealed, record)
	if err != nil {
		return nil, err
	}
	gcm, err := owned(secret, record)
	if err != nil {
		return nil, err
	}
	if len(inner) < gcm.NonceSize() {
		return nil, fmt.Errorf("opening a value of %s: %w", record, ErrOpen)
	}
	plain, err := gcm.Open(nil, inner[:gcm.NonceSize()], inner[gcm.NonceSize():], []byte(record))
	if err != nil {
		return nil, fmt.Errorf("opening a value of %s: %w", record, ErrOpen)
	}
	return plain, nil
}

// owned returns the cipher of a secret for one record (HKDF, RFC 5869).
func owned(secret, record string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), []byte(record), "broker sealed reply", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving a key for %s: %w", record, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("deriving a key for %s: %w", record, err)
	}
	return cipher.NewGCM(block)
}

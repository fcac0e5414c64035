package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrOpen is returned when a sealed value cannot be opened: another keyring, another record, or damage.
var ErrOpen = errors.New("a sealed value cannot be opened with this keyring")

// Keyring encrypts and hashes for the whole cluster. It is safe for concurrent use.
type Keyring struct {
	aead tink.AEAD
	prf  *prf.Set
	file KeyFile // what it was made of, to be wrapped
}

// keyFile is the content of a key file: two tink keysets in clear.
type keyFile struct {
	Format  string          `json:"format"`
	Sealing json.RawMessage `json:"sealing"` // AES-256-GCM
	Hashing json.RawMessage `json:"hashing"` // HMAC-SHA-256 PRF
}

const keyFileFormat = "broker-keyring-1"

// Create makes a new keyring in a new file, readable by its owner only. It is an error when the file
// exists: a keyring that is lost cannot be made again.
func Create(path string) error {
	sealing, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return fmt.Errorf("making a sealing key: %w", err)
	}
	hashing, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return fmt.Errorf("making a hashing key: %w", err)
	}
	k := keyFile{Format: keyFileFormat}
	if k.Sealing, err = export(sealing); err != nil {
		return err
	}
	if k.Hashing, err = export(hashing); err != nil {
		return err
	}
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the key file: %w", err)
	}
	return writeKeyFile(path, append(data, '\n'))
}

// Install writes a key file that another node has sent. A file that is there already must be the same.
func Install(path string, data []byte) error {
	present, err := os.ReadFile(path)
	if err == nil {
		if !bytes.Equal(present, data) {
			return fmt.Errorf("the key file %s is not that of the cluster: move it away, if nothing else needs it", path)
		}
		return syncDir(filepath.Dir(path)) // an earlier try may have died before it did
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the key file: %w", err)
	}
	return writeKeyFile(path, data)
}

func writeKeyFile(path string, data []byte) error {
	if err := WriteNew(path, data); err != nil {
		return fmt.Errorf("making the key file: %w", err)
	}
	return nil
}

// Load reads a key file. One that others can read is refused.
func Load(path string) (*Keyring, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no key file at %s: every node needs the cluster's key file; the first node makes it", path)
	case err != nil:
		return nil, fmt.Errorf("reading the key file: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("key file %s can be read by others (mode %04o): run chmod 600 on it", path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	return parse(data, path)
}

// parse reads the content of a key file, whose name is for errors.
func parse(data []byte, path string) (*Keyring, error) {
	var k keyFile
	if err := json.Unmarshal(data, &k); err != nil || k.Format != keyFileFormat {
		return nil, fmt.Errorf("%s is not a key file of the broker", path)
	}
	sealing, err := load(k.Sealing)
	if err != nil {
		return nil, fmt.Errorf("reading the sealing key of %s: %w", path, err)
	}
	hashing, err := load(k.Hashing)
	if err != nil {
		return nil, fmt.Errorf("reading the hashing key of %s: %w", path, err)
	}
	a, err := aead.New(sealing)
	if err != nil {
		return nil, fmt.Errorf("using the sealing key of %s: %w", path, err)
	}
	p, err := prf.NewPRFSet(hashing)
	if err != nil {
		return nil, fmt.Errorf("using the hashing key of %s: %w", path, err)
	}
	return &Keyring{aead: a, prf: p, file: data}, nil
}

// Seal encrypts a value and binds it to the record it belongs to: it opens for the same record only.
func (k *Keyring) Seal(plain []byte, record string) ([]byte, error) {
	sealed, err := k.aead.Encrypt(plain, []byte(record))
	if err != nil {
		return nil, fmt.Errorf("sealing a value of %s: %w", record, err)
	}
	return sealed, nil
}

// Open decrypts a value of the record. ErrOpen when that is not possible.
func (k *Keyring) Open(sealed []byte, record string) ([]byte, error) {
	plain, err := k.aead.Decrypt(sealed, []byte(record))
	if err != nil {
		return nil, fmt.Errorf("opening a value of %s: %w", record, ErrOpen)
	}
	return plain, nil
}

// Hash returns a keyed hash of a value, the same on every node and useless without the keyring.
func (k *Keyring) Hash(purpose, value string) ([]byte, error) {
	sum, err := k.prf.ComputePrimaryPRF(fmt.Appendf(nil, "%s\x00%s", purpose, value), 32)
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

func export(h *keyset.Handle) (json.RawMessage, error) {
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&buf)); err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return buf.Bytes(), nil
}

func load(data json.RawMessage) (*keyset.Handle, error) {
	return insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
}

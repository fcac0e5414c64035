package seal

import (
	"bytes"
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
	"google.golang.org/protobuf/proto"
)

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

// Keyring returns the keyring that the content holds. Nothing keeps what is changed of it.
func (f KeyFile) Keyring() (*Keyring, error) {
	content, err := parse(f, "the recovered key file")
	if err != nil {
		return nil, err
	}
	return newKeyring(content, nil), nil
}

// keyFile is the content of a key file: two tink keysets in clear.
type keyFile struct {
	Format  string          `json:"format"`
	Sealing json.RawMessage `json:"sealing"` // AES-256-GCM; the primary key seals, all of them open
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
	file, err := encodeKeyFile(sealing, hashing)
	if err != nil {
		return err
	}
	return writeKeyFile(path, file)
}

// Install writes a key file that another node has sent. A file that is there already must be of the same cluster: an
// earlier try may have written it, before the sealing key was exchanged.
func Install(path string, data []byte) error {
	present, err := os.ReadFile(path)
	if err == nil {
		if bytes.Equal(present, data) {
			return syncDir(filepath.Dir(path)) // an earlier try may have died before it did
		}
		if !sameCluster(present, data) {
			return fmt.Errorf("the key file %s is not that of the cluster: move it away, if nothing else needs it", path)
		}
		return replaceFile(path, data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the key file: %w", err)
	}
	return writeKeyFile(path, data)
}

// sameCluster reports whether two key files have one hashing key, which is never exchanged.
func sameCluster(a, b []byte) bool {
	x, err := parse(a, "")
	y, other := parse(b, "")
	return err == nil && other == nil &&
		proto.Equal(insecurecleartextkeyset.KeysetMaterial(x.hashing), insecurecleartextkeyset.KeysetMaterial(y.hashing))
}

func writeKeyFile(path string, data []byte) error {
	if err := WriteNew(path, data); err != nil {
		return fmt.Errorf("making the key file: %w", err)
	}
	return nil
}

// Load reads a key file. One that others can read is refused. What is changed of the keyring is kept in the file.
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
	content, err := parse(data, path)
	if err != nil {
		return nil, err
	}
	return newKeyring(content, func(before, after KeyFile) error { return replaceKeyFile(path, before, after) }), nil
}

// replaceKeyFile puts other keys into a key file. One that somebody else has changed stays as it is: keys that are
// only there would be lost.
func replaceKeyFile(path string, before, after KeyFile) error {
	present, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the key file: %w", err)
	}
	if !bytes.Equal(present, before) {
		return fmt.Errorf("the key file %s was changed by something else than this node: give each node a key file of its own, and start this one again", path)
	}
	return replaceFile(path, after)
}

// parse reads the content of a key file, whose name is for errors.
func parse(data []byte, path string) (*keys, error) {
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
	content := &keys{sealing: sealing, hashing: hashing, file: data, kept: data}
	if content.aead, err = aead.New(sealing); err != nil {
		return nil, fmt.Errorf("using the sealing key of %s: %w", path, err)
	}
	if content.prf, err = prf.NewPRFSet(hashing); err != nil {
		return nil, fmt.Errorf("using the hashing key of %s: %w", path, err)
	}
	return content, nil
}

func encodeKeyFile(sealing, hashing *keyset.Handle) (KeyFile, error) {
	k := keyFile{Format: keyFileFormat}
	var err error
	if k.Sealing, err = export(sealing); err != nil {
		return nil, err
	}
	if k.Hashing, err = export(hashing); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the key file: %w", err)
	}
	return append(data, '\n'), nil
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

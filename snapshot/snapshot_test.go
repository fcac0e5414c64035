package snapshot

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// prover proves with a key.
func prover(key string) Prover {
	return func(sum []byte) ([]byte, error) {
		h := hmac.New(sha256.New, []byte(key))
		h.Write(sum)
		return h.Sum(nil), nil
	}
}

func mustWrite(t *testing.T, h Header, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, h, prover("key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var example = Header{
	Format: Format, ClusterID: "c1", Index: 42, Term: 3, ClockAt: time.Unix(1, 0).UTC(), CreatedAt: time.Unix(2, 0).UTC(), Node: "n1", Version: "dev",
	StateHash: "ab", Recovery: &Recovery{Shares: 5, Threshold: 3, CreatedAt: time.Unix(1, 0).UTC(), Split: "0a"}, Counts: map[string]uint64{"leases_active": 7},
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, size := range []int{0, 1, maxPiece, 3*maxPiece + 5} {
		content := bytes.Repeat([]byte("x"), size)
		file := mustWrite(t, example, content)
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d: %v", size, len(got), err)
		}
		if d := cmp.Diff(example, r.Header()); d != "" {
			t.Errorf("header (-want +got):\n%s", d)
		}
	}
}

// Every cut and every changed byte is noticed.
func TestDamageIsNoticed(t *testing.T) {
	file := mustWrite(t, example, []byte(strings.Repeat("content ", 20)))
	for n := range file {
		_, _, err := Verify(bytes.NewReader(file[:n]))
		if n == 0 && !errors.Is(err, ErrNotSnapshot) || n > 0 && !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(file)
			changed[n] ^= bit
			if _, _, err := Verify(bytes.NewReader(changed)); err == nil {
				t.Errorf("byte %d changed by %x: not noticed", n, bit)
			}
		}
	}
	if _, _, err := Verify(bytes.NewReader(append(bytes.Clone(file), 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte too much: %v", err)
	}
	if _, _, err := Verify(strings.NewReader("some other file, longer than the beginning")); !errors.Is(err, ErrNotSnapshot) {
		t.Errorf("another file: %v", err)
	}
}

// A file that has its checksum is believed only when its proof was made with the key.
func TestProof(t *testing.T) {
	check := func(file []byte, prove Prover) error {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CheckProof(prove); err == nil || errors.Is(err, ErrForged) {
			t.Errorf("before the content was read: %v", err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		return r.CheckProof(prove)
	}
	file := mustWrite(t, example, []byte("content"))
	if err := check(file, prover("key")); err != nil {
		t.Errorf("the cluster's own: %v", err)
	}
	if err := check(file, prover("another")); !errors.Is(err, ErrForged) {
		t.Errorf("another cluster's key: %v", err)
	}
	// Whoever may write to the file and has no key makes the checksum anew.
	for n := len(magic) + 4; n < len(file)-sha256.Size; n++ {
		forged := bytes.Clone(file)
		forged[n] ^= 1
		sum := sha256.Sum256(forged[:len(forged)-sha256.Size])
		copy(forged[len(forged)-sha256.Size:], sum[:])
		if _, _, err := Verify(bytes.NewReader(forged)); err != nil {
			continue // its form is wrong
		}
		if err := check(forged, prover("key")); !errors.Is(err, ErrForged) {
			t.Errorf("byte %d changed, with a checksum that fits: %v", n, err)
		}
	}
	broken := func([]byte) ([]byte, error) { return nil, errors.New("no key") }
	w, err := NewWriter(io.Discard, example, broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil {
		t.Error("a file without a proof was ended")
	}
}

// A later format is told apart from damage, whatever else its header holds.
func TestNewerFormat(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, example, prover("key"))
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	header, err := json.Marshal(map[string]any{"format": Format + 1, "index": "not a number any more"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteString(magic); err != nil {
		t.Fatal(err)
	}
	if err := w.piece(header); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Verify(&out); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer format: %v", err)
	}
}

// FuzzVerify: no input makes the reader fail otherwise than by an error.
func FuzzVerify(f *testing.F) {
	var out bytes.Buffer
	w, err := NewWriter(&out, example, prover("key"))
	if err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte(magic))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _, _ = Verify(bytes.NewReader(data)) // whatever it says
	})
}

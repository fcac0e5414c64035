package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The products are those of FIPS 197 (4.2), and every number has its inverse.
func TestField(t *testing.T) {
	for _, c := range []struct{ a, b, want byte }{{0x57, 0x83, 0xc1}, {0x57, 0x13, 0xfe}, {0x57, 0x02, 0xae}, {0, 0x57, 0}, {1, 0x57, 0x57}} {
		if got := multiply(c.a, c.b); got != c.want {
			t.Errorf("%x · %x = %x, want %x", c.a, c.b, got, c.want)
		}
	}
	for a := 1; a < 256; a++ {
		if got := multiply(byte(a), inverse(byte(a))); got != 1 {
			t.Errorf("%x · 1/%x = %x", a, a, got)
		}
	}
}

// So many shares as the threshold make the secret, whichever they are; one less make any secret equally well.
func TestSplitAndCombine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "secret")
		n := rapid.IntRange(1, 12).Draw(t, "shares")
		threshold := rapid.IntRange(1, n).Draw(t, "threshold")
		shares, err := split(secret, n, threshold, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		var numbers []byte
		var values [][]byte
		for _, i := range rapid.Permutation(indexes(n)).Draw(t, "order")[:threshold] {
			numbers, values = append(numbers, byte(i+1)), append(values, shares[i])
		}
		if got, err := combine(numbers, values); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("%d of %d shares make %x, want %x: %v", threshold, n, got, secret, err)
		}
		if threshold == 1 {
			return
		}
		// With one share less, each other secret has exactly one value of the missing share that makes it.
		other := rapid.SliceOfN(rapid.Byte(), len(secret), len(secret)).Draw(t, "other secret")
		for k := range secret {
			found := 0
			for v := range 256 {
				made, err := combine(numbers, append(column(values[:threshold-1], k), []byte{byte(v)}))
				if err != nil {
					t.Fatal(err)
				}
				if made[0] == other[k] {
					found++
				}
			}
			if found != 1 {
				t.Fatalf("%d values of the missing share make byte %d of another secret, want 1", found, k)
			}
		}
	})
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// column returns one byte of each value.
func column(values [][]byte, k int) [][]byte {
	var out [][]byte
	for _, v := range values {
		out = append(out, v[k:k+1])
	}
	return out
}

func TestSplitRefuses(t *testing.T) {
	for _, c := range []struct{ n, threshold int }{{0, 0}, {3, 0}, {2, 3}, {256, 2}} {
		if _, err := split([]byte("x"), c.n, c.threshold, rand.Reader); err == nil {
			t.Errorf("%d of %d was taken", c.threshold, c.n)
		}
	}
	for _, numbers := range [][]byte{{}, {0, 1}, {2, 2}} {
		if _, err := combine(numbers, make([][]byte, len(numbers))); err == nil {
			t.Errorf("shares %v were combined", numbers)
		}
	}
}

func mustKeyring(t *testing.T) *Keyring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	k, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustRecovery(t *testing.T, k *Keyring, clusterID string, n, threshold int) (Recovery, []Share) {
	t.Helper()
	r, shares, err := k.NewRecovery(clusterID, n, threshold, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range shares { // as they come back from paper
		if shares[i], err = ParseShare("  " + strings.ToUpper(s.Text()) + "\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	return r, shares
}

// The recovered key file opens what the lost one sealed.
func TestRecovery(t *testing.T) {
	k := mustKeyring(t)
	sealed, err := k.Seal([]byte("root password"), "connection:a")
	if err != nil {
		t.Fatal(err)
	}
	r, shares := mustRecovery(t, k, "c1", 5, 3)
	file, err := r.Open("c1", []Share{shares[4], shares[0], shares[2]})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "deep", "keyring.json")
	if err := file.Write(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
	if err := file.Write(path); err == nil {
		t.Error("an existing key file was overwritten")
	}
	again, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Open(sealed, "connection:a"); err != nil || string(plain) != "root password" {
		t.Errorf("opened %q, %v", plain, err)
	}
}

// Shares that do not do are told apart, each by a sentence, and no sentence repeats one.
func TestWrongShares(t *testing.T) {
	k := mustKeyring(t)
	r, s := mustRecovery(t, k, "c1", 5, 3)
	_, other := mustRecovery(t, k, "c1", 5, 3)
	_, foreign := mustRecovery(t, k, "c2", 5, 3)
	for name, c := range map[string]struct {
		shares []Share
		says   string
	}{
		"none":            {nil, "3 of the 5 shares are needed, and 0 given"},
		"too few":         {s[:2], "3 of the 5 shares are needed, and 2 given"},
		"repeated":        {[]Share{s[0], s[1], s[1]}, "share 2 was given already"},
		"of another time": {[]Share{s[0], s[1], other[2]}, "share 3 is of another splitting"},
		"foreign":         {[]Share{s[0], foreign[1], s[2]}, "share 2 belongs to another cluster"},
	} {
		_, err := r.Open("c1", c.shares)
		if !errors.Is(err, ErrShare) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	// A value that was changed together with its checksum opens nothing.
	forged := s[0]
	forged.value = bytes.Repeat([]byte{7}, recoveryKeySize)
	if _, err := r.Open("c1", []Share{forged, s[1], s[2]}); !errors.Is(err, ErrRecovery) {
		t.Errorf("a forged share: %v", err)
	}
	damaged := r
	damaged.Wrapped = r.Wrapped[:5]
	if _, err := damaged.Open("c1", s[:3]); !errors.Is(err, ErrRecovery) {
		t.Errorf("a damaged record: %v", err)
	}
}

// Each mangled character is noticed.
func TestMangledShares(t *testing.T) {
	_, s := mustRecovery(t, mustKeyring(t), "c1", 2, 2)
	line := s[1].Text()
	for i := range line {
		for _, with := range []string{"", "a", "7", "_"} {
			mangled := line[:i] + with + line[i+1:]
			if mangled == line {
				continue
			}
			_, err := ParseShare(mangled)
			if !errors.Is(err, ErrShare) {
				t.Errorf("%s with %q at %d: %v", line, with, i, err)
			} else if strings.Contains(err.Error(), line[20:40]) {
				t.Errorf("the error repeats the share: %v", err)
			}
		}
	}
}

// Shares and key files show themselves nowhere.
func TestSharesAreHidden(t *testing.T) {
	k := mustKeyring(t)
	_, s := mustRecovery(t, k, "c1", 1, 1)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "share", s[0], "shares", s, "file", k.keys.Load().file)
	fmt.Fprintf(&out, "%v %+v %#v %s %x %v %s %x", s[0], s[0], s[0], s[0], s[0], k.keys.Load().file, k.keys.Load().file, k.keys.Load().file)
	for _, secret := range []string{strings.Split(s[0].Text(), "_")[3], "typeUrl", "keyData", base64.StdEncoding.EncodeToString(k.keys.Load().file)[:40]} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is shown: %s", secret, out.String())
		}
	}
}

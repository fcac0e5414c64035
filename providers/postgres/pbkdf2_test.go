package postgres

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestSaltedPassword(t *testing.T) {
	if !wholeBlocksWork() {
		t.Error("the fast way differs from crypto/pbkdf2 and is not used")
	}
	for _, password := range []string{"", "x", "aGVsbG8gd29ybGQgMDEyMzQ1Njc4OTAx", strings.Repeat("p", 64), strings.Repeat("p", 65), strings.Repeat("p", 200)} {
		for _, salt := range []string{"", "0123456789abcdef", strings.Repeat("s", 70)} {
			for _, iterations := range []int{1, 2, 3, 64, 4096} {
				want, err := pbkdf2.Key(sha256.New, password, []byte(salt), iterations, sha256.Size)
				if err != nil {
					t.Fatal(err)
				}
				for name, derive := range map[string]func(string, []byte, int) ([]byte, error){"whole blocks": byWholeBlocks, "chosen": saltedPassword} {
					if got, err := derive(password, []byte(salt), iterations); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: password of %d, salt of %d, %d iterations: %x, %v, want %x", name, len(password), len(salt), iterations, got, err, want)
					}
				}
			}
		}
	}
}

func BenchmarkSaltedPassword(b *testing.B) {
	const password = "aGVsbG8gd29ybGQgMDEyMzQ1Njc4OTAx"
	for _, iterations := range []int{64, 4096} {
		b.Run(fmt.Sprintf("iterations=%d/ours", iterations), func(b *testing.B) {
			for b.Loop() {
				_, _ = saltedPassword(password, []byte("0123456789abcdef"), iterations)
			}
		})
		b.Run(fmt.Sprintf("iterations=%d/std", iterations), func(b *testing.B) {
			for b.Loop() {
				_, _ = pbkdf2.Key(sha256.New, password, []byte("0123456789abcdef"), iterations, sha256.Size)
			}
		})
	}
}

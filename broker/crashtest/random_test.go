package crashtest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// random is what a process draws its random bytes from. The same is drawn in every run of the same seed,
// also by goroutines that draw at one instant in an order of their own: the few bytes that jitter takes
// depend on the instant only.
type random struct {
	mu   sync.Mutex
	a, b uint64
	long *rand.ChaCha8
}

func newRandom(a, b uint64) io.Reader {
	return &random{a: a, b: b, long: rand.NewChaCha8(seedOf(a, b, 0))}
}

func (r *random) Read(p []byte) (int, error) {
	if len(p) <= 2 {
		return rand.NewChaCha8(seedOf(r.a, r.b, time.Since(epoch))).Read(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.long.Read(p)
}

func seedOf(a, b uint64, at time.Duration) (seed [32]byte) {
	binary.LittleEndian.PutUint64(seed[0:], a)
	binary.LittleEndian.PutUint64(seed[8:], b)
	binary.LittleEndian.PutUint64(seed[16:], uint64(at))
	return seed
}

// openKeyring seals nothing; stored answers open with the client's own key only, as the real one has it.
type openKeyring struct{}

func (openKeyring) Seal(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (openKeyring) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }
func (openKeyring) SealFor(secret string, plain []byte, record string) ([]byte, error) {
	return []byte(secret + "\x00" + record + "\x00" + string(plain)), nil
}
func (openKeyring) OpenFor(secret string, sealed []byte, record string) ([]byte, error) {
	plain, ok := strings.CutPrefix(string(sealed), secret+"\x00"+record+"\x00")
	if !ok {
		return nil, fmt.Errorf("the answer of %s does not open with this key", record)
	}
	return []byte(plain), nil
}

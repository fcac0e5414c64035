package postgres

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A credential is given to one only, fits its own verifier's number of iterations, and none is kept once
// the stock is closed.
func TestStock(t *testing.T) {
	s := &stock{random: rand.Reader}
	var mu sync.Mutex
	seen := map[string]bool{}
	take := func(iterations int) {
		c, err := s.take(iterations)
		if err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(c.verifier, fmt.Sprintf("SCRAM-SHA-256$%d:", iterations)) {
			t.Errorf("asked for %d iterations, got %.20s…", iterations, c.verifier)
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[c.verifier] || seen[c.password.Reveal()] {
			t.Error("a credential was given twice")
		}
		seen[c.verifier], seen[c.password.Reveal()] = true, true
	}
	ready := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ready)
	}
	take(1024)
	for deadline := time.Now().Add(10 * time.Second); ready() < stocked; {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d are ready", ready(), stocked)
		}
	}
	var takers sync.WaitGroup
	for i := range 40 {
		takers.Go(func() { take(1024 + i%2) })
	}
	takers.Wait()
	s.close()
	if n := ready(); n != 0 {
		t.Errorf("%d are ready after close", n)
	}
	take(1024)
}

type dry struct{}

func (dry) Read([]byte) (int, error) { return 0, errors.New("no random bits") }

func TestStockWithoutRandomBits(t *testing.T) {
	s := &stock{random: dry{}}
	for range 2 {
		if _, err := s.take(1024); err == nil {
			t.Error("a credential out of nothing")
		}
	}
	s.close()
}

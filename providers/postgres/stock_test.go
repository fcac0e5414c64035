package postgres

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/providers"
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

// Secrets with passwords of their own kind get them, and leave the stock alone.
func TestStockOfOtherPasswords(t *testing.T) {
	s := &stock{random: rand.Reader}
	defer s.close()
	for _, options := range []providers.Options{
		{providers.OptionPasswordLength: int64(64)},
		{providers.OptionPasswordLength: int64(20), providers.OptionPasswordAlphabet: providers.AlphabetSymbols, optionSCRAMIterations: int64(1024)},
	} {
		c, err := s.takeFor(options)
		if err != nil {
			t.Fatal(err)
		}
		if got := int64(len(c.password.Reveal())); got != options.Integer(providers.OptionPasswordLength) {
			t.Errorf("%v: got %d characters", options, got)
		}
		if !strings.HasPrefix(c.verifier, fmt.Sprintf("SCRAM-SHA-256$%d:", iterations(options))) {
			t.Errorf("%v: got %.20s…", options, c.verifier)
		}
	}
	if s.filling || len(s.ready) > 0 {
		t.Error("the stock was touched")
	}
	if c, err := s.takeFor(providers.Options{optionSCRAMIterations: int64(1024)}); err != nil || len(c.password.Reveal()) != providers.DefaultPasswordLength {
		t.Errorf("the default: got %d characters, %v", len(c.password.Reveal()), err)
	}
}

package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// grace is how long after its end a login goes on, should the broker be down then.
const grace = 5 * time.Minute

// store keeps the logins in a file.
type store struct {
	path string

	mu   sync.Mutex
	kept kept
}

// kept is what the file holds.
type kept struct {
	System string             `json:"system"`
	Logins map[string]account `json:"logins"`
}

type account struct {
	Password  string    `json:"password"` // its digest
	Role      string    `json:"role"`
	ExpiresAt time.Time `json:"expires_at"`
	Cluster   string    `json:"cluster"`
	Lease     string    `json:"lease"`
}

// openStore reads the file, or begins a new one with an identity of its own.
func openStore(path string) (*store, error) {
	s := &store{path: path, kept: kept{System: rand.Text(), Logins: map[string]account{}}}
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, s.write(s.kept)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the logins: %w", err)
	}
	if err := json.Unmarshal(content, &s.kept); err != nil {
		return nil, fmt.Errorf("reading the logins: %w", err)
	}
	return s, nil
}

func (s *store) system() string { return s.kept.System } // never changes

// change changes a copy of the logins and keeps it: what was answered with success outlives a crash, and what failed
// changed nothing.
func (s *store) change(do func(logins map[string]account) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := kept{System: s.kept.System, Logins: maps.Clone(s.kept.Logins)}
	if err := do(next.Logins); err != nil {
		return err
	}
	if maps.Equal(next.Logins, s.kept.Logins) {
		return nil
	}
	if err := s.write(next); err != nil {
		return err
	}
	s.kept = next
	return nil
}

// write replaces the file by a whole new one.
func (s *store) write(next kept) error {
	content, err := json.MarshalIndent(next, "", " ")
	if err != nil {
		return fmt.Errorf("writing the logins: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+"-*")
	if err != nil {
		return fmt.Errorf("writing the logins: %w", err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), s.path)
	}
	if err != nil {
		return fmt.Errorf("writing the logins: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

func (s *store) get(name string) (account, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, exists := s.kept.Logins[name]
	return a, exists
}

// names returns the names that begin with prefix, beyond a cursor, sorted.
func (s *store) names(prefix, cursor string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.kept.Logins {
		if strings.HasPrefix(name, prefix) && name > cursor {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// authenticate checks a log-in.
func (s *store) authenticate(name, password string) (account, bool) {
	a, exists := s.get(name)
	right := subtle.ConstantTimeCompare([]byte(digest(password)), []byte(a.Password)) == 1
	return a, exists && right && time.Now().Before(a.ExpiresAt.Add(grace))
}

// digest is enough for passwords of 128 random bits; those that people choose need a slow hash.
func digest(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

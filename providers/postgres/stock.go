package postgres

import (
	"io"
	"sync"

	"broker/providers"
)

// credential is a password and what the server is told of it.
type credential struct {
	password providers.Secret
	verifier string
}

// newCredential makes a credential as a secret's options say.
func newCredential(random io.Reader, options providers.Options) (c credential, err error) {
	if c.password, err = providers.Password(random, options); err == nil {
		c.verifier, err = scramVerifier(random, c.password, iterations(options))
	}
	return c, err
}

func newDefaultCredential(random io.Reader, iterations int) (credential, error) {
	return newCredential(random, providers.Options{optionSCRAMIterations: int64(iterations)})
}

// stock keeps a few credentials ready: deriving a verifier takes about as long as a round through the
// log, and nothing about it depends on the login it will belong to. Nobody has seen those that are never
// used, and they go with the Backend.
type stock struct {
	random io.Reader

	mu         sync.Mutex
	iterations int // of those that are ready: those of the last one asked for
	ready      []credential
	filling    bool
	closed     bool
	work       sync.WaitGroup
}

// stocked is how many credentials are kept. They serve single requests, not a load, which would have used
// them up at once.
const stocked = 8

// takeFor returns a credential for a login with these options, a ready one if there is one: those have default passwords.
func (s *stock) takeFor(options providers.Options) (credential, error) {
	if !providers.DefaultPasswords(options) {
		return newCredential(s.random, options)
	}
	return s.take(iterations(options))
}

// take returns a credential with a default password, a ready one if there is one.
func (s *stock) take(iterations int) (credential, error) {
	if iterations <= sharedIterations {
		return newDefaultCredential(s.random, iterations)
	}
	s.mu.Lock()
	if s.iterations != iterations {
		s.iterations, s.ready = iterations, nil
	}
	var taken credential
	n := len(s.ready)
	if n > 0 {
		taken, s.ready = s.ready[n-1], s.ready[:n-1]
	}
	if !s.filling && !s.closed {
		s.filling = true
		s.work.Go(s.fill)
	}
	s.mu.Unlock()
	if n > 0 {
		return taken, nil
	}
	return newDefaultCredential(s.random, iterations)
}

// fill makes credentials one by one until there are enough.
func (s *stock) fill() {
	for {
		s.mu.Lock()
		iterations := s.iterations
		if s.closed || len(s.ready) >= stocked {
			s.filling = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		made, err := newDefaultCredential(s.random, iterations)
		s.mu.Lock()
		switch {
		case err != nil: // whoever needs one will hear of it
			s.filling = false
			s.mu.Unlock()
			return
		case !s.closed && s.iterations == iterations:
			s.ready = append(s.ready, made)
		}
		s.mu.Unlock()
	}
}

// close drops what is ready and waits for what is being made.
func (s *stock) close() {
	s.mu.Lock()
	s.closed, s.ready = true, nil
	s.mu.Unlock()
	s.work.Wait()
}

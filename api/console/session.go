package console

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// The limits of a session; a token that it is made with may have narrower ones.
const (
	sessionTTL = 12 * time.Hour
	idleTTL    = 30 * time.Minute
)

// renewEvery is how often a session is renewed at the most while somebody clicks.
const renewEvery = time.Minute

// sessionName is the description of the tokens that sessions are.
const sessionName = "console"

// sessions remembers whose tokens are and when they were renewed, so that most pages need not ask. A token that is not
// valid any more fails at the first call that a page makes.
type sessions struct {
	mu    sync.Mutex
	known map[[32]byte]known
}

type known struct {
	account   string
	accessor  string
	expiresAt *time.Time
	renewedAt time.Time
}

// maxSessions is how many are remembered; beyond that all are asked for again.
const maxSessions = 4096

func (s *sessions) get(token string) (known, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.known[sha256.Sum256([]byte(token))]
	return k, ok
}

func (s *sessions) put(token string, k known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSessions {
		s.known = map[[32]byte]known{}
	}
	s.known[sha256.Sum256([]byte(token))] = k
}

func (s *sessions) drop(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, sha256.Sum256([]byte(token)))
}

// cookieName is of this cluster: several may be reached by one host name. The prefix has browsers keep others from setting
// it; it needs TLS.
func (c *Console) cookieName(r *http.Request) string {
	id := strings.ToLower(c.config.ClusterID())
	name := "broker-" + id[:min(8, len(id))]
	if c.config.Encrypted(r) {
		return "__Host-" + name
	}
	return name
}

func (c *Console) cookie(r *http.Request, value string) *http.Cookie {
	return &http.Cookie{
		Name: c.cookieName(r), Value: value, Path: "/", HttpOnly: true, Secure: c.config.Encrypted(r), SameSite: http.SameSiteStrictMode,
	}
}

func (c *Console) dropCookie(w http.ResponseWriter, r *http.Request) {
	gone := c.cookie(r, "")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
}

// tokenOf returns the session's token; empty: nobody is signed in.
func (c *Console) tokenOf(r *http.Request) string {
	cookie, err := r.Cookie(c.cookieName(r))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// identify tells whose session a page is of, and renews it unless the page is a live refresh, which nobody asked for.
func (p *page) identify() error {
	k, ok := p.console.sessions.get(p.token)
	now := p.console.config.Now()
	if ok && (p.Live || now.Sub(k.renewedAt) < renewEvery) {
		p.Account, p.self, p.EndsAt = k.account, k.accessor, k.expiresAt
		return nil
	}
	var token types.Token
	var err error
	if !p.Live && !p.Stale {
		ctx, cancel := context.WithTimeout(p.ctx, time.Second) // a page does not wait for a leader here
		token, err = p.Client.RenewToken(ctx)
		cancel()
		if client.Code(err) == "unauthenticated" {
			return err
		}
	}
	if token.Accessor == "" {
		if ok {
			p.Account, p.self, p.EndsAt = k.account, k.accessor, k.expiresAt
			return nil
		}
		if token, err = p.Client.GetToken(p.ctx, "self"); err != nil {
			return err
		}
	}
	p.Account, p.self, p.EndsAt = token.Account, token.Accessor, token.ExpiresAt
	p.console.sessions.put(p.token, known{token.Account, token.Accessor, token.ExpiresAt, now})
	return nil
}

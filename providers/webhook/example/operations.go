package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// roles are what a secret's options may ask for: {"role": "reader"}.
var roles = map[string]bool{"reader": true, "writer": true}

// role reads options. Whatever the service does not know it refuses: a typing error should be found when the secret
// is saved.
func role(options json.RawMessage) (string, error) {
	given := struct {
		Role string `json:"role"`
	}{Role: "reader"}
	if len(options) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(options))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&given); err != nil {
			return "", fail(http.StatusUnprocessableEntity, `want options such as {"role": "reader"}`)
		}
	}
	if !roles[given.Role] {
		return "", fail(http.StatusUnprocessableEntity, "there is no role %q: there are reader and writer", given.Role)
	}
	return given.Role, nil
}

func (s *service) check(c call) (any, error) {
	problems := []string{}
	if _, err := role(c.Options); err != nil {
		problems = append(problems, err.Error())
	}
	return s.success(c, map[string]any{"problems": problems})
}

// create makes the login before the deadline or not at all. The store looks at the clock while it holds its lock: once
// confirm_absent has passed, no create that was on its way comes through.
func (s *service) create(c call) (any, error) {
	asked, err := role(c.Login.Options)
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	err = s.store.change(func(logins map[string]account) error {
		switch _, exists := logins[c.Login.Name]; {
		case !time.Now().Before(c.Deadline):
			return fail(http.StatusUnprocessableEntity, "the deadline has passed")
		case exists:
			return fail(http.StatusConflict, "login %s exists", c.Login.Name)
		}
		logins[c.Login.Name] = account{Password: digest(password), Role: asked, ExpiresAt: c.Login.ExpiresAt, Cluster: c.Cluster, Lease: c.Lease}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.success(c, map[string]any{"values": map[string]string{"password": password, "url": "/hello", "role": asked}})
}

// renew moves the end of a login, never to an earlier instant.
func (s *service) renew(c call) (any, error) {
	err := s.store.change(func(logins map[string]account) error {
		a, exists := logins[c.Login.Name]
		if !exists {
			return fail(http.StatusUnprocessableEntity, "there is no login %s", c.Login.Name)
		}
		if c.Login.ExpiresAt.After(a.ExpiresAt) {
			a.ExpiresAt = c.Login.ExpiresAt
			logins[c.Login.Name] = a
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.success(c, nil)
}

// revoke removes a login. That there is none is what was asked for.
func (s *service) revoke(c call) (any, error) {
	err := s.store.change(func(logins map[string]account) error {
		delete(logins, c.Login.Name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.success(c, nil)
}

func (s *service) confirmAbsent(c call) (any, error) {
	err := s.store.change(func(logins map[string]account) error {
		switch _, exists := logins[c.Login.Name]; {
		case exists:
			return fail(http.StatusConflict, "login %s exists", c.Login.Name)
		case !time.Now().After(c.NotBefore):
			return fail(http.StatusTooEarly, "a create may still come")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.success(c, nil)
}

// page is how many logins one answer lists.
const page = 500

func (s *service) list(c call) (any, error) {
	type listed struct {
		Name    string `json:"name"`
		Cluster string `json:"cluster"`
	}
	logins := []listed{}
	more := map[string]any{}
	for _, name := range s.store.names(c.Prefix, c.Cursor) {
		if len(logins) == page {
			more["next_cursor"] = logins[page-1].Name
			break
		}
		a, _ := s.store.get(name)
		logins = append(logins, listed{name, a.Cluster})
	}
	more["logins"] = logins
	return s.success(c, more)
}

func (s *service) logIn(c call) (any, error) {
	if _, ok := s.store.authenticate(c.Values["username"], c.Values["password"]); !ok {
		return nil, fail(http.StatusForbidden, "the password is refused")
	}
	return s.success(c, nil)
}

// hello is what the logins are for.
func (s *service) hello(w http.ResponseWriter, r *http.Request) {
	name, password, _ := r.BasicAuth()
	a, ok := s.store.authenticate(name, password)
	if !ok {
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	_, _ = fmt.Fprintf(w, "hello, %s, you are a %s\n", name, a.Role)
}

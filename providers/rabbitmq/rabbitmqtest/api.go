package rabbitmqtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// API makes one request of the management API as a user, and returns what it answered. A status that is none of success
// is an error.
func (s *Server) API(ctx context.Context, username, password, method, path string, body any) ([]byte, error) {
	scheme, client := "http", s.http
	if s.config.TLS {
		config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: Host, MinVersion: tls.VersionTLS12}
		config.RootCAs.AppendCertsFromPEM([]byte(s.Authority))
		scheme, client = "https", &http.Client{Timeout: s.http.Timeout, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	}
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, scheme+"://"+s.Management()+"/api/"+path, content)
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(username, password)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, said)
	}
	return said, err
}

// Do makes one request as the administrator.
func (s *Server) Do(ctx context.Context, method, path string, body any) ([]byte, error) {
	return s.API(ctx, AdminName, s.AdminPassword, method, path, body)
}

// MustDo is Do, or fails the test.
func (s *Server) MustDo(t testing.TB, method, path string, body any) []byte {
	t.Helper()
	said, err := s.Do(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// Logins returns the users whose names begin with prefix, sorted.
func (s *Server) Logins(ctx context.Context, prefix string) ([]string, error) {
	said, err := s.Do(ctx, http.MethodGet, "users?columns=name", nil)
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	var users []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(said, &users); err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	var names []string
	for _, user := range users {
		if strings.HasPrefix(user.Name, prefix) {
			names = append(names, user.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

package redistest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// RootName is the name of the root account.
const RootName = "broker"

// RootCommand returns the command by which an administrator makes the broker's root account. It is that of the
// provider's page; name, password and server are put in as they are.
func RootCommand(name, password, server string) []string {
	return []string{"ACL", "SETUSER", name, "on", ">" + password, "resetchannels", "&broker:server:" + server, "~broker:create:*",
		"+acl|setuser", "+acl|deluser", "+acl|getuser", "+acl|users", "+acl|whoami", "+acl|dryrun", "+acl|save", "+config|get", "+config|rewrite",
		"+client|setname", "+client|list", "+client|kill", "+set", "+get", "+del", "+watch", "+unwatch", "+multi", "+exec", "+time", "+info"}
}

// Prepare makes the root account and what leased users read, and returns the root account's password.
func (s *Server) Prepare(ctx context.Context) (rootPassword string, err error) {
	s.rootPassword, err = s.NewRoot(ctx, RootName, "01J0REDISTESTSERVER"+rand.Text()[:7])
	if err != nil {
		return "", err
	}
	if _, err := s.Do(ctx, "SET", "orders:1", "Ada"); err != nil {
		return "", fmt.Errorf("preparing orders: %w", err)
	}
	return s.rootPassword, nil
}

// NewRoot makes a root account at a server that is to be known by an id, saves it and returns its password.
func (s *Server) NewRoot(ctx context.Context, name, server string) (password string, err error) {
	password = rand.Text()
	command := []any{}
	for _, word := range RootCommand(name, password, server) {
		command = append(command, word)
	}
	if _, err := s.Do(ctx, command...); err != nil {
		return "", fmt.Errorf("making the root account: %w", err)
	}
	switch s.config.Persist {
	case "", "aclfile":
		_, err = s.Do(ctx, "ACL", "SAVE")
	case "config":
		_, err = s.Do(ctx, "CONFIG", "REWRITE")
	}
	if err != nil {
		return "", fmt.Errorf("saving the root account: %w", err)
	}
	return password, nil
}

// MustPrepare is Prepare, or fails the test.
func (s *Server) MustPrepare(t testing.TB) (rootPassword string) {
	t.Helper()
	password, err := s.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return password
}

// Connection returns the settings of a connection to a prepared server.
func (s *Server) Connection() map[string]any {
	connection := map[string]any{"host": Host, "port": s.Port(), "username": RootName, "password": s.rootPassword, "tls": "off"}
	if s.config.TLS {
		connection["tls"], connection["tls_ca"] = "verify", s.Authority
	}
	if s.config.Persist != "" {
		connection["persist"] = s.config.Persist
	}
	return connection
}

// Options returns options of a secret whose logins read what Prepare made.
func (s *Server) Options() map[string]any {
	return map[string]any{"rules": []any{"~orders:*", "+@read", "+ping"}}
}

// LogIn logs in with a lease's values and reads what Prepare made. Nil means that it could.
func (s *Server) LogIn(ctx context.Context, values map[string]string) error {
	client := s.Client(values["username"], values["password"])
	defer client.Close()
	if err := client.Get(ctx, "orders:1").Err(); err != nil {
		return fmt.Errorf("reading as %s: %w", values["username"], err)
	}
	return nil
}

// Logins returns the users whose names begin with prefix, sorted.
func (s *Server) Logins(ctx context.Context, prefix string) ([]string, error) {
	admin := s.Admin()
	defer admin.Close()
	names, err := admin.Do(ctx, "ACL", "USERS").StringSlice()
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	slices.Sort(names)
	return names, nil
}

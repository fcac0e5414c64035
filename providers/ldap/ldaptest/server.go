package ldaptest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/internal/testserver"
)

// Host is the address that every server listens on.
const Host = testserver.Host

const (
	// Suffix is the directory's root.
	Suffix = "dc=example,dc=com"
	// AdminDN is the directory's administrator, whom no access rule binds.
	AdminDN = "cn=admin," + Suffix

	configDN = "cn=config"
)

// ErrNoServer is returned when the machine has no slapd.
var ErrNoServer = errors.New("slapd was not found: install the packages slapd and ldap-utils")

// Config says how to run a server.
type Config struct {
	// Dir holds the server's files; it is made, and must not exist. Empty means a temporary directory. When the
	// server's user cannot reach Dir a temporary directory is used as well.
	Dir string

	// Port speaks LDAP, in clear until StartTLS. Zero means a free one.
	Port int

	// Detached lets the server outlive this process. Otherwise it dies with it.
	Detached bool
}

// Server is a running directory. Its methods are safe for concurrent use, except that only one of Stop, Start, Pause
// and Resume may run at a time.
type Server struct {
	*testserver.Server
	Authority     string // of the server's certificate, in PEM
	AdminPassword string // of AdminDN

	rootPassword string // of the broker's root account, once it was prepared
}

// Run sets an empty directory up and starts a server on it. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	slapd, err := find("slapd")
	if err != nil {
		return nil, err
	}
	s := &Server{AdminPassword: rand.Text()}
	s.Server, err = testserver.Run(ctx, testserver.Config{
		Name: "OpenLDAP", Dir: config.Dir, Port: config.Port, Detached: config.Detached, Users: []string{"openldap"}, Ports: 2,
		Setup: func(ctx context.Context, server *testserver.Server) error {
			s.Server = server
			return s.setUp(ctx)
		},
		Command: func(server *testserver.Server) *exec.Cmd {
			return exec.Command(slapd, "-d", "stats", "-F", filepath.Join(server.Dir, "config"),
				"-h", fmt.Sprintf("ldap://%s:%d ldaps://%s:%d", Host, server.Ports[0], Host, server.Ports[1]))
		},
		Ready: func(ctx context.Context, server *testserver.Server) error {
			s.Server = server
			conn, err := s.Admin(ctx)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", name) // where only root looks
	if _, err := os.Stat(path); err != nil {
		return "", ErrNoServer
	}
	return path, nil
}

// setUp makes the configuration and the entries that every directory has.
func (s *Server) setUp(ctx context.Context) error {
	made, err := testserver.NewCertificates(Host, "localhost")
	if err != nil {
		return err
	}
	s.Authority = made.Authority
	for name, content := range map[string]string{"authority.pem": made.Authority, "server.pem": made.Certificate, "server.key": made.Key, "admin.password": s.AdminPassword} {
		if _, err := s.Write(name, []byte(content)); err != nil {
			return err
		}
	}
	for _, name := range []string{"config", "data"} {
		if err := s.Mkdir(name); err != nil {
			return err
		}
	}
	settings, err := s.Write("slapd.conf", fmt.Appendf(nil, `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/slapd.pid
TLSCACertificateFile %[1]s/authority.pem
TLSCertificateFile %[1]s/server.pem
TLSCertificateKeyFile %[1]s/server.key

database config
rootdn %[4]s
rootpw %[2]s

database mdb
suffix "%[3]s"
rootdn "cn=admin,%[3]s"
rootpw %[2]s
directory %[1]s/data
dbnosync
index objectClass,uid,cn,member eq
access to attrs=userPassword by self =w by anonymous auth by * none
access to dn.subtree="ou=data,%[3]s" by group.exact="cn=readers,ou=groups,%[3]s" read by * none
access to * by self read by users search by * none
`, s.Dir, s.AdminPassword, Suffix, configDN))
	if err != nil {
		return err
	}
	entries, err := s.Write("entries.ldif", []byte(directory))
	if err != nil {
		return err
	}
	// The configuration is converted only when the data is there already.
	for _, step := range [][]string{
		{"slapadd", "-q", "-f", settings, "-b", Suffix, "-l", entries},
		{"slaptest", "-f", settings, "-F", filepath.Join(s.Dir, "config")},
	} {
		path, err := find(step[0])
		if err != nil {
			return err
		}
		if _, err := s.Exec(ctx, nil, path, step[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// Admin logs in as the directory's administrator. The caller closes the connection.
func (s *Server) Admin(ctx context.Context) (*goldap.Conn, error) {
	return s.Connect(ctx, AdminDN, s.AdminPassword)
}

// Connect binds over TLS, as a user would. The caller closes the connection.
func (s *Server) Connect(ctx context.Context, dn, password string) (*goldap.Conn, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.Authority))
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: Host, MinVersion: tls.VersionTLS12}}
	dialed, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", Host, s.Ports[1]))
	if err != nil {
		return nil, fmt.Errorf("connecting to OpenLDAP: %w", err)
	}
	defer context.AfterFunc(ctx, func() { dialed.Close() })()
	conn := goldap.NewConn(dialed, true)
	conn.Start()
	if err := conn.Bind(dn, password); err != nil {
		dialed.Close()
		return nil, fmt.Errorf("binding as %s: %w", dn, err)
	}
	return conn, nil
}

// LogIn binds with a lease's values and out again. Nil means that the log-in was accepted.
func (s *Server) LogIn(ctx context.Context, values map[string]string) error {
	conn, err := s.Connect(ctx, values["dn"], values["password"])
	if err != nil {
		return err
	}
	return conn.Close()
}

// Logins returns the names of all entries below the base of logins that begin with prefix.
func (s *Server) Logins(ctx context.Context, prefix string) ([]string, error) {
	conn, err := s.Admin(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	found, err := conn.Search(goldap.NewSearchRequest(UserBase, goldap.ScopeSingleLevel, goldap.NeverDerefAliases, 0, 0, false,
		"(uid="+goldap.EscapeFilter(prefix)+"*)", []string{"uid"}, nil))
	if err != nil {
		return nil, fmt.Errorf("listing logins: %w", err)
	}
	names := make([]string, len(found.Entries))
	for i, entry := range found.Entries {
		names[i] = entry.GetAttributeValue("uid")
	}
	return names, nil
}

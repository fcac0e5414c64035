package sshtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"broker/internal/testserver"
)

// Program is the server's.
const Program = "/usr/sbin/sshd"

// Config says how to run a server.
type Config struct {
	// Fetch gets a document that a connection publishes. When it is there, LogIn has the server take ca.pub and krl anew
	// before, as an administrator's timer would. Nil: the test calls Trust and Refuse.
	Fetch func(ctx context.Context, document string) ([]byte, error)
}

// Server is a running sshd, which runs nothing but sftp in its own process: what logs in needs no shell. Its methods are
// safe for concurrent use, except that only one of Stop, Start, Pause and Resume may run at a time.
type Server struct {
	*testserver.Server
	User    string        // the one whom certificates must name: who the server runs as
	HostKey ssh.PublicKey // the server's own

	fetch func(ctx context.Context, document string) ([]byte, error)
	files sync.Mutex
}

// Run starts a server that trusts nobody yet. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	if _, err := os.Stat(Program); err != nil {
		return nil, fmt.Errorf("looking for sshd: %w", err)
	}
	s := &Server{fetch: config.Fetch}
	server, err := testserver.Run(ctx, testserver.Config{
		Name: "sshd",
		// sshd refuses users whose password is locked, and takes nobody for one where systemd vouches for it.
		Users: []string{"daemon"},
		Setup: func(_ context.Context, server *testserver.Server) error {
			s.Server = server
			return s.setUp()
		},
		Command: func(server *testserver.Server) *exec.Cmd {
			return exec.Command(Program, "-D", "-e", "-f", filepath.Join(server.Dir, "sshd_config"), "-o", "Port="+strconv.Itoa(server.Port()))
		},
		Ready: func(ctx context.Context, server *testserver.Server) error {
			connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", server.Address())
			if err != nil {
				return err
			}
			return connection.Close()
		},
	})
	if err != nil {
		return nil, err
	}
	s.Server = server
	return s, nil
}

func (s *Server) setUp() error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return err
	}
	if s.HostKey, err = ssh.NewPublicKey(key.Public()); err != nil {
		return err
	}
	owner, err := s.owner()
	if err != nil {
		return err
	}
	s.User = owner
	for name, content := range map[string][]byte{
		"host_key": pem.EncodeToMemory(block), "ca.pub": nil, "krl": nil, "sshd_config": []byte(s.configuration()),
	} {
		if _, err := s.Write(name, content); err != nil {
			return err
		}
	}
	return nil
}

// owner is the user that the server's directory was given to.
func (s *Server) owner() (string, error) {
	info, err := s.Exec(context.Background(), nil, "/usr/bin/id", "-un")
	if err == nil {
		return string(bytes.TrimSpace([]byte(info))), nil
	}
	current, userErr := user.Current()
	if userErr != nil {
		return "", errors.Join(err, userErr)
	}
	return current.Username, nil
}

func (s *Server) configuration() string {
	return `ListenAddress ` + testserver.Host + `
HostKey ` + filepath.Join(s.Dir, "host_key") + `
PidFile none
UsePAM no
StrictModes no
LogLevel VERBOSE
AuthenticationMethods publickey
AuthorizedKeysFile none
PubkeyAuthentication yes
MaxStartups 200
` + HostLines(filepath.Join(s.Dir, "ca.pub"), filepath.Join(s.Dir, "krl")) + `
Subsystem sftp internal-sftp
ForceCommand internal-sftp
`
}

// HostLines are the lines of sshd_config by which a host trusts a connection, as the provider's page has them.
func HostLines(authority, revoked string) string {
	return "TrustedUserCAKeys " + authority + "\nRevokedKeys " + revoked
}

// Trust has the server trust authorities, in the form of ca.pub.
func (s *Server) Trust(authorities []byte) error { return s.put("ca.pub", authorities) }

// Refuse has the server refuse what a key revocation list names.
func (s *Server) Refuse(list []byte) error { return s.put("krl", list) }

// put replaces a file whole: the server reads it at each log-in.
func (s *Server) put(name string, content []byte) error {
	s.files.Lock()
	defer s.files.Unlock()
	temp, err := s.Write(name+".new", content)
	if err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(s.Dir, name))
}

// Refresh has the server take what a connection publishes.
func (s *Server) Refresh(ctx context.Context) error {
	for document, put := range map[string]func([]byte) error{"ca.pub": s.Trust, "krl": s.Refuse} {
		content, err := s.fetch(ctx, document)
		if err == nil {
			err = put(content)
		}
		if err != nil {
			return fmt.Errorf("taking %s: %w", document, err)
		}
	}
	return nil
}

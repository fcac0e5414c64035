package sshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/crypto/ssh"
)

// LogIn logs in with the values of a lease, uses the connection, and logs out. Nil means that it was accepted.
func (s *Server) LogIn(ctx context.Context, values map[string]string) error {
	if s.fetch != nil {
		if err := s.Refresh(ctx); err != nil {
			return err
		}
	}
	session, err := s.Open(ctx, values)
	if err != nil {
		return err
	}
	return session.Close()
}

// Session is a log-in that lasts.
type Session struct {
	client *ssh.Client
}

// Open logs in and stays.
func (s *Server) Open(ctx context.Context, values map[string]string) (*Session, error) {
	private, err := ssh.ParsePrivateKey([]byte(values["private_key"]))
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	return s.OpenWith(ctx, private, values["certificate"])
}

// OpenWith logs in by a private key of the test's own and stays.
func (s *Server) OpenWith(ctx context.Context, private ssh.Signer, certificate string) (*Session, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(certificate))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	signed, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("the certificate is none")
	}
	signer, err := ssh.NewCertSigner(signed, private)
	if err != nil {
		return nil, err
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	encrypted, channels, requests, err := ssh.NewClientConn(connection, s.Address(), &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(s.HostKey),
	})
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	opened := &Session{ssh.NewClient(encrypted, channels, requests)}
	if err := opened.Use(); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// Use has the server do something: nil if it did.
func (s *Session) Use() error {
	session, err := s.client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		return err
	}
	// SSH_FXP_INIT, version 3; the server answers with its own version.
	if _, err := in.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3}); err != nil {
		return err
	}
	answer := make([]byte, 9)
	if _, err := io.ReadFull(out, answer); err != nil {
		return fmt.Errorf("reading what the server answers: %w", err)
	}
	return nil
}

// Close logs out.
func (s *Session) Close() error { return s.client.Close() }

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// servesTLS reports whether the API is served encrypted: everywhere but on loopback, unless it was said.
func (n *node) servesTLS() bool { return n.config.servesTLS() }

func (c config) servesTLS() bool {
	switch c.APITLS {
	case "on":
		return true
	case "off":
		return false
	}
	host, _, err := net.SplitHostPort(c.APIListen)
	return err != nil || !isLoopback(host) || c.APICertFile != ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// apiNames lists the names that clients may connect to, for the certificate that the cluster's authority signs;
// none where it is not used.
func (c config) apiNames() []string {
	if !c.servesTLS() || c.APICertFile != "" {
		return nil
	}
	names := append([]string{"localhost", "127.0.0.1", "::1"}, c.APINames...)
	if u, err := url.Parse(c.APIAdvertise); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	if host, _, err := net.SplitHostPort(c.APIListen); err == nil && host != "" {
		names = append(names, host)
	}
	if host, err := os.Hostname(); err == nil {
		names = append(names, strings.ToLower(host))
	}
	var unique []string
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			if ip.IsUnspecified() {
				continue
			}
			name = ip.String()
		}
		if !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	return unique
}

// apiTLS is how the API is served.
func (n *node) apiTLS() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if n.config.APICertFile == "" {
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return n.identity.APICertificate() }
		return c, nil
	}
	own, err := newOwnCertificate(n.config.APICertFile, n.config.APIKeyFile, n.log)
	if err != nil {
		return nil, err
	}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.current(), nil }
	return c, nil
}

// ownCertificate is a certificate of the operator's, read again when its files change.
type ownCertificate struct {
	certPath, keyPath string
	log               *slog.Logger

	mu          sync.Mutex
	certificate *tls.Certificate
	readAt      time.Time
	changedAt   [2]time.Time // of the files
}

// reread is how often the files are looked at, at the most.
const reread = 5 * time.Second

func newOwnCertificate(certPath, keyPath string, log *slog.Logger) (*ownCertificate, error) {
	o := &ownCertificate{certPath: certPath, keyPath: keyPath, log: log}
	return o, o.read()
}

// read loads the files if they changed.
func (o *ownCertificate) read() error {
	o.readAt = time.Now()
	var changed [2]time.Time
	for i, path := range []string{o.certPath, o.keyPath} {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("reading the API's certificate: %w", err)
		}
		if i == 1 && info.Mode().Perm()&0o007 != 0 {
			return fmt.Errorf("api_key_file %s can be read by everybody (mode %04o): run chmod o= on it", path, info.Mode().Perm())
		}
		changed[i] = info.ModTime()
	}
	if changed == o.changedAt {
		return nil
	}
	certificate, err := tls.LoadX509KeyPair(o.certPath, o.keyPath)
	if err != nil {
		return fmt.Errorf("reading the API's certificate (api_cert_file %s, api_key_file %s): %w", o.certPath, o.keyPath, err)
	}
	if time.Now().After(certificate.Leaf.NotAfter) {
		err := fmt.Errorf("the API's certificate in %s ran out at %s", o.certPath, certificate.Leaf.NotAfter.UTC().Format(time.RFC3339))
		if o.certificate == nil {
			return err
		}
		o.log.Warn("the API's new certificate is not taken", "error", err)
		return nil
	}
	if o.certificate != nil {
		o.log.Info("read the API's certificate anew", "until", certificate.Leaf.NotAfter.UTC())
	}
	o.certificate, o.changedAt = &certificate, changed
	return nil
}

// current returns the newest certificate that could be read.
func (o *ownCertificate) current() *tls.Certificate {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.readAt) >= reread {
		if err := o.read(); err != nil && !errors.Is(err, os.ErrNotExist) {
			o.log.Warn("the API's certificate stays what it was", "error", err)
		}
	}
	return o.certificate
}

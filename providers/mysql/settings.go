package mysql

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/providers"
)

// settings are a connection's fields, read once.
type settings struct {
	host             string
	port             int64
	username         string
	password         providers.Secret
	database         string
	clientHost       string
	clientPort       int64
	maxConnections   int
	connectTimeout   time.Duration
	statementTimeout time.Duration
	tls              *tls.Config // nil: in clear
}

func readSettings(s providers.Settings) (settings, error) {
	read := settings{
		host:             s.String(fieldHost),
		port:             orElse(s.Integer(fieldPort), defaultPort),
		username:         s.String(fieldUsername),
		password:         providers.NewSecret(s.String(fieldPassword)),
		database:         s.String(fieldDatabase),
		clientHost:       orElse(s.String(fieldClientHost), s.String(fieldHost)),
		maxConnections:   int(orElse(s.Integer(fieldMaxConnections), defaultMaxConnections)),
		connectTimeout:   orElse(s.Duration(fieldConnectTimeout), defaultConnectTimeout),
		statementTimeout: orElse(s.Duration(fieldStatementTimeout), defaultStatementTimeout),
	}
	read.clientPort = orElse(s.Integer(fieldClientPort), read.port)
	if read.host == "" || read.username == "" {
		return settings{}, errors.New("host and username are required")
	}
	if !isHost(read.host) {
		// Not repeated: it may be a URL with a password in it.
		return settings{}, errors.New("host must be one name or address, without a scheme, a port, a path or an account")
	}
	var err error
	read.tls, err = providers.TLSConfig(s, read.host)
	return read, err
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// isHost reports whether text may be the name or address of one host, and no URL.
func isHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return !strings.ContainsAny(text, "/,:@?# \t\r\n")
}

func (s settings) address() string {
	return net.JoinHostPort(s.host, strconv.FormatInt(s.port, 10))
}

// almighty are accounts that servers and managed services are born with.
var almighty = []string{"root", "mysql", "admin"}

// Warnings says which protection the settings give up. Whether the root account can do more than it has to the settings
// alone cannot prove; its name tells most cases.
func (Provider) Warnings(s providers.Settings) []string {
	var warnings []string
	if username := s.String(fieldUsername); slices.Contains(almighty, username) {
		warnings = append(warnings, fmt.Sprintf("the root account %q usually may do everything: whoever defines secrets with creation_statements then does so too; the provider's page has the statements that make a smaller one", username))
	}
	return append(warnings, providers.TLSWarnings(s, s.String(fieldHost))...)
}

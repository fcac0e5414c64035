package redis

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"broker/providers"
)

// settings are a connection's fields, read once.
type settings struct {
	host           string
	port           int64
	username       string
	password       providers.Secret
	database       int64
	persist        string
	clientHost     string
	clientPort     int64
	tls            *tls.Config // nil: in clear
	maxConnections int
	connectTimeout time.Duration
	commandTimeout time.Duration
}

func readSettings(s providers.Settings) (settings, error) {
	read := settings{
		host:           s.String(fieldHost),
		port:           cmp.Or(s.Integer(fieldPort), defaultPort),
		username:       s.String(fieldUsername),
		password:       providers.NewSecret(s.String(fieldPassword)),
		database:       s.Integer(fieldDatabase),
		persist:        cmp.Or(s.String(fieldPersist), persistFile),
		maxConnections: max(int(cmp.Or(s.Integer(fieldMaxConnections), defaultMaxConnections)), 2),
		connectTimeout: cmp.Or(s.Duration(fieldConnectTimeout), defaultConnectTimeout),
		commandTimeout: cmp.Or(s.Duration(fieldCommandTimeout), defaultCommandTimeout),
	}
	if !isHost(read.host) {
		// Not repeated: it may be a URL with a password in it.
		return settings{}, errors.New("host must be one name or address, without a scheme, a port, a path or an account")
	}
	if read.username == "" || read.password.IsZero() {
		return settings{}, errors.New("username and password are required")
	}
	read.clientHost = cmp.Or(s.String(fieldClientHost), read.host)
	read.clientPort = cmp.Or(s.Integer(fieldClientPort), read.port)
	var err error
	read.tls, err = providers.TLSConfig(s, read.host)
	return read, err
}

func (s settings) address() string {
	return net.JoinHostPort(s.host, strconv.FormatInt(s.port, 10))
}

// isHost reports whether text may be the name or address of one host, and no URL.
func isHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return text != "" && !strings.ContainsAny(text, "/,:@?# \t\r\n")
}

// Warnings says which protection the settings give up.
func (Provider) Warnings(s providers.Settings) []string {
	warnings := providers.TLSWarnings(s, s.String(fieldHost))
	if s.String(fieldPersist) == persistNone {
		warnings = append(warnings, "persist=none: a restart of the server ends every lease at once; and should somebody save the users by hand, one that was revoked since comes back with the next restart, until the sweep finds it")
	}
	if s.String(fieldUsername) == "default" {
		warnings = append(warnings, "username=default: that user may usually do everything, and whoever logs in without a name is it; the provider's page has the command that makes a root account of its own")
	}
	return warnings
}

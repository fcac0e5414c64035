package rabbitmq

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
	clientHost     string
	clientPort     int64
	clientTLS      bool
	tls            *tls.Config // nil: in clear
	requestTimeout time.Duration
	quarantine     time.Duration
}

func readSettings(s providers.Settings) (settings, error) {
	read := settings{
		host:           s.String(fieldHost),
		username:       s.String(fieldUsername),
		password:       providers.NewSecret(s.String(fieldPassword)),
		clientTLS:      s.Boolean(fieldClientTLS),
		requestTimeout: cmp.Or(s.Duration(fieldRequestTimeout), defaultRequestTimeout),
		quarantine:     s.Duration(fieldQuarantine),
	}
	if !isHost(read.host) {
		// Not repeated: it may be a URL with a password in it.
		return settings{}, errors.New("host must be one name or address, without a scheme, a port, a path or an account")
	}
	if read.username == "" || read.password.IsZero() {
		return settings{}, errors.New("username and password are required")
	}
	if strings.Contains(read.username, ":") {
		return settings{}, errors.New("username must not hold a colon: HTTP ends a user's name with it")
	}
	var err error
	if read.tls, err = providers.TLSConfig(s, read.host); err != nil {
		return settings{}, err
	}
	port, clientPort := int64(15672), int64(5672)
	if read.tls != nil {
		port = 15671
	}
	if read.clientTLS {
		clientPort = 5671
	}
	read.port = cmp.Or(s.Integer(fieldPort), port)
	read.clientHost = cmp.Or(s.String(fieldClientHost), read.host)
	read.clientPort = cmp.Or(s.Integer(fieldClientPort), clientPort)
	return read, nil
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
	if s.String(fieldUsername) == "guest" {
		warnings = append(warnings, "username=guest: everybody knows that account, and from other machines it is refused; the provider's page has the commands that make a root account")
	}
	return warnings
}

package ldap

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

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// settings are a connection's fields, read once.
type settings struct {
	host            string
	port            int64
	tls             *tls.Config // nil: in clear
	startTLS        bool
	bindDN          string
	bindPassword    providers.Secret
	userBase        string
	base            *goldap.DN // user_base
	nameAttribute   string
	recordAttribute string
	groupBase       string
	clientHost      string
	clientPort      int64
	maxConnections  int
	connectTimeout  time.Duration
	timeout         time.Duration
}

func readSettings(s providers.Settings) (settings, error) {
	read := settings{
		host:            s.String(fieldHost),
		port:            s.Integer(fieldPort),
		startTLS:        s.Boolean(fieldStartTLS),
		bindDN:          s.String(fieldBindDN),
		bindPassword:    providers.NewSecret(s.String(fieldBindPassword)),
		userBase:        s.String(fieldUserBase),
		nameAttribute:   s.String(fieldNameAttribute),
		recordAttribute: s.String(fieldRecordAttribute),
		groupBase:       s.String(fieldGroupBase),
		clientHost:      s.String(fieldClientHost),
		clientPort:      s.Integer(fieldClientPort),
		maxConnections:  int(s.Integer(fieldMaxConnections)),
		connectTimeout:  s.Duration(fieldConnectTimeout),
		timeout:         s.Duration(fieldTimeout),
	}
	if !isHost(read.host) {
		// Not repeated: it may be a URL with a password in it.
		return settings{}, errors.New("host must be one name or address, without a scheme, a port, a path or an account")
	}
	if read.bindPassword.IsZero() {
		return settings{}, errors.New("bind_password is required: directories take a bind without one for anonymous")
	}
	var err error
	if read.base, err = parseDN(read.userBase); err != nil {
		return settings{}, fmt.Errorf("%s %w", fieldUserBase, err)
	}
	if _, err := parseDN(read.bindDN); err != nil {
		return settings{}, fmt.Errorf("%s %w", fieldBindDN, err)
	}
	if read.groupBase != "" {
		if _, err := parseDN(read.groupBase); err != nil {
			return settings{}, fmt.Errorf("%s %w", fieldGroupBase, err)
		}
	}
	if read.tls, err = providers.TLSConfig(s, read.host); err != nil {
		return settings{}, err
	}
	read.fillIn()
	if !attributeName.MatchString(read.recordAttribute) || isPassword(read.recordAttribute) {
		return settings{}, fmt.Errorf("%s is no name of an attribute that can hold a record", fieldRecordAttribute)
	}
	return read, nil
}

// fillIn gives what was left out the value that the description promises.
func (s *settings) fillIn() {
	if s.tls == nil {
		s.startTLS = false
	}
	if s.port == 0 {
		s.port = portLDAPS
		if s.startTLS || s.tls == nil {
			s.port = portLDAP
		}
	}
	if s.nameAttribute == "" {
		s.nameAttribute = "uid"
	}
	if s.recordAttribute == "" {
		s.recordAttribute = "description"
	}
	if s.clientHost == "" {
		s.clientHost = s.host
	}
	if s.clientPort == 0 {
		s.clientPort = s.port
	}
	if s.maxConnections <= 0 {
		s.maxConnections = defaultMaxConnections
	}
	if s.connectTimeout <= 0 {
		s.connectTimeout = defaultConnectTimeout
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
}

func (s settings) address() string { return net.JoinHostPort(s.host, strconv.FormatInt(s.port, 10)) }

// isHost reports whether text may be the name or address of one host, and no URL.
func isHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return text != "" && !strings.ContainsAny(text, "/,:@?# \t\r\n")
}

// administrators are names of accounts that directories are set up with, and that no access rule binds.
var administrators = []string{"cn=admin", "cn=manager", "cn=root", "cn=directory manager", "cn=config"}

// Warnings says which protection the settings give up. Whether the root account is the directory's administrator the
// settings alone cannot prove; its name tells most cases.
func (Provider) Warnings(s providers.Settings) []string {
	var warnings []string
	bindDN := s.String(fieldBindDN)
	first, _, _ := strings.Cut(strings.ToLower(bindDN), ",")
	if slices.Contains(administrators, strings.TrimSpace(first)) {
		warnings = append(warnings, fmt.Sprintf("the root account %q usually is the directory's administrator, whom no access rule binds: whoever defines secrets with creation_ldif then changes anything; an account that writes below user_base is enough, and the provider's page has the rules for it", bindDN))
	}
	return append(warnings, providers.TLSWarnings(s, s.String(fieldHost))...)
}

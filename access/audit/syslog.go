package audit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

// Syslog says where copies of records go: RFC 5424 messages, counted by octets, over TLS (RFC 5425) or TCP (RFC 6587).
type Syslog struct {
	Address string         // tls://host:port, or tcp://host:port on loopback
	CA      *x509.CertPool // who vouches for the receiver. Nil: those that the system trusts
	Host    string         // what messages say they come from. Empty: the host's name

	MaxRecords int           // how many records may wait. Zero: 10 000
	MaxBytes   int           // how many bytes of them. Zero: 16 MiB
	Patience   time.Duration // how long a connection may take nothing before it is given up. Zero: 10 s
}

// What every message says: facility 13 (log audit), severity 6 (informational).
const priority = 13*8 + 6

// again is how much of what a broken connection had taken is sent once more: it may have arrived or not.
const again = 256 << 10

// maxWrite bounds what is sent with one call.
const maxWrite = 64 << 10

// syslog sends records to one receiver, in their order.
type syslog struct {
	config  Syslog
	log     *slog.Logger
	network string
	host    string
	tls     *tls.Config // nil: plain TCP
	header  string      // behind the time of each message
	room    func()      // called when there is room again

	life  context.Context // done: records that wait are given up
	end   context.CancelFunc
	ended chan struct{}
	wake  chan struct{} // has room for one

	mu        sync.Mutex
	frames    [][]byte // that wait
	bytes     int
	sent      [][]byte // the newest ones that a connection has taken
	sentBytes int
	lost      uint64
	missed    missed
	ending    bool // whatever waits is sent, and nothing more comes
}

// missed are records that syslog does not have, since the log last said so.
type missed struct{ records, from, to uint64 }

// CheckSyslog says what is wrong with an address.
func CheckSyslog(address string) error {
	_, _, err := parseSyslog(address)
	return err
}

func parseSyslog(address string) (scheme, host string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Port() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return "", "", fmt.Errorf("%q is not tls://host:port", address)
	}
	switch u.Scheme {
	case "tls":
		return u.Scheme, u.Host, nil
	case "tcp":
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return u.Scheme, u.Host, nil
		}
		return "", "", fmt.Errorf("%q would send records in clear: tls://, or tcp:// on loopback", address)
	}
	return "", "", fmt.Errorf("%q is neither tls:// nor tcp://", address)
}

func newSyslog(c Syslog, log *slog.Logger) (*syslog, error) {
	scheme, host, err := parseSyslog(c.Address)
	if err != nil {
		return nil, err
	}
	if c.MaxRecords <= 0 {
		c.MaxRecords = 10_000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 16 << 20
	}
	if c.Patience <= 0 {
		c.Patience = 10 * time.Second
	}
	if c.Host == "" {
		if c.Host, err = os.Hostname(); err != nil {
			c.Host = "-"
		}
	}
	s := &syslog{
		config: c, log: log, network: "tcp", host: host, room: func() {},
		header: " " + c.Host + " brokerd " + strconv.Itoa(os.Getpid()) + " audit - ",
		ended:  make(chan struct{}), wake: make(chan struct{}, 1),
	}
	s.life, s.end = context.WithCancel(context.Background())
	if scheme == "tls" {
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			return nil, err
		}
		s.tls = &tls.Config{ServerName: name, RootCAs: c.CA, MinVersion: tls.VersionTLS12}
	}
	return s, nil
}

// frame makes a message of a record.
func (s *syslog) frame(record []byte, at time.Time) []byte {
	head := "<" + strconv.Itoa(priority) + ">1 " + at.UTC().Format(timeForm) + s.header
	frame := make([]byte, 0, len(head)+len(record)+8)
	frame = strconv.AppendInt(frame, int64(len(head)+len(record)), 10)
	frame = append(frame, ' ')
	frame = append(frame, head...)
	return append(frame, record...)
}

// add has a record be sent. One that finds no room is counted: the file has it.
func (s *syslog) add(record []byte, seq uint64) {
	frame := s.frame(record, time.Now())
	s.mu.Lock()
	fits := s.fitsLocked()
	if fits {
		s.frames = append(s.frames, frame)
		s.bytes += len(frame)
	} else {
		s.lost++
		if s.missed.records == 0 {
			s.missed.from = seq
		}
		s.missed.records++
		s.missed.to = seq
	}
	s.mu.Unlock()
	if fits {
		s.poke()
	}
}

func (s *syslog) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// takeMissed returns what syslog does not have, once it takes records again.
func (s *syslog) takeMissed() (m missed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fitsLocked() {
		m, s.missed = s.missed, missed{}
	}
	return m
}

func (s *syslog) fitsLocked() bool {
	return len(s.frames) < s.config.MaxRecords && s.bytes < s.config.MaxBytes
}

// hasRoom reports whether another record may wait.
func (s *syslog) hasRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fitsLocked()
}

func (s *syslog) figures() (waiting int, lost uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.frames), s.lost
}

package audit_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/access"
	"broker/access/audit"
	"broker/access/audit/chain"
)

// receiver is a syslog server over TLS.
type receiver struct {
	address  string
	pool     *x509.CertPool
	listener net.Listener
	config   *tls.Config
	serving  sync.WaitGroup

	mu     sync.Mutex
	frames []string
	conns  []net.Conn
	deaf   bool // reads nothing
}

func mustReceive(t *testing.T) *receiver {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "syslog"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{pool: x509.NewCertPool(), config: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	r.pool.AddCert(leaf)
	r.listen(t, "127.0.0.1:0")
	t.Cleanup(r.stop)
	return r
}

func (r *receiver) listen(t *testing.T, address string) {
	t.Helper()
	var err error
	eventually(t, "the address to be free", func() bool {
		r.listener, err = net.Listen("tcp", address)
		return err == nil
	})
	r.address = r.listener.Addr().String()
	listener := tls.NewListener(r.listener, r.config)
	r.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, conn)
			deaf := r.deaf
			r.mu.Unlock()
			if deaf {
				_ = conn.(*tls.Conn).Handshake()
				continue
			}
			r.serving.Go(func() { r.read(conn) })
		}
	})
}

// read takes frames: the number of octets, a blank, and so many octets.
func (r *receiver) read(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		count, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
		if err != nil {
			panic("a frame begins with " + count)
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		r.mu.Lock()
		r.frames = append(r.frames, string(frame))
		r.mu.Unlock()
	}
}

// stop closes everything, as a receiver that dies.
func (r *receiver) stop() {
	_ = r.listener.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.serving.Wait()
}

// lines returns what was received, a record each.
func (r *receiver) lines() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.frames {
		list = append(list, f[strings.Index(f, " - {")+3:])
	}
	return list
}

func TestSyslog(t *testing.T) {
	r := mustReceive(t)
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, func(c *audit.Config) {
		c.Syslog = &audit.Syslog{Address: "tls://" + r.address, CA: r.pool, Host: "host7"}
	})
	for i := range 500 {
		mustRequest(t, l, fmt.Sprint(i))
		l.Outcome(t.Context(), outcome(fmt.Sprint(i)))
	}
	mustClose(t, l)
	eventually(t, "all frames", func() bool { return len(r.lines()) >= 1002 })
	if !regexp.MustCompile(`^<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z host7 brokerd \d+ audit - \{"v":1,.*\}$`).MatchString(r.frames[0]) {
		t.Errorf("a message looks like %s", r.frames[0])
	}
	// What arrived is the file, line by line.
	verified := filepath.Join(t.TempDir(), "received.log")
	mustWriteLines(t, verified, r.lines())
	got, want := mustVerify(t, verified), mustVerify(t, path)
	if got.Head != want.Head || got.Records != 1002 {
		t.Errorf("received %+v, written %+v", got, want)
	}
}

func mustWriteLines(t *testing.T, path string, lines []string) {
	t.Helper()
	mustWrite(t, path, strings.Join(lines, "\n")+"\n")
}

// A receiver that was away gets everything that waited, and once more what the broken connection had taken.
func TestSyslogComesBack(t *testing.T) {
	r := mustReceive(t)
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, func(c *audit.Config) {
		c.Syslog = &audit.Syslog{Address: "tls://" + r.address, CA: r.pool}
	})
	mustRequest(t, l, "1")
	eventually(t, "the first records", func() bool { return len(r.lines()) == 2 })
	address := r.address
	r.stop()
	for i := range 100 {
		mustRequest(t, l, fmt.Sprint("away ", i))
	}
	r.listen(t, address)
	mustClose(t, l)
	seen := map[uint64]bool{}
	eventually(t, "what waited", func() bool {
		for _, line := range r.lines() {
			record, err := chain.Parse([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			seen[record.Seq] = true
		}
		return len(seen) == 103
	})
	mustVerify(t, path)
}

// A receiver that takes nothing stops requests once the bound is reached, and nothing else.
func TestSlowSyslog(t *testing.T) {
	r := mustReceive(t)
	r.mu.Lock()
	r.deaf = true
	r.mu.Unlock()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, func(c *audit.Config) {
		c.Timeout = 50 * time.Millisecond
		c.Syslog = &audit.Syslog{Address: "tls://" + r.address, CA: r.pool, MaxRecords: 20, Patience: time.Minute}
	})
	// Buffers on the way take some, and a busy machine may be late once.
	for asked, refused := 0, 0; refused < 5; asked++ {
		if asked > 50_000 {
			t.Fatal("requests are served though syslog takes nothing")
		}
		err := l.Request(t.Context(), request(fmt.Sprint(asked)))
		switch {
		case err == nil:
			refused = 0
		case !errors.Is(err, access.ErrNotRecorded):
			t.Fatal(err)
		default:
			refused++
		}
	}
	l.Outcome(t.Context(), outcome("1"))
	l.Call(t.Context(), access.CallRecord{Call: "revoke"})
	eventually(t, "the file to have what syslog has not", func() bool { f := l.Figures(); return f.Outcomes == 1 && f.Calls == 1 && f.SyslogLost == 2 })
	if f := l.Figures(); f.SyslogBacklog > 20 || f.Backlog > 0 {
		t.Errorf("%+v", f)
	}
	address := r.address
	r.stop()
	r.mu.Lock()
	r.deaf = false
	r.mu.Unlock()
	r.listen(t, address)
	eventually(t, "requests to be served again", func() bool { return l.Request(t.Context(), request("again")) == nil })
	mustClose(t, l)
	report := mustVerify(t, path)
	told := slices.ContainsFunc(report.Gaps, func(g chain.Gap) bool { return g.Sink == "syslog" })
	if !told {
		t.Errorf("the log does not tell what syslog lacks: %+v", report.Gaps)
	}
}

// A receiver whom nobody vouches for gets nothing.
func TestSyslogOfSomebodyElse(t *testing.T) {
	r := mustReceive(t)
	l := mustOpen(t, filepath.Join(t.TempDir(), "audit.log"), func(c *audit.Config) {
		c.Syslog = &audit.Syslog{Address: "tls://" + r.address, CA: x509.NewCertPool()}
	})
	mustRequest(t, l, "1") // it waits for a receiver
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); err == nil {
		t.Error("closing tells nothing of records that did not arrive")
	}
	if got := r.lines(); len(got) > 0 {
		t.Errorf("received %q", got)
	}
}

func TestCheckSyslog(t *testing.T) {
	for address, good := range map[string]bool{
		"tls://logs.example:6514": true, "tcp://127.0.0.1:601": true, "tcp://localhost:601": true, "tcp://[::1]:601": true,
		"tcp://logs.example:601": false, "tls://logs.example": false, "logs.example:6514": false, "udp://127.0.0.1:514": false, "tls://u:p@h:1": false, "tls://h:1/x": false,
	} {
		if err := audit.CheckSyslog(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}

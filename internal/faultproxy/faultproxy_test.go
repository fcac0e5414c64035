package faultproxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"broker/internal/faultproxy"
)

// echo is a server that says everything again, a proxy before it, and the ways between.
type echo struct {
	t           *testing.T
	address     string
	there, back faultproxy.Way
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	server := mustListen(t)
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	e := &echo{t: t}
	outside := mustListen(t)
	e.address = outside.Addr().String()
	dial := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Addr().String())
	}
	p := faultproxy.NewTCP(outside, dial, func(net.Addr) (there, back *faultproxy.Way) { return &e.there, &e.back })
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func mustListen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // it may be closed already
	return listener
}

func (e *echo) mustDial() *talk {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.address)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	return &talk{e.t, conn, bufio.NewReader(conn)}
}

type talk struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (c *talk) say(what string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.conn, what); err != nil {
		c.t.Fatal(err)
	}
}

// hears expects a line, and silence as long as quiet before it.
func (c *talk) hears(what string, quiet time.Duration) {
	c.t.Helper()
	if quiet > 0 {
		if err := c.conn.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			c.t.Fatal(err)
		}
		if got, err := c.in.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("heard %q (%v), wanted silence", got, err)
		}
	}
	if what == "" {
		return
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	if got, err := c.in.ReadString('\n'); got != what+"\n" {
		c.t.Fatalf("heard %q (%v), wanted %q", got, err, what)
	}
}

// A cut of either direction holds what is said, also along new connections; healing lets all of it through.
func TestCut(t *testing.T) {
	for name, way := range map[string]func(*echo) *faultproxy.Way{
		"there": func(e *echo) *faultproxy.Way { return &e.there },
		"back":  func(e *echo) *faultproxy.Way { return &e.back },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEcho(t)
			c := e.mustDial()
			c.say("one")
			c.hears("one", 0)
			way(e).Cut()
			c.say("two")
			c.hears("", 50*time.Millisecond)
			late := e.mustDial()
			late.say("three")
			late.hears("", 50*time.Millisecond)
			way(e).Heal()
			c.hears("two", 0)
			late.hears("three", 0)
		})
	}
}

func TestDelayAndLoss(t *testing.T) {
	for name, trouble := range map[string]func(*faultproxy.Way){
		"delay": func(w *faultproxy.Way) { w.Delay(150*time.Millisecond, 10*time.Millisecond) },
		"loss":  func(w *faultproxy.Way) { w.Lose(0.999) },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEcho(t)
			c := e.mustDial()
			c.say("one")
			c.hears("one", 0)
			trouble(&e.back)
			c.say("two")
			c.hears("", 100*time.Millisecond)
			if name == "delay" {
				c.hears("two", 0)
			}
		})
	}
}

// The end of a connection is passed on, and so is that nobody listens.
func TestEnds(t *testing.T) {
	e := newEcho(t)
	c := e.mustDial()
	c.say("the last word")
	if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.hears("the last word", 0)
	if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}

	outside := mustListen(t)
	nobody := faultproxy.NewTCP(outside, func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }, faultproxy.Direct)
	defer nobody.Close()
	conn, err := net.Dial("tcp", outside.Addr().String())
	if err != nil {
		return // the refusal came at once
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes of nobody", n)
	}
}

func TestDatagrams(t *testing.T) {
	server, outside, client := mustBind(t), mustBind(t), mustBind(t)
	go func() {
		buffer := make([]byte, 100)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(buffer[:n], from)
		}
	}()
	var there, back faultproxy.Way
	p := faultproxy.NewUDP(outside, server.LocalAddr().(*net.UDPAddr), func(net.Addr) (*faultproxy.Way, *faultproxy.Way) { return &there, &back })
	defer p.Close()
	exchange := func(what string, within time.Duration) string {
		t.Helper()
		if _, err := client.WriteTo([]byte(what), outside.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if err := client.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 100)
		n, _, err := client.ReadFrom(buffer)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	const long, short = 20 * time.Second, 50 * time.Millisecond
	if got := exchange("one", long); got != "one" {
		t.Errorf("heard %q", got)
	}
	for _, way := range []*faultproxy.Way{&there, &back} {
		way.Cut()
		if got := exchange("two", short); got != "" {
			t.Errorf("heard %q along a way that is cut", got)
		}
		way.Heal()
		if got := exchange("three", long); got != "three" { // what was said meanwhile is lost
			t.Errorf("heard %q", got)
		}
	}
	back.Delay(100*time.Millisecond, 0)
	if got := exchange("four", short); got != "" {
		t.Errorf("heard %q too early", got)
	}
}

func mustBind(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the proxy may have closed it
	return conn
}

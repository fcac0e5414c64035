package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// conn is one client's connection to a node: HTTP with next to nothing around it, so that the clients
// leave the machine to what is measured.
type conn struct {
	host  string
	token string
	tcp   net.Conn
	open  atomic.Pointer[net.Conn] // tcp, for abort
	in    *bufio.Reader
	out   bytes.Buffer
}

// dial prepares a connection to a node's URL. It connects when it is used.
func dial(url, token string) *conn {
	return &conn{host: strings.TrimPrefix(url, "http://"), token: token}
}

func (c *conn) Close() {
	if c.tcp != nil {
		_ = c.tcp.Close() // nothing is left to lose
		c.tcp = nil
	}
}

// abort ends the call that is under way. Unlike Close it may be called by another goroutine.
func (c *conn) abort() {
	if open := c.open.Load(); open != nil {
		_ = (*open).Close() // the call fails
	}
}

// callTimeout bounds one call.
const callTimeout = 30 * time.Second

// call makes one request and returns status and body. A POST carries an idempotency key, as those of the
// broker's own clients do; an empty one is made up.
func (c *conn) call(method, path, body, key string) (int, []byte, error) {
	status, answer, err := c.try(method, path, body, key)
	if err != nil {
		c.Close()
	}
	return status, answer, err
}

func (c *conn) try(method, path, body, key string) (int, []byte, error) {
	if c.tcp == nil {
		tcp, err := net.DialTimeout("tcp", c.host, 3*time.Second)
		if err != nil {
			return 0, nil, err
		}
		c.tcp, c.in = tcp, bufio.NewReaderSize(tcp, 8<<10)
		c.open.Store(&tcp)
	}
	c.out.Reset()
	fmt.Fprintf(&c.out, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: application/json\r\n", method, path, c.host, c.token)
	if method == http.MethodPost {
		if key == "" {
			key = rand.Text()
		}
		fmt.Fprintf(&c.out, "Idempotency-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", key, len(body))
	}
	c.out.WriteString("\r\n")
	c.out.WriteString(body)
	if err := c.tcp.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return 0, nil, err
	}
	if _, err := c.tcp.Write(c.out.Bytes()); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.Close {
		c.Close()
	}
	return response.StatusCode, answer, err
}

// expect makes a call that has to be answered with the status.
func (c *conn) expect(want int, method, path, body string) ([]byte, error) {
	status, answer, err := c.call(method, path, body, "")
	if err == nil && status != want {
		err = fmt.Errorf("%s %s: status %d: %s", method, path, status, answer)
	}
	return answer, err
}

// leaseID finds the id in the answer to an issue, where the lease comes first and begins with it, at a
// fraction of what decoding costs.
func leaseID(answer []byte) (string, error) {
	_, rest, found := bytes.Cut(answer, []byte(`"lease":{`))
	_, rest, found2 := bytes.Cut(rest, []byte(`"id":"`))
	id, _, found3 := bytes.Cut(rest, []byte(`"`))
	if !found || !found2 || !found3 {
		return "", fmt.Errorf("no lease in the answer: %s", answer)
	}
	return string(id), nil
}

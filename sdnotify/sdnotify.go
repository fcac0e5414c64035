// Package sdnotify tells the service manager how a program does, in the words of sd_notify(3). It knows nothing of ours.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Notifier tells the service manager how the program does. A nil one tells nobody.
type Notifier struct {
	conn net.Conn
	// every is how often the manager wants to hear that the node lives; zero: it does not ask.
	every time.Duration
}

// New returns nil where no service manager listens.
func New(getenv func(string) string) (*Notifier, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	// A name that begins with @ is one without a file.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("reaching the service manager: %w", err)
	}
	n := &Notifier{conn: conn}
	pid, usec := getenv("WATCHDOG_PID"), getenv("WATCHDOG_USEC")
	if us, err := strconv.ParseInt(usec, 10, 64); err == nil && us > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.every = time.Duration(us) * time.Microsecond / 3
	}
	return n, nil
}

// Tell sends one message.
func (n *Notifier) Tell(lines ...string) {
	if n == nil {
		return
	}
	// A manager that does not listen any more is no reason to stop.
	_, _ = n.conn.Write([]byte(strings.Join(lines, "\n")))
}

// Status is the line that people see.
func Status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", " ") }

// Watch tells the manager again and again that the program lives, until ctx ends. describe says how it does;
// when it hangs nothing is told, and the manager ends the process.
func (n *Notifier) Watch(ctx context.Context, describe func() string) {
	if n == nil || n.every == 0 {
		return
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		n.Tell("WATCHDOG=1", Status(describe()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the connection.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	return n.conn.Close()
}

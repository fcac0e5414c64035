package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"broker/api/types"
)

// capture is everything that crosses the hosts' cables.
type capture struct {
	mu    sync.Mutex
	bytes bytes.Buffer
	ports map[uint16]int // bytes to and from

	sockets []int
	readers sync.WaitGroup
}

// newCapture listens at the cables until the test ends.
func newCapture(t *testing.T, h *hosts) *capture {
	t.Helper()
	c := &capture{ports: map[uint16]int{}}
	const everything = syscall.ETH_P_ALL<<8 | syscall.ETH_P_ALL>>8 // in network order
	names := []string{"lo"}
	if h.virtual {
		names = nil
		for i := range h.names {
			names = append(names, h.cable(i))
		}
	}
	for _, name := range names {
		device, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, everything)
		if err != nil {
			t.Fatalf("capturing needs root: %v", err)
		}
		if err := syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: everything, Ifindex: device.Index}); err != nil {
			t.Fatal(err)
		}
		timeout := syscall.Timeval{Usec: 100_000}
		if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &timeout); err != nil {
			t.Fatal(err)
		}
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<20)
		c.sockets = append(c.sockets, fd)
	}
	done := make(chan struct{})
	for _, fd := range c.sockets {
		c.readers.Go(func() {
			frame := make([]byte, 1<<17)
			for {
				select {
				case <-done:
					return
				default:
				}
				n, _, err := syscall.Recvfrom(fd, frame, 0)
				if err == nil {
					c.take(frame[:n])
				}
			}
		})
	}
	t.Cleanup(func() {
		close(done)
		c.readers.Wait()
		for _, fd := range c.sockets {
			_ = syscall.Close(fd)
		}
	})
	return c
}

// take notes a frame of Ethernet.
func (c *capture) take(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes.Write(frame)
	c.bytes.WriteByte(0)
	if len(frame) < 14+20+4 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 {
		return
	}
	header := int(frame[14]&15) * 4
	if protocol := frame[14+9]; protocol != syscall.IPPROTO_TCP && protocol != syscall.IPPROTO_UDP || len(frame) < 14+header+4 {
		return
	}
	for _, at := range []int{0, 2} {
		c.ports[binary.BigEndian.Uint16(frame[14+header+at:])] += len(frame)
	}
}

func (c *capture) holds(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Contains(c.bytes.Bytes(), []byte(text))
}

func (c *capture) at(port uint16) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ports[port]
}

// Whoever listens at the cables learns nothing: no token, no value, no name.
func TestNothingCrossesTheWireInClear(t *testing.T) {
	t.Parallel()
	w := &town{hosts: newHosts(t, 3)}
	wire := newCapture(t, w.hosts)
	first := w.start(0, w.in(0, "brokerd server --init --bench-providers"))
	w.nodes = append(w.nodes, first)
	w.begun(first, " --bench-providers")
	w.nodes = append(w.nodes, w.join(1), w.join(2))
	joinToken := strings.TrimPrefix(strings.Fields(w.joinLine)[0], "BROKERD_JOIN_TOKEN=")
	for _, d := range w.nodes {
		w.waitFor(d, `"msg":"serving"`)
	}
	w.mustRun(2, w.token, w.login)
	w.waitWhole(2, 3)

	canaries := map[string]string{
		"admin token": w.token, "join token": joinToken, "environment": "canary-7141", "label": "canary-label-7142", "lease's name": "canary-lease-7143",
	}
	w.mustRun(2, "", "brokerctl env create canary-7141/production")
	w.mustRun(2, "", "brokerctl connection create c1 --provider noop --environments '*'")
	w.mustRun(2, "", "brokerctl secret create canary-7141/production/s1 --connection c1 --label team=canary-label-7142")
	for range 20 {
		var issued types.Issued
		out := w.mustRun(2, "", "brokerctl lease issue canary-7141/production/s1 --name canary-lease-7143 -o json 2>/dev/null")
		if err := json.Unmarshal([]byte(out), &issued); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, v := range issued.Values {
			canaries[fmt.Sprintf("value %s of %s", v.Key, issued.Lease.ID)] = v.Value
		}
		canaries["id of "+issued.Lease.ID] = issued.Lease.ID
	}
	w.mustRun(2, "", "brokerctl cluster ca rotate")
	w.mustRun(2, "", "brokerctl cluster gossip-key rotate")

	// The listener is not deaf.
	w.mustRun(0, "", "echo control-canary > /dev/udp/"+w.address(1)+"/9")
	deadline := time.Now().Add(10 * time.Second)
	for !wire.holds("control-canary") || wire.at(8421) == 0 || wire.at(8422) == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("the capture is deaf: %d bytes of the cluster port, %d of gossip", wire.at(8421), wire.at(8422))
		}
		time.Sleep(20 * time.Millisecond)
	}
	for name, canary := range canaries {
		if canary == "" {
			t.Errorf("there is no %s to look for", name)
		} else if wire.holds(canary) {
			t.Errorf("the %s crosses the wire in clear", name)
		}
	}
	t.Logf("looked for %d texts in %d bytes of the API, %d of the cluster port, %d of gossip", len(canaries), wire.at(8420), wire.at(8421), wire.at(8422))
}

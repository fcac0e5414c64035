package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFrontOptions(t *testing.T) {
	t.Setenv("BROKERD_TRUSTED_PROXIES", "10.1.0.0/24,192.0.2.7")
	c := optionsOf(t, "--data-dir", t.TempDir(), "--api-listen", "127.0.0.1:8420", "--api-name", "broker.example")
	door, err := c.front()
	must(t, err)
	if l := door.limits; l.Address.PerSecond != 200 || l.Address.Burst != 400 || l.Failures.PerSecond != 10 || l.Failures.Burst != 20 || l.Account.PerSecond != 1000 || l.Account.Burst != 2000 {
		t.Errorf("the rates are %+v", l)
	}
	if l := door.listening; l.Most != 4096 || l.MostEach != 256 || l.ProxyProtocol || l.Proxies.None() {
		t.Errorf("connections: %+v", l)
	}
	if diff := cmp.Diff([]string{"broker.example", "127.0.0.1", "127.0.0.1"}, door.names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if len(c.TrustedProxies) != 2 {
		t.Errorf("the proxies are %q", c.TrustedProxies)
	}
	for name, args := range map[string][]string{
		"address_rate":    {"--address-rate", "-1"},
		"account_rate":    {"--account-rate", "99999999"},
		"max_connections": {"--max-connections", "-1"},
		"trusted_proxies": {"--trusted-proxies", "0.0.0.0/0"},
	} {
		cmd := serverCommand()
		must(t, cmd.ParseFlags(append([]string{"--data-dir", t.TempDir(), "--api-listen", "127.0.0.1:8420"}, args...)))
		if _, err := loadConfig(cmd.Flags(), io.Discard); err == nil || !isUsage(err) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %v", args, err)
		}
	}
	t.Setenv("BROKERD_TRUSTED_PROXIES", "")
	cmd := serverCommand()
	must(t, cmd.ParseFlags([]string{"--data-dir", t.TempDir(), "--api-listen", "127.0.0.1:8420", "--proxy-protocol", "--trusted-proxies", ""}))
	if _, err := loadConfig(cmd.Flags(), io.Discard); err == nil || !strings.Contains(err.Error(), "proxy") {
		t.Errorf("headers of nobody are believed: %v", err)
	}
}

// A node behind a proxy that speaks the PROXY protocol knows its clients, and bounds each by itself.
func TestNodeBehindAProxy(t *testing.T) {
	c := loneConfig(t, filepath.Join(t.TempDir(), "data"))
	c.TrustedProxies, c.ProxyProtocol, c.AddressRate, c.AccountRate = []string{"127.0.0.1"}, true, 3, 0
	n := mustNode(t, c)
	defer n.stop()
	token, err := os.ReadFile(c.AdminTokenFile)
	must(t, err)
	ask := func(before, path string) (status int, body string) {
		t.Helper()
		conn, err := net.Dial("tcp", c.APIListen)
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(conn, before+"GET "+path+" HTTP/1.1\r\nHost: broker.example\r\nConnection: close\r\nAuthorization: Bearer "+strings.TrimSpace(string(token))+"\r\n\r\n")
		must(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, ""
		}
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		must(t, err)
		return answer.StatusCode, string(content)
	}
	const one, other = "PROXY TCP4 203.0.113.9 192.0.2.1 4711 8420\r\n", "PROXY TCP4 203.0.113.10 192.0.2.1 4711 8420\r\n"
	statuses := map[int]int{}
	for range 20 {
		status, _ := ask(one, "/api/v1/leases?consistency=stale")
		statuses[status]++
	}
	// Six at once, and as many as come back in the time that this takes.
	if statuses[200] < 6 || statuses[429] < 1 || statuses[200]+statuses[429] != 20 {
		t.Errorf("one client: %v", statuses)
	}
	if status, body := ask(other, "/api/v1/leases?consistency=stale"); status != 200 {
		t.Errorf("another client: %d %s", status, body)
	}
	if status, body := ask("", "/healthz"); status != 0 {
		t.Errorf("a proxy that says not whom it speaks for: %d %s", status, body)
	}
	// The proxy's own question whether the node lives.
	_, metrics := ask("PROXY UNKNOWN\r\n", "/metrics")
	for _, line := range []string{`broker_http_connections_refused_total{reason="header"} 1`, "\nbroker_http_connections "} {
		if !strings.Contains(metrics, line) {
			t.Errorf("metrics have no %s", line)
		}
	}
	if strings.Contains(metrics, `broker_http_requests_limited_total{by="address"} 0`) {
		t.Error("metrics count no request that came too often")
	}
}

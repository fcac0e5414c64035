package main

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"broker/api/types"
)

// A connection that points where the operator does not want it is refused as it is made, with the reason, and nobody
// is called there.
func TestNetworksOfConnections(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_ = conn.Close()
			t.Error("the broker connected to an address that is refused")
		}
	}()
	for name, test := range map[string]struct {
		allow, deny []string
		says        string
	}{
		"denied":      {nil, []string{"127.0.0.0/8"}, "127.0.0.1 is in 127.0.0.0/8, which the operator denies (deny_networks)"},
		"not allowed": {[]string{"10.0.0.0/8"}, nil, "127.0.0.1 is in none of the networks that the operator allows (allow_networks)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, people := auditedNode(t, func(c *config) { c.AllowNetworks, c.DenyNetworks = test.allow, test.deny })
			began := time.Now()
			_, err := people.CreateConnection(t.Context(), types.ConnectionSpec{Name: "orders-db", Provider: "postgres", Environments: []string{"payments/*"}, Settings: map[string]any{
				"host": "127.0.0.1", "port": listener.Addr().(*net.TCPAddr).Port, "database": "orders", "username": "broker", "password": "root-canary-7c1f",
			}})
			var problem *types.Problem
			if !errors.As(err, &problem) || problem.Code != "connection_check_failed" || !strings.Contains(problem.Detail, test.says) || !strings.Contains(problem.Hint, "allow_networks") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

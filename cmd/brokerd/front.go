package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/spf13/pflag"

	"broker/api"
	"broker/api/front"
)

// frontFlags declares how strangers and others are bounded at the API.
func frontFlags(f *pflag.FlagSet) {
	f.Int("max-connections", 4096, "how many connections to the API may be open at once; 0: any number")
	f.Int("max-connections-each", 256, "how many of them from one address, or IPv6 network of 64 bits; loopback and trusted proxies may have any number; 0: any number")
	f.Int("address-rate", 200, "how many requests a second one such address may make, twice as many at once, likewise; 0: any number")
	f.Int("failure-rate", 10, "how many requests a second without a valid token one such address may make, twice as many at once, likewise; 0: any number")
	f.Int("account-rate", 1000, "how many requests a second one account may make at this node, twice as many at once, from wherever; 0: any number")
	f.Int("vault-standby-status", 200, "what /v1/sys/health answers at a node that does not lead, but serves; 429: what Vault answers, for load balancers that are to choose the leader")
	f.String("console", "on", "whether this node serves the web console, at / of the API's address: on or off")
	f.StringSlice("trusted-proxies", nil, "addresses or networks of load balancers and proxies that are believed when they say who asks (X-Forwarded-For), e.g. 10.1.0.0/24 (default: none)")
	f.Bool("proxy-protocol", false, "trusted proxies begin every connection with a header of the PROXY protocol, version 1 or 2, which tells who asks")
}

// frontDoor is how the API meets clients.
type frontDoor struct {
	limits    api.Limits
	listening front.ListenerConfig
	names     []string // by which this node may be asked in clear, besides those of loopback
}

// front checks the options of the front door and puts them together.
func (c config) front() (frontDoor, error) {
	for _, option := range []struct {
		name  string
		value int
	}{
		{"max_connections", c.MaxConnections}, {"max_connections_each", c.MaxConnectionsEach},
		{"address_rate", c.AddressRate}, {"failure_rate", c.FailureRate}, {"account_rate", c.AccountRate},
	} {
		if option.value < 0 || option.value > 10_000_000 {
			return frontDoor{}, wrong("%s: 0 (any number) to 10000000, not %d", option.name, option.value)
		}
	}
	if s := c.VaultStandbyStatus; s != 0 && (s < 200 || s > 599) {
		return frontDoor{}, wrong("vault_standby_status: a status from 200 to 599, not %d", c.VaultStandbyStatus)
	}
	proxies, err := front.ParseProxies(c.TrustedProxies)
	if err != nil {
		return frontDoor{}, wrong("trusted_proxies: %w", err)
	}
	if c.ProxyProtocol && proxies.None() {
		return frontDoor{}, wrong("proxy_protocol: whose headers are to be believed? trusted_proxies names them")
	}
	door := frontDoor{
		limits: api.Limits{Address: rateOf(c.AddressRate), Failures: rateOf(c.FailureRate), Account: rateOf(c.AccountRate)},
		listening: front.ListenerConfig{
			Most: c.MaxConnections, MostEach: c.MaxConnectionsEach, Proxies: proxies, ProxyProtocol: c.ProxyProtocol,
		},
		names: c.APINames,
	}
	if u, err := url.Parse(c.APIAdvertise); err == nil && u.Hostname() != "" {
		door.names = append(door.names[:len(door.names):len(door.names)], u.Hostname())
	}
	if host, _, err := net.SplitHostPort(c.APIListen); err == nil && host != "" {
		door.names = append(door.names[:len(door.names):len(door.names)], host)
	}
	return door, nil
}

// rateOf is a rate at which twice as many may come at once.
func rateOf(perSecond int) front.Rate {
	return front.Rate{PerSecond: float64(perSecond), Burst: 2 * perSecond}
}

// listen opens the API's address. Connections are counted before they are encrypted; their handshake has the time of a
// request's head.
func (n *node) listen() (net.Listener, error) {
	door, err := n.config.front()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", n.config.APIListen)
	if err != nil {
		return nil, fmt.Errorf("listening for the API: %w", err)
	}
	n.front = front.Listen(listener, door.listening)
	if !n.servesTLS() {
		return n.front, nil
	}
	config, err := n.apiTLS()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	n.apiCertificate = config.GetCertificate
	return tls.NewListener(n.front, config), nil
}

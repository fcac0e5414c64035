package main

import (
	"net"
	"net/url"
	"strings"
)

// The ports of a node that is told none.
const (
	apiPort     = "8420"
	clusterPort = "8421"
	gossipPort  = "8422"
)

// gossipOff stands in place of gossip's address where there shall be none.
const gossipOff = "off"

// completeAddresses checks the addresses and fills in those that were not given.
func (c *config) completeAddresses() error {
	if c.Listen != "" && net.ParseIP(c.Listen) == nil && strings.ContainsAny(c.Listen, ":/") {
		return wrong("listen: %q is not a host or IP address; ports belong to api_listen, cluster_listen and gossip_listen", c.Listen)
	}
	if c.Advertise != "" && net.ParseIP(c.Advertise) == nil && strings.ContainsAny(c.Advertise, ":/") {
		return wrong("advertise: %q is not a host or IP address", c.Advertise)
	}
	if c.GossipListen == gossipOff {
		c.GossipListen, c.GossipAdvertise = "", ""
	} else if c.GossipListen == "" {
		c.GossipListen = net.JoinHostPort(c.Listen, gossipPort)
	}
	if c.APIListen == "" {
		c.APIListen = net.JoinHostPort(c.Listen, apiPort)
	}
	if c.ClusterListen == "" {
		c.ClusterListen = net.JoinHostPort(c.Listen, clusterPort)
	}
	for _, a := range []struct {
		name, listen string
		advertise    *string
	}{
		{"api_listen", c.APIListen, nil}, {"debug_listen", c.DebugListen, nil},
		{"cluster_listen", c.ClusterListen, &c.ClusterAdvertise}, {"gossip_listen", c.GossipListen, &c.GossipAdvertise},
	} {
		if a.listen == "" {
			continue
		}
		host, port, err := net.SplitHostPort(a.listen)
		if err != nil {
			return wrong("%s: %q is not host:port", a.name, a.listen)
		}
		if a.name == "debug_listen" && !isLoopback(host) {
			return wrong("debug_listen: %q is not a loopback address", a.listen)
		}
		if a.advertise == nil {
			continue
		}
		if *a.advertise != "" {
			if _, _, err := net.SplitHostPort(*a.advertise); err != nil {
				return wrong("%s: %q is not host:port", strings.Replace(a.name, "listen", "advertise", 1), *a.advertise)
			}
			continue
		}
		if host, err = c.advertised(host); err != nil {
			return err
		}
		*a.advertise = net.JoinHostPort(host, port)
	}
	for i, address := range c.Join {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host, address = strings.Trim(address, "[]"), net.JoinHostPort(strings.Trim(address, "[]"), clusterPort)
		}
		if host == "" || strings.Contains(host, "/") || net.ParseIP(host) == nil && strings.Contains(host, ":") {
			return wrong("join: %q is not the cluster address of a node: it looks like HOST:%s", c.Join[i], clusterPort)
		}
		c.Join[i] = address
	}
	return c.completeAPI()
}

// completeAPI checks how the API is found and whether it may be.
func (c *config) completeAPI() error {
	host, port, err := net.SplitHostPort(c.APIListen)
	if err != nil {
		return wrong("api_listen: %q is not host:port", c.APIListen)
	}
	if c.APITLS == "off" && !isLoopback(host) {
		return wrong("api_tls: off is for loopback only, and api_listen is %q: nothing leaves a host in clear", c.APIListen)
	}
	if c.APIAdvertise == "" {
		if host, err = c.advertised(host); err != nil {
			return err
		}
		scheme := "http://"
		if c.servesTLS() {
			scheme = "https://"
		}
		c.APIAdvertise = scheme + net.JoinHostPort(host, port)
		return nil
	}
	u, err := url.Parse(c.APIAdvertise)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return wrong("api_advertise: %q is no URL: it looks like https://host:8420", c.APIAdvertise)
	}
	return nil
}

// advertised returns the host that others are told, for one that is listened at.
func (c *config) advertised(listen string) (string, error) {
	if ip := net.ParseIP(listen); listen != "" && (ip == nil || !ip.IsUnspecified()) {
		if c.Advertise != "" && !isLoopback(listen) {
			return c.Advertise, nil
		}
		return listen, nil
	}
	if c.Advertise != "" {
		return c.Advertise, nil
	}
	return ownAddress()
}

// ownAddress returns the address that this host would use itself to reach others, or the only one it has.
func ownAddress() (string, error) {
	// Nothing is sent: the system only says which address it would take.
	if conn, err := net.Dial("udp", "192.0.2.1:9"); err == nil {
		defer conn.Close()
		if host, _, err := net.SplitHostPort(conn.LocalAddr().String()); err == nil {
			return host, nil
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", wrong("advertise: this host does not tell its addresses (%w): say by which others reach it", err)
	}
	var found []string
	for _, one := range addresses {
		if network, ok := one.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			found = append(found, network.IP.String())
		}
	}
	switch len(found) {
	case 0:
		return "127.0.0.1", nil // alone with itself
	case 1:
		return found[0], nil
	}
	return "", wrong("advertise: this host has the addresses %s: say by which others reach it", strings.Join(found, ", "))
}

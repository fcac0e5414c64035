package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// NormalAddress returns the address of a node as a URL without a trailing slash. It refuses
// addresses with credentials, and plain HTTP off loopback, which would show the token to the network.
func NormalAddress(address string) (string, error) {
	text := strings.TrimSpace(address)
	if text == "" {
		return "", errors.New("an address of a broker is empty")
	}
	if !strings.Contains(text, "://") {
		host, _, err := net.SplitHostPort(text)
		if err != nil {
			return "", fmt.Errorf("address %q: want a URL or host:port", address)
		}
		scheme := "https://"
		if isLoopback(host) {
			scheme = "http://"
		}
		text = scheme + text
	}
	parsed, err := url.Parse(text)
	if err != nil {
		// The parser's own message would quote the address with whatever is in it.
		return "", errors.New("an address of a broker is not a URL")
	}
	switch {
	case parsed.User != nil:
		return "", errors.New("an address of a broker holds a user or password: give the token apart from it")
	case parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Host == "":
		return "", fmt.Errorf("address %q: want http:// or https:// and a host", address)
	case parsed.RawQuery != "" || parsed.Fragment != "":
		return "", errors.New("an address of a broker holds a query or fragment")
	case parsed.Scheme == "http" && !isLoopback(parsed.Hostname()):
		return "", fmt.Errorf("address %q: plain HTTP is for loopback only, use https://", address)
	}
	return strings.TrimRight(parsed.String(), "/"), nil
}

// LearntAddress returns, as NormalAddress does, the address of a node that the node at another address told. Plain
// HTTP is refused when that one was asked by HTTPS: loopback is that node's own host, and who listens at this one's
// could be anybody.
func LearntAddress(from, told string) (string, error) {
	address, err := NormalAddress(told)
	if err == nil && strings.HasPrefix(from, "https://") && strings.HasPrefix(address, "http://") {
		return "", fmt.Errorf("address %q: plain HTTP is for the node's own host only", told)
	}
	return address, err
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

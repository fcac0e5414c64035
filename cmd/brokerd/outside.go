package main

import (
	"strings"

	"broker/providers"
)

// dialer is the one way to outside systems, by the operator's lists.
func (c config) dialer() (providers.Dialer, error) {
	d, err := providers.NewDialer(providers.DialerConfig{Allow: c.AllowNetworks, Deny: c.DenyNetworks})
	if err != nil {
		return d, wrong("allow_networks and deny_networks: %w", err)
	}
	return d, nil
}

// checkOutside says where connections may point at.
func (r *report) checkOutside(c config) {
	const check = "connections"
	switch allowed, denied := strings.Join(c.AllowNetworks, ", "), strings.Join(c.DenyNetworks, ", "); {
	case allowed == "" && denied == "":
		r.ok(check, "may point anywhere but at link-local and metadata addresses")
	case allowed == "":
		r.ok(check, "may point anywhere but at %s and link-local and metadata addresses", denied)
	case denied == "":
		r.ok(check, "may point at %s", allowed)
	default:
		r.ok(check, "may point at %s but not at %s", allowed, denied)
	}
}

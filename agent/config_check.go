package agent

import (
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"broker/api/client"
)

const (
	defaultOverlap = duration(time.Minute)
	defaultTimeout = duration(30 * time.Second)
)

var nameHere = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// check fills defaults in and refuses what cannot work.
func (c *Config) check() error {
	switch {
	case c.State == "" && c.StateLease == nil:
		return c.wrong(1, "state is missing: a directory where the agent notes which leases it has (never values), e.g. /var/lib/broker-agent")
	case c.State != "" && c.StateLease != nil:
		return c.wrong(1, "state and state_lease exclude each other: replicas that write files share a directory, those that write Kubernetes Secrets a Lease")
	case c.StateLease != nil && c.StateLease.Name == "":
		return c.wrong(1, "state_lease needs a name")
	case len(c.Secrets) == 0:
		return c.wrong(1, "there are no secrets; want secrets: with at least one {secret: app/env/name, files: …}")
	case c.Broker.TokenFile != "" && c.Broker.ClientID != "":
		return c.wrong(1, "broker.token_file and broker.client_id exclude each other")
	case c.Broker.ClientSecretFile != "" && c.Broker.ClientID == "":
		return c.wrong(1, "broker.client_secret_file goes with broker.client_id")
	}
	if err := c.checkMetrics(); err != nil {
		return err
	}
	names, paths := map[string]int{}, map[string]int{}
	for _, one := range c.Secrets {
		if err := c.checkSecret(one, names, paths); err != nil {
			return err
		}
	}
	for _, one := range c.Files {
		if len(one.Secrets) == 0 {
			return c.wrong(one.line, "a file outside of a secret needs secrets: the names (as) of those whose values it takes")
		}
		for _, name := range one.Secrets {
			if _, there := names[name]; !there {
				return c.wrong(one.line, "there is no secret %q; there is %s", name, strings.Join(c.names(), ", "))
			}
		}
		if err := c.checkFile(one, paths); err != nil {
			return err
		}
	}
	for _, one := range c.Secrets {
		used := slices.ContainsFunc(c.Files, func(f *File) bool { return slices.Contains(f.Secrets, one.As) })
		if !used && len(one.Files) == 0 && one.Kubernetes == nil {
			return c.wrong(one.line, "%s is written nowhere: it needs files or kubernetes, or a file at the top level that names it", one.Secret)
		}
	}
	return nil
}

// CheckCredentials looks whether the files that the broker is reached with can be read.
func (c *Config) CheckCredentials() error {
	for _, path := range []string{c.Broker.CACert, c.Broker.ClientSecretFile, c.Broker.TokenFile} {
		if path == "" {
			continue
		}
		if _, err := os.ReadFile(path); err != nil {
			return c.wrong(1, "broker: %w", err)
		}
	}
	return nil
}

func (c *Config) names() (names []string) {
	for _, one := range c.Secrets {
		names = append(names, one.As)
	}
	return names
}

func (c *Config) checkMetrics() error {
	if c.Metrics == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Metrics)
	if err != nil {
		return c.wrong(1, "metrics %q must be an address with a port, e.g. 127.0.0.1:9102", c.Metrics)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !c.Exposed {
		return c.wrong(1, "metrics %q is not on loopback: names of secrets would be seen in the network; metrics_exposed: true allows it", c.Metrics)
	}
	return nil
}

func (c *Config) checkSecret(s *Secret, names, paths map[string]int) error {
	if _, _, err := client.SplitSecret(s.Secret); err != nil {
		return c.wrong(s.line, "secret: %w", err)
	}
	if s.As == "" {
		s.As = regexp.MustCompile(`[^A-Za-z0-9_]`).ReplaceAllString(s.Secret[strings.LastIndex(s.Secret, "/")+1:], "_")
		if s.As[0] >= '0' && s.As[0] <= '9' {
			s.As = "_" + s.As
		}
	}
	if !nameHere.MatchString(s.As) {
		return c.wrong(s.line, "as: %q must be a name for templates: letters, digits and _", s.As)
	}
	if line, taken := names[s.As]; taken {
		return c.wrong(s.line, "the secret of line %d is called %q, too; give one of them another name with as:", line, s.As)
	}
	names[s.As] = s.line
	if s.Overlap == 0 {
		s.Overlap = defaultOverlap
	}
	if !slices.Contains([]string{"", "keep", "remove"}, s.OnLost) {
		return c.wrong(s.line, "on_lost: %q must be keep or remove", s.OnLost)
	}
	for _, one := range s.Files {
		if len(one.Secrets) > 0 {
			return c.wrong(one.line, "a file of a secret takes that secret's values; one of several secrets goes under files: at the top level")
		}
		one.Secrets = []string{s.As}
		if err := c.checkFile(one, paths); err != nil {
			return err
		}
	}
	if o := s.Kubernetes; o != nil {
		if o.Name == "" {
			return c.wrong(o.line, "kubernetes needs the name of the Secret to write")
		}
		id := o.id()
		if line, taken := paths[id]; taken {
			return c.wrong(o.line, "the Secret %s is written by line %d, too", o.ObjectName, line)
		}
		paths[id] = o.line
		for key, text := range o.Templates {
			if _, both := o.Keys[key]; both {
				return c.wrong(o.line, "%s is both in keys and in templates", key)
			}
			if _, err := parseTemplate("templates."+key, text); err != nil {
				return c.badTemplate(o.line, err)
			}
		}
	}
	return c.checkReload(s.Reload)
}

// required reports whether the agent is ready without it.
func (s *Secret) required() bool { return s.Required == nil || *s.Required }

// String is how people name it.
func (o ObjectName) String() string { return strings.TrimPrefix(o.Namespace+"/"+o.Name, "/") }

func (o ObjectName) id() string { return "kubernetes:" + o.String() }

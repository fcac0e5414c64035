package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"broker/providers"
)

// What the identity of a server begins with: its own, or the address for want of one.
const (
	identityOwn     = "redis-"
	identityAddress = "redis-at-"
)

// serverMark begins the channel pattern of the root account that names the server. Users are what a server shares with
// no other, neither by replication nor in a cluster, so the name stands where the logins do.
const serverMark = "broker:server:"

// version is that of a server; a Valkey server says which Redis it is compatible with.
type version struct{ major, minor int }

func (v version) before(major, minor int) bool {
	return v.major < major || v.major == major && v.minor < minor
}

// about is what a server says of itself.
type about struct {
	version  version
	text     string // the version as the server says it
	replica  bool
	cluster  bool
	config   string // path of its configuration file, "" when it has none
	serverID string // what the root account's mark says, "" when it has none
}

// prove has the server say who it is, once for each session. No command of a call has been sent when it fails.
func (b *backend) prove(ctx context.Context, s *session) error {
	a, err := b.ask(ctx, s)
	if err != nil {
		return err
	}
	if err := b.judge(a, b.env.Identity); err != nil {
		return err
	}
	s.version, s.proven = a.version, true
	return nil
}

// judge refuses a server whose word on which logins exist counts for nothing: any but the one that is meant, where they
// are absent of course. An address can come to mean another server, by a failover too, which leaves the logins where
// they were made.
func (b *backend) judge(a about, meant providers.SystemID) error {
	refuse := func(kind providers.Kind, hint, format string, args ...any) error {
		return &providers.Error{Kind: kind, NotSent: true, Hint: hint, Err: fmt.Errorf(format, args...)}
	}
	address := b.settings.address()
	byAddress := meant == "" || meant == providers.SystemID(identityAddress+address)
	switch found := b.systemID(a); {
	case a.version.before(6, 2):
		return refuse(providers.KindUnsupported, "", "the server at %s is Redis %s; the broker needs 6.2 or later", address, a.text)
	case a.cluster:
		return refuse(providers.KindUnsupported, "", "the server at %s is a node of a Redis Cluster, whose nodes have users of their own each; the broker serves single servers", address)
	case !byAddress && found != meant:
		return refuse(providers.KindUnavailable, "Let the connection's address lead to the server again that its leases were made at. If another has taken its place for good, say that the connection was replaced.",
			"the server at %s is another one than the one that is meant: %s, not %s", address, found, meant)
	case a.replica && (byAddress || a.serverID == ""):
		return refuse(providers.KindUnavailable, "Point the connection at the primary. Logins that were made at this server when it was the primary live on here.",
			"the server at %s is a replica", address)
	}
	return nil
}

// ask asks a server about itself. Nothing else was sent when it fails.
func (b *backend) ask(ctx context.Context, s *session) (about, error) {
	var server, replication *redis.StringCmd
	var self *redis.Cmd
	_, err := s.Pipelined(ctx, func(p redis.Pipeliner) error {
		server, replication = p.Info(ctx, "server"), p.Info(ctx, "replication")
		self = p.Do(ctx, "ACL", "GETUSER", b.settings.username)
		return nil
	})
	if err != nil {
		e := replyError(fmt.Sprintf("connecting to Redis at %s: asking the server who it is", b.settings.address()), err)
		e.NotSent = true
		if e.Kind == providers.KindUnknown {
			e.Kind = providers.KindUnavailable
		}
		return about{}, e
	}
	fields := map[string]string{}
	for line := range strings.Lines(server.Val() + "\r\n" + replication.Val()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	a := about{text: fields["redis_version"], replica: fields["role"] == "slave", cluster: fields["redis_mode"] == "cluster", config: fields["config_file"]}
	if _, err := fmt.Sscanf(a.text, "%d.%d", &a.version.major, &a.version.minor); err != nil {
		return about{}, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("the server at %s does not say its version", b.settings.address())}
	}
	for _, word := range words(self.Val()) {
		if id, marked := strings.CutPrefix(strings.TrimPrefix(word, "&"), serverMark); marked {
			a.serverID = id
		}
	}
	return a, nil
}

// systemID names the server by the mark of its root account, or by its address where there is none; then one that
// moves, or another that takes its place, cannot be recognised.
func (b *backend) systemID(a about) providers.SystemID {
	if a.serverID == "" {
		return providers.SystemID(identityAddress + b.settings.address())
	}
	return providers.SystemID(identityOwn + a.serverID)
}

// words are all words in an answer of ACL GETUSER, whose form depends on the server's version.
func words(answer any) []string {
	switch answer := answer.(type) {
	case string:
		return strings.Fields(answer)
	case []any:
		var all []string
		for _, part := range answer {
			all = append(all, words(part)...)
		}
		return all
	}
	return nil
}

package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"broker/providers"
)

// guardPrefix begins the keys that guard creates, followed by the login's name.
const guardPrefix = "broker:create:"

// Create makes the user in a transaction that the server carries out only while a key is there that it deletes itself
// at the grant's deadline. ACL SETUSER would change a user that exists; that there is none is seen under the same guard.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := b.ours(grant.Name); err != nil {
		return nil, err
	}
	if err := b.changing(); err != nil {
		return nil, err
	}
	ctx, cancel := b.bound(ctx, 3)
	defer cancel()
	password, err := providers.Password(rand.Reader, grant.Options)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	hash := hashOf(password)
	providers.Conceal(ctx, password, providers.NewSecret(hash))
	rules, err := rulesOf(grant.Options)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("making user %q: %w", string(grant.Name), err)}
	}
	s, release, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	err = b.create(ctx, s, grant, func(v version) []any { return setUser(grant.Name, rules, b.mark(v, grant.LeaseID), hash) })
	release()
	if err != nil {
		return nil, err
	}
	if err := b.saved(ctx); err != nil {
		return nil, replyError(fmt.Sprintf("making user %q", string(grant.Name)), err)
	}
	return b.values(grant.Name, password), nil
}

func (b *backend) create(ctx context.Context, s *session, grant providers.Grant, command func(version) []any) error {
	doing := fmt.Sprintf("making user %q", string(grant.Name))
	guard, token := guardPrefix+string(grant.Name), rand.Text()
	var found *redis.StringCmd
	var user *redis.Cmd
	_, err := s.Pipelined(ctx, func(p redis.Pipeliner) error {
		// The server counts in milliseconds, and the last one as good.
		p.Do(ctx, "SET", guard, token, "PXAT", grant.Deadline.UnixMilli()-1)
		p.Do(ctx, "WATCH", guard)
		found = p.Get(ctx, guard)
		user = p.Do(ctx, "ACL", "GETUSER", string(grant.Name))
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return replyError(doing, err)
	}
	switch exists := !errors.Is(user.Err(), redis.Nil); {
	case exists:
		// The session, and with it its watch, goes on to the next call.
		_ = s.Do(ctx, "UNWATCH").Err()
		return providers.Errorf(providers.KindExists, "%s: it exists", doing)
	case found.Val() != token:
		_ = s.Do(ctx, "UNWATCH").Err()
		return providers.Errorf(providers.KindRejected, "%s: by the server's clock its deadline has passed, or another create of it is under way", doing)
	}
	// Watched while it was there, the guard ends the transaction when it is deleted or its time is over.
	commands, err := s.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, command(s.version)...)
		p.Del(ctx, guard)
		return nil
	})
	if errors.Is(err, redis.TxFailedErr) {
		return providers.Errorf(providers.KindRejected, "%s: by the server's clock its deadline has passed, or another create of it is under way", doing)
	}
	if err != nil {
		e := replyError(doing, err)
		if isReply(commands[0].Err(), "ERR") {
			e.Hint = "The server does not take one of the rules in the secret's options."
		}
		return e
	}
	return nil
}

// hashOf is the form in which the server keeps passwords.
func hashOf(password providers.Secret) string {
	sum := sha256.Sum256([]byte(password.Reveal()))
	return hex.EncodeToString(sum[:])
}

// rulesOf are the rules of a secret's options, in the order in which they are carried out.
func rulesOf(options providers.Options) ([]string, error) {
	rules, err := parseRules(options.List(optionRules))
	if err != nil {
		return nil, err
	}
	admin, err := parseRules(options.List(optionAdminRules))
	return append(withoutAdmin(rules), admin...), err
}

// setUser is the command that makes a user. The server carries out all of it or nothing.
func setUser(name providers.LoginName, rules []string, mark, hash string) []any {
	command := []any{"ACL", "SETUSER", string(name), "resetchannels"}
	for _, rule := range rules {
		command = append(command, rule)
	}
	return append(command, mark, "#"+hash, "on")
}

// loginMark begins the channel pattern that tells whose a user is.
const loginMark = "broker:login:"

// mark is the rule that tells whose a user is, beyond the few characters that its name has room for: a channel that
// nobody uses, in a selector without commands, so that it gives nothing. Servers before 7.0 have no selectors; there it
// gives that one channel, and rules that give all leave no place for it.
func (b *backend) mark(v version, leaseID string) string {
	channel := "&" + clusterMark(b.env.ClusterID) + url.QueryEscape(leaseID)
	if v.before(7, 0) {
		return channel
	}
	return "(" + channel + ")"
}

// clusterMark is what the channel of every user of a cluster begins with, free of what means something in a pattern.
func clusterMark(clusterID string) string {
	return loginMark + url.QueryEscape(clusterID) + ":"
}

// isOurs reports whether an answer of ACL GETUSER is about a user of this cluster.
func (b *backend) isOurs(answer any) bool {
	return b.env.ClusterID != "" && slices.ContainsFunc(words(answer), func(word string) bool {
		// Servers before 7.0 leave the ampersand out.
		return strings.HasPrefix(strings.TrimPrefix(word, "&"), clusterMark(b.env.ClusterID))
	})
}

func (b *backend) values(name providers.LoginName, password providers.Secret) providers.Values {
	s := b.settings
	port, database := strconv.FormatInt(s.clientPort, 10), strconv.FormatInt(s.database, 10)
	u := url.URL{
		Scheme: "redis",
		User:   url.UserPassword(string(name), password.Reveal()),
		Host:   net.JoinHostPort(s.clientHost, port),
		Path:   "/" + database,
	}
	if s.tls != nil {
		u.Scheme = "rediss"
	}
	return providers.Values{
		"username": providers.NewSecret(string(name)),
		"password": password,
		"host":     providers.NewSecret(s.clientHost),
		"port":     providers.NewSecret(port),
		"database": providers.NewSecret(database),
		"url":      providers.NewSecret(u.String()),
	}
}

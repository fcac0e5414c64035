package rabbitmq

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/providers"
)

// Tags that tell whose a user is, beyond the few characters that its name has room for. They open nothing.
const (
	tagCluster = "broker:"
	tagLease   = "broker-lease:"
)

// tags are those of a user. Before 3.9 they came as one text.
type tags []string

// UnmarshalJSON reads a list or a text divided by commas.
func (t *tags) UnmarshalJSON(content []byte) error {
	var text string
	if json.Unmarshal(content, &text) == nil {
		*t = strings.Split(text, ",")
		return nil
	}
	return json.Unmarshal(content, (*[]string)(t))
}

// user is what PUT of a user takes.
type user struct {
	PasswordHash     string `json:"password_hash"`
	HashingAlgorithm string `json:"hashing_algorithm"`
	Tags             string `json:"tags"`
}

func newUser(password providers.Secret, tags ...string) (user, error) {
	hash, err := hashOf(password)
	return user{PasswordHash: hash, HashingAlgorithm: "rabbit_password_hashing_sha256", Tags: strings.Join(tags, ",")}, err
}

// hashOf is the form in which the server keeps passwords: four bytes of salt, and the SHA-256 hash of them and the
// password.
func hashOf(password providers.Secret) (string, error) {
	var salt [4]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fmt.Errorf("reading random bits for a salt: %w", err)
	}
	sum := sha256.Sum256(append(salt[:], password.Reveal()...))
	return base64.StdEncoding.EncodeToString(append(salt[:], sum[:]...)), nil
}

// Create makes the user and then what it may do: permissions need the user to be there, so that of requests which are
// carried out late, after the user was removed again, no one makes a login that can do something. PUT of a user would
// replace one that exists; that there is none is seen before.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := b.ours(grant.Name); err != nil {
		return nil, err
	}
	if err := b.changing(); err != nil {
		return nil, err
	}
	doing := fmt.Sprintf("making user %q", string(grant.Name))
	r, problems := readRights(grant.Options)
	if len(problems) > 0 {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("%s: %w", doing, problems[0])}
	}
	password, err := providers.Password(rand.Reader, grant.Options)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	made, err := newUser(password, slices.Concat(r.tags, []string{clusterTag(b.env.ClusterID), tagLease + url.QueryEscape(grant.LeaseID)})...)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, password, providers.NewSecret(made.PasswordHash))
	if err := b.prove(ctx); err != nil {
		return nil, err
	}
	found, err := b.do(ctx, doing, http.MethodGet, path("users", string(grant.Name)), nil, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return nil, notSent(err)
	}
	if found.status == http.StatusOK {
		return nil, providers.Errorf(providers.KindExists, "%s: it exists", doing)
	}
	// By the server's clock and by ours; the server itself does not heed a deadline.
	left := min(grant.Deadline.Sub(found.at), time.Until(grant.Deadline))
	if left <= 0 {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("%s: its deadline has passed", doing)}
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if err := b.put(ctx, doing, grant.Name, made, r); err != nil {
		return nil, err
	}
	return b.values(grant.Name, password, r), nil
}

func (b *backend) put(ctx context.Context, doing string, name providers.LoginName, made user, r rights) error {
	a, err := b.do(ctx, doing, http.MethodPut, path("users", string(name)), made, http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return err
	}
	if a.status != http.StatusCreated {
		return providers.Errorf(providers.KindUnknown, "%s: one of that name came into being meanwhile and was replaced", doing)
	}
	for _, p := range r.permissions {
		body := map[string]string{"configure": p.configure, "write": p.write, "read": p.read}
		err := b.putRight(ctx, doing+", permissions in virtual host "+strconv.Quote(p.vhost), path("permissions", p.vhost, string(name)), body)
		if err != nil {
			return err
		}
	}
	for _, p := range r.topics {
		body := map[string]string{"exchange": p.exchange, "write": p.write, "read": p.read}
		err := b.putRight(ctx, doing+", topic permissions in virtual host "+strconv.Quote(p.vhost), path("topic-permissions", p.vhost, string(name)), body)
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) putRight(ctx context.Context, doing, path string, body map[string]string) error {
	_, err := b.do(ctx, doing, http.MethodPut, path, body, http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return sent(err) // the user was
	}
	return nil
}

// clusterTag is the tag of every user of a cluster, free of the comma that divides tags.
func clusterTag(clusterID string) string {
	return tagCluster + url.QueryEscape(clusterID)
}

func (b *backend) values(name providers.LoginName, password providers.Secret, r rights) providers.Values {
	s := b.settings
	port, vhost := strconv.FormatInt(s.clientPort, 10), "/"
	if len(r.permissions) > 0 {
		vhost = r.permissions[0].vhost
	}
	u := url.URL{
		Scheme:  "amqp",
		User:    url.UserPassword(string(name), password.Reveal()),
		Host:    net.JoinHostPort(s.clientHost, port),
		Path:    "/" + vhost,
		RawPath: "/" + url.PathEscape(vhost),
	}
	if s.clientTLS {
		u.Scheme = "amqps"
	}
	return providers.Values{
		"username": providers.NewSecret(string(name)),
		"password": password,
		"host":     providers.NewSecret(s.clientHost),
		"port":     providers.NewSecret(port),
		"vhost":    providers.NewSecret(vhost),
		"url":      providers.NewSecret(u.String()),
	}
}

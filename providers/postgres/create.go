package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"broker/providers"
)

// creation is a login to be made.
type creation struct {
	grant    providers.Grant
	verifier string
	sent     bool // something of it has reached the server, and was rolled back for certain
}

// ownStatements reports whether users' statements belong to the login. Nobody knows what they lock and
// how long they take.
func (c *creation) ownStatements() bool {
	return len(c.grant.Options.List(optionCreationStatements)) > 0
}

// Create makes the role in one transaction that goes over in one piece. Its last statement before
// COMMIT fails when the server's clock is past the deadline. Logins without statements of users' own
// share transactions when there are many.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := b.ours(grant.Name); err != nil {
		return nil, err
	}
	ctx, cancel := b.bound(ctx, 4)
	defer cancel()
	made, err := b.stock.takeFor(grant.Options)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, made.password)
	providers.Conceal(ctx, providers.NewSecret(made.verifier))
	if err := b.create(ctx, &creation{grant: grant, verifier: made.verifier}); err != nil {
		return nil, err
	}
	return b.values(grant.Name, made.password), nil
}

// create has the login made by the queue for its kind.
func (b *backend) create(ctx context.Context, c *creation) error {
	switch {
	case c.ownStatements():
		return b.ownCreates.do(ctx, c)
	case iterations(c.grant.Options) > sharedIterations:
		return b.loneCreates.do(ctx, c)
	}
	err := b.sharedCreates.do(ctx, c)
	if !foundLocked(err) && !inTheWay(err) {
		return err
	}
	c.sent = true
	err = b.loneCreates.do(ctx, c)
	var known *providers.Error
	if errors.As(err, &known) && known.NotSent {
		return &providers.Error{Kind: known.Kind, Blocked: known.Blocked, Hint: known.Hint, Err: known.Err}
	}
	return err
}

// roleComment marks a role as the cluster's, beyond the few characters that its name has room for.
func roleComment(clusterID, leaseID string) string {
	return "broker cluster=" + clusterID + " lease=" + leaseID
}

// nativeExpiry is when the server itself stops log-ins.
func nativeExpiry(login providers.Login) time.Time {
	grace := defaultGrace
	if login.Options[optionGrace] != nil {
		grace = login.Options.Duration(optionGrace)
	}
	return login.ExpiresAt.Add(grace)
}

// ours refuses names that another cluster or a person may have given. Whoever holds the root account
// can remove every role of the server; the broker touches its own only.
func (b *backend) ours(name providers.LoginName) error {
	refuse := func(reason string) error {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("refusing role name %q: %s", string(name), reason)}
	}
	switch {
	case name == "" || len(name) > maxIdentifier:
		return refuse(fmt.Sprintf("it is empty or longer than %d bytes", maxIdentifier))
	case b.env.Prefix == "":
		return refuse("the backend was opened without a prefix and so has no logins")
	case !strings.HasPrefix(string(name), b.env.Prefix):
		return refuse(fmt.Sprintf("it does not begin with %q", b.env.Prefix))
	case string(name) == b.settings.username:
		return refuse("it is the root account")
	case strings.ContainsRune(string(name), 0):
		return refuse("it holds a NUL character")
	}
	return nil
}

func (b *backend) values(name providers.LoginName, password providers.Secret) providers.Values {
	s := b.settings
	port := strconv.FormatInt(s.clientPort, 10)
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(string(name), password.Reveal()),
		Host:   net.JoinHostPort(s.clientHost, port),
		Path:   "/" + s.database,
	}
	if s.sslModeGiven != "" {
		u.RawQuery = url.Values{"sslmode": {s.sslModeGiven}}.Encode()
	}
	return providers.Values{
		"username": providers.NewSecret(string(name)),
		"password": password,
		"host":     providers.NewSecret(s.clientHost),
		"port":     providers.NewSecret(port),
		"database": providers.NewSecret(s.database),
		"url":      providers.NewSecret(u.String()),
	}
}

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

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// step is one statement of a create and what it does, for errors.
type step struct {
	doing string
	sql   string
}

// Create makes the role in one transaction that goes over in one piece. Its last statement before
// COMMIT fails when the server's clock is past the deadline.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := b.ours(grant.Name); err != nil {
		return nil, err
	}
	ctx, cancel := b.bound(ctx, 4)
	defer cancel()
	password, err := providers.NewPassword(b.random, 0)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, password)
	verifier, err := scramVerifier(b.random, password, int(max(grant.Options.Integer(optionSCRAMIterations), defaultSCRAMIterations)))
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, providers.NewSecret(verifier))

	conn, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	steps, err := b.createSteps(conn.Conn(), grant, verifier)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("creating role %q: %w", string(grant.Name), err)}
	}
	statements := make([]string, len(steps))
	for i, s := range steps {
		statements[i] = s.sql
	}
	done, err := pipeline(ctx, conn.Conn(), statements...)
	if err != nil {
		rollback(conn.Conn())
		return nil, createError(grant.Name, steps, done, err)
	}
	return b.values(grant.Name, password), nil
}

const (
	doingCreate   = "creating it"
	doingDeadline = "checking the deadline"
)

func createError(name providers.LoginName, steps []step, done int, err error) error {
	failed := steps[min(done, len(steps)-1)]
	doing := fmt.Sprintf("creating role %q: %s", string(name), failed.doing)
	switch {
	case errors.Is(err, errNotSent):
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("%s: %w", doing, err)}
	case done >= len(steps)-1:
		return commitError(fmt.Errorf("creating role %q: %w", string(name), err))
	case failed.doing == doingCreate && hasCode(err, codeDuplicateObject, codeUniqueViolation):
		return providers.Errorf(providers.KindExists, "creating role %q: a role of that name exists", string(name))
	case failed.doing == doingDeadline && hasCode(err, codeDivisionByZero):
		return providers.Errorf(providers.KindRejected, "creating role %q: its deadline has passed by the server's clock", string(name))
	}
	return statementError(doing, err)
}

func (b *backend) createSteps(conn *pgx.Conn, grant providers.Grant, verifier string) ([]step, error) {
	name := quoteName(string(grant.Name))
	quotedVerifier, err := quoteLiteral(conn, verifier)
	if err != nil {
		return nil, err
	}
	comment, err := quoteLiteral(conn, roleComment(b.env.ClusterID, grant.LeaseID))
	if err != nil {
		return nil, err
	}
	expiration := quoteTime(nativeExpiry(grant.Login))
	options := grant.Options
	connections := int64(-1)
	if options[optionConnectionLimit] != nil {
		connections = options.Integer(optionConnectionLimit)
	}
	// No statement may outlast the deadline by more than itself: the check at the end is what holds,
	// this ends what would fail there anyway.
	remaining := min(max(time.Until(grant.Deadline), time.Second), b.settings.statementTimeout)
	milliseconds := strconv.FormatInt(remaining.Milliseconds(), 10)
	steps := []step{
		{"beginning", begin},
		{"limiting statements", "SET LOCAL statement_timeout = " + milliseconds},
		{"limiting the transaction", "SET LOCAL idle_in_transaction_session_timeout = " + milliseconds},
		{doingCreate, fmt.Sprintf("CREATE ROLE %s LOGIN CONNECTION LIMIT %d PASSWORD %s VALID UNTIL %s", name, connections, quotedVerifier, expiration)},
		{"commenting on it", fmt.Sprintf("COMMENT ON ROLE %s IS %s", name, comment)},
	}
	for _, group := range sortedUnique(options.List(optionMemberOf)) {
		steps = append(steps, step{fmt.Sprintf("making it a member of %q", group), fmt.Sprintf("GRANT %s TO %s", quoteName(group), name)})
	}
	statements, err := renderAll(options.List(optionCreationStatements), creationPlaceholders, map[string]string{
		placeholderName: name, placeholderPassword: quotedVerifier, placeholderExpiration: expiration,
	})
	if err != nil {
		return nil, fmt.Errorf("creation_statements: %w", err)
	}
	for i, sql := range statements {
		steps = append(steps, step{fmt.Sprintf("running creation statement %d", i+1), sql})
	}
	return append(steps,
		step{doingDeadline, "SELECT 1 / (clock_timestamp() <= " + quoteTime(grant.Deadline) + "::timestamptz)::int"},
		step{"committing", "COMMIT"},
	), nil
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

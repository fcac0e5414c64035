package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"strings"
	"time"

	"broker/providers"
)

// Provider is the provider "webhook". It has no state.
type Provider struct{}

// Open returns a Backend that calls the service at the connection's url.
func (Provider) Open(s providers.Settings, env providers.Env) (providers.Backend, error) {
	read, err := readSettings(s)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("opening webhook connection: %w", err)}
	}
	b := &backend{settings: read, env: env, client: providers.NewHTTPClient(env.Dialer, read.tls, read.timeout), turns: make(chan struct{}, read.maxRequests)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// backend calls one service for one leadership period.
type backend struct {
	settings settings
	env      providers.Env
	client   *http.Client
	turns    chan struct{}   // one for each call there may be at once
	ctx      context.Context // done when the Backend is closed
	cancel   context.CancelFunc
}

// Close ends every call under way.
func (b *backend) Close() error {
	b.cancel()
	b.client.CloseIdleConnections()
	return nil
}

// identityOwn is what the identity of a system begins with; the rest is the service's own.
const identityOwn = "webhook-"

func (b *backend) head(operation, subject string) Call {
	return Call{RequestID: operation + "/" + subject, Cluster: b.env.ClusterID, System: strings.TrimPrefix(string(b.env.Identity), identityOwn)}
}

// Check asks the service whether it is ready and which system it makes logins at.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	reply, err := b.check(ctx, nil)
	if err != nil {
		return "", err
	}
	return identityOwn + providers.SystemID(reply.System), nil
}

// CheckOptions asks the service what it thinks of the options.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	given, err := serviceOptions(options)
	if err != nil {
		return []providers.FieldError{{Field: optionServiceOptions, Message: err.Error()}}, nil
	}
	reply, err := b.check(ctx, given)
	if err != nil {
		return nil, err
	}
	var problems []providers.FieldError
	for _, problem := range reply.Problems {
		problems = append(problems, providers.FieldError{Field: optionServiceOptions, Message: problem})
	}
	return problems, nil
}

func (b *backend) check(ctx context.Context, options json.RawMessage) (CheckReply, error) {
	head := b.head(operationCheck, rand.Text())
	head.System = "" // whichever system answers: this is how it becomes known
	var reply CheckReply
	err := b.call(ctx, operationCheck, head, CheckRequest{Call: head, Options: options}, &reply)
	return reply, err
}

// valueName is what the service may call a value.
var valueName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)

// Create has the service make the login.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	login, err := b.login(grant.Login)
	if err != nil {
		return nil, err
	}
	if !time.Now().Before(grant.Deadline) {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("making login %q: its deadline has passed", login.Name)}
	}
	request := CreateRequest{Call: b.head(operationCreate, login.Name), Login: login, Lease: grant.LeaseID, For: Subject(grant.For), Deadline: instant(grant.Deadline)}
	var reply CreateReply
	if err := b.call(ctx, operationCreate, request.Call, request, &reply); err != nil {
		return nil, err
	}
	for name, value := range reply.Values {
		providers.Conceal(ctx, providers.NewSecret(value))
		if !valueName.MatchString(name) {
			return nil, providers.Errorf(providers.KindUnknown, "making login %q: the service answers a value whose name is not of letters, digits and '_'", login.Name)
		}
	}
	if len(reply.Values) == 0 || reply.Values[outputUsername] != "" && reply.Values[outputUsername] != login.Name {
		return nil, providers.Errorf(providers.KindUnknown, "making login %q: the service answers no values, or another username", login.Name)
	}
	all, err := json.Marshal(reply.Values)
	if err != nil {
		return nil, providers.Errorf(providers.KindUnknown, "making login %q: %w", login.Name, err)
	}
	return providers.Values{
		outputUsername: providers.NewSecret(login.Name),
		outputPassword: providers.NewSecret(reply.Values[outputPassword]),
		outputURL:      providers.NewSecret(reply.Values[outputURL]),
		outputValues:   providers.NewSecret(string(all)),
	}, nil
}

// login is a login as the contract has it. It refuses what is not ours, and everything where nothing may change.
func (b *backend) login(login providers.Login) (Login, error) {
	refuse := func(format string, args ...any) error {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("login %q: "+format, append([]any{string(login.Name)}, args...)...)}
	}
	name := string(login.Name)
	given, err := serviceOptions(login.Options)
	switch {
	case len(name) > maxLoginName:
		return Login{}, refuse("its name is longer than %d bytes", maxLoginName)
	case b.env.Prefix == "" || !strings.HasPrefix(name, b.env.Prefix):
		return Login{}, refuse("its name does not begin with %q", b.env.Prefix)
	case strings.ToValidUTF8(name, "") != name: // JSON would carry another one
		return Login{}, refuse("its name is no UTF-8")
	case b.env.ReadOnly:
		return Login{}, refuse("nothing may change at the service")
	case err != nil:
		return Login{}, refuse("%s: %w", optionServiceOptions, err)
	}
	return Login{Name: name, ExpiresAt: instant(login.ExpiresAt), Options: given}, nil
}

// instant is a time as requests show it.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// List asks for page after page.
func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		cursors := map[string]bool{}
		for cursor := ""; ; {
			request := ListRequest{Call: b.head(operationList, rand.Text()), Prefix: prefix, Cursor: cursor}
			var reply ListReply
			if err := b.call(ctx, operationList, request.Call, request, &reply); err != nil {
				yield(providers.Found{}, err)
				return
			}
			for _, login := range reply.Logins {
				if strings.HasPrefix(login.Name, prefix) && !yield(providers.Found{Name: providers.LoginName(login.Name), Ours: login.Cluster == b.env.ClusterID}, nil) {
					return
				}
			}
			if cursor = reply.NextCursor; cursor == "" {
				return
			}
			if cursors[cursor] {
				yield(providers.Found{}, providers.Errorf(providers.KindUnknown, "listing logins: the service gives the same cursor twice"))
				return
			}
			cursors[cursor] = true
		}
	}
}

// LogIn has the service try a login's values.
func (b *backend) LogIn(ctx context.Context, values providers.Values) error {
	given := map[string]string{}
	if err := json.Unmarshal([]byte(values[outputValues].Reveal()), &given); err != nil {
		return providers.Errorf(providers.KindRejected, "trying a log-in: the output %s is no JSON object of strings", outputValues)
	}
	for _, name := range []string{outputUsername, outputPassword, outputURL} {
		if value := values[name].Reveal(); value != "" {
			given[name] = value
		}
	}
	request := LogInRequest{Call: b.head(operationLogIn, given[outputUsername]), Values: given}
	return b.call(ctx, operationLogIn, request.Call, request, &Reply{})
}

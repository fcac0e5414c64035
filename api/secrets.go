package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// SecretPath is part of every input about one secret.
type SecretPath struct {
	EnvironmentPath
	Name string `path:"name"`
}

func (p SecretPath) secret() fsm.SecretName {
	return fsm.NewSecretName(p.EnvironmentPath.name(), p.Name)
}

func (p SecretPath) resource() Resource {
	return Resource{Kind: access.KindSecret, Environment: fsm.Pattern(p.EnvironmentPath.name()), Secret: p.Name}
}

// SecretListAll asks for the secrets of all environments.
type SecretListAll struct{ Paged }

func (SecretListAll) resource() Resource { return Resource{Kind: access.KindSecret} }

// SecretList asks for the secrets of an environment.
type SecretList struct {
	EnvironmentPath
	Paged
}

func (in SecretList) resource() Resource {
	return Resource{Kind: access.KindSecret, Environment: fsm.Pattern(in.EnvironmentPath.name())}
}

// SecretCreate asks for a new secret.
type SecretCreate struct {
	EnvironmentPath
	Keyed
	Body types.SecretSpec
}

func (in SecretCreate) resource() Resource {
	return Resource{Kind: access.KindSecret, Environment: fsm.Pattern(in.EnvironmentPath.name()), Secret: in.Body.Name}
}

// SecretGet asks for one secret.
type SecretGet struct {
	SecretPath
	Read
}

// SecretUpdate asks for a change of a secret.
type SecretUpdate struct {
	SecretPath
	Conditional
	Body types.SecretChange
}

// SecretDelete asks for the end of a secret.
type SecretDelete struct {
	SecretPath
	Removal
}

// demands is the use of the connection in the environment, and more for options that make whoever writes them root there.
func (in SecretCreate) demands(_ route, s *Server, view View) []ask {
	return s.usingConnection(view, fsm.ConnectionName(in.Body.Connection), in.EnvironmentPath.name(), in.Body.Options)
}

func (in SecretUpdate) demands(_ route, s *Server, view View) []ask {
	found, ok := view.Secret(in.secret())
	if !ok || len(in.Body.Options) == 0 {
		return nil
	}
	return s.usingConnection(view, found.Connection, in.EnvironmentPath.name(), in.Body.Options)
}

func (in SecretDelete) demands(_ route, _ *Server, view View) []ask {
	return in.revoking(view, fsm.Target{Noun: fsm.TargetSecret, Name: string(in.secret())})
}

// usingConnection is what options of a secret need of whoever sets them.
func (s *Server) usingConnection(view View, name fsm.ConnectionName, env fsm.EnvironmentName, options map[string]any) []ask {
	on := Resource{Kind: access.KindConnection, Name: string(name), Environment: fsm.Pattern(env), Connection: name}
	asks := []ask{{"connection:use", on}}
	connection, ok := view.Connection(name)
	if !ok {
		return asks
	}
	provider, ok := s.config.Providers.Get(connection.Provider)
	if !ok {
		return asks
	}
	for _, field := range provider.Describe().Options {
		if _, set := options[field.Name]; set && field.Statements {
			return append(asks, ask{"connection:statements", on})
		}
	}
	return asks
}

func (r *routes) secrets() {
	s := r.server
	const inside = "/environments/{app}/{env}/secrets"
	register(r, route{id: "secret-list-all", action: "secret:list", method: http.MethodGet, path: "/secrets", summary: "List the secrets of all environments that one may see", chosen: true}, s.listAllSecrets)
	register(r, route{id: "secret-list", action: "secret:list", method: http.MethodGet, path: inside, summary: "List the secrets of an environment"}, s.listSecrets)
	register(r, route{id: "secret-create", action: "secret:create", method: http.MethodPost, path: inside, summary: "Make a secret", status: http.StatusCreated}, s.createSecret)
	register(r, route{id: "secret-get", action: "secret:get", method: http.MethodGet, path: inside + "/{name}", summary: "Get a secret"}, s.getSecret)
	register(r, route{id: "secret-update", action: "secret:update", method: http.MethodPatch, path: inside + "/{name}", summary: "Change a secret"}, s.updateSecret)
	register(r, route{id: "secret-delete", action: "secret:delete", method: http.MethodDelete, path: inside + "/{name}", summary: "Delete a secret without live leases, or with them", status: http.StatusAccepted}, s.deleteSecret)
}

func (s *Server) listAllSecrets(_ context.Context, c *call, in *SecretListAll) (*body[types.Page[types.Secret]], error) {
	return s.pageOfSecrets(c, "", in.Paged)
}

func (s *Server) listSecrets(_ context.Context, c *call, in *SecretList) (*body[types.Page[types.Secret]], error) {
	return s.pageOfSecrets(c, in.name(), in.Paged)
}

func (s *Server) pageOfSecrets(c *call, env fsm.EnvironmentName, in Paged) (*body[types.Page[types.Secret]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var shown []types.Secret
	var next string
	err = s.view(c, func(view View) error {
		if env != "" {
			if _, ok := view.Environment(env); !ok {
				return notFound("environment", string(env))
			}
		}
		sight := s.sightOf(c, view)
		var list []fsm.Secret
		list, next = gather(in.limit(), after,
			func(after string, limit int) []fsm.Secret { return view.Secrets(env, fsm.SecretName(after), limit) },
			func(one fsm.Secret) string { return string(one.Name) },
			func(one *fsm.Secret) bool { return sight.sees("secret:list", secretResource(one)) })
		for _, one := range list {
			converted, err := secretOf(view, one)
			if err != nil {
				return err
			}
			shown = append(shown, converted)
		}
		return sight.err
	})
	return pageFrom(shown, next, func(one types.Secret) types.Secret { return one }), err
}

func (s *Server) createSecret(ctx context.Context, c *call, in *SecretCreate) (*created[types.Secret], error) {
	if !fsm.ValidName(in.Body.Name) {
		return nil, invalid("name", "must be "+fsm.NameRule)
	}
	spec := broker.SecretSpec{
		Name:        fsm.NewSecretName(in.name(), in.Body.Name),
		Description: in.Body.Description,
		Connection:  fsm.ConnectionName(in.Body.Connection),
		Options:     in.Body.Options,
		Outputs:     outputsFrom(in.Body.Outputs),
		Labels:      in.Body.Labels,
		MaxLeases:   in.Body.MaxLeases,
		Disabled:    in.Body.Disabled,
	}
	var err error
	if spec.IssueRate, err = rateFrom("issue_rate", in.Body.IssueRate); err != nil {
		return nil, err
	}
	if spec.DefaultTTL, err = positive("default_ttl", in.Body.DefaultTTL); err != nil {
		return nil, err
	}
	if spec.MaxTTL, err = positive("max_ttl", in.Body.MaxTTL); err != nil {
		return nil, err
	}
	made, warnings, err := s.config.Broker.CreateSecret(ctx, c.request(in.DryRun), spec)
	if err != nil {
		return nil, err
	}
	shown, err := s.shownSecret(c, made, warnings, in.DryRun)
	return &created[types.Secret]{createdStatus(in.DryRun), shown}, err
}

func (s *Server) getSecret(_ context.Context, c *call, in *SecretGet) (*body[types.Secret], error) {
	var out body[types.Secret]
	err := s.view(c, func(view View) error {
		found, ok := view.Secret(in.secret())
		if !ok {
			return notFound("secret", string(in.secret()))
		}
		c.setVersion(found.Version)
		var err error
		out.Body, err = secretOf(view, found)
		return err
	})
	return &out, err
}

func (s *Server) updateSecret(ctx context.Context, c *call, in *SecretUpdate) (*body[types.Secret], error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	change := broker.SecretChange{
		Name:        in.secret(),
		Description: in.Body.Description,
		Options:     in.Body.Options,
		Labels:      in.Body.Labels,
		Disabled:    in.Body.Disabled,
		MaxLeases:   in.Body.MaxLeases,
		IfVersion:   version,
	}
	if in.Body.IssueRate != nil {
		rate, err := rateFrom("issue_rate", *in.Body.IssueRate)
		if err != nil {
			return nil, err
		}
		change.IssueRate = &rate
	}
	if in.Body.DefaultTTL != nil {
		ttl, err := positive("default_ttl", in.Body.DefaultTTL)
		if err != nil {
			return nil, err
		}
		change.DefaultTTL = &ttl
	}
	if in.Body.MaxTTL != nil {
		ttl, err := positive("max_ttl", in.Body.MaxTTL)
		if err != nil {
			return nil, err
		}
		change.MaxTTL = &ttl
	}
	if in.Body.Outputs != nil {
		outputs := outputsFrom(*in.Body.Outputs)
		change.Outputs = &outputs
	}
	changed, warnings, err := s.config.Broker.UpdateSecret(ctx, request, change)
	if err != nil {
		return nil, err
	}
	shown, err := s.shownSecret(c, changed, warnings, in.DryRun)
	return &body[types.Secret]{shown}, err
}

func (s *Server) deleteSecret(ctx context.Context, c *call, in *SecretDelete) (*removed, error) {
	target := fsm.Target{Noun: fsm.TargetSecret, Name: string(in.secret())}
	return s.remove(ctx, c, in.Removal, target, func(request broker.Request, version uint64) error {
		return s.config.Broker.DeleteSecret(ctx, request, in.secret(), version)
	})
}

// positive returns a length of time that was given, or zero when none was. Zero itself is no length
// to ask for: in the broker's requests it means the default.
func positive(field string, ttl *types.Duration) (time.Duration, error) {
	if ttl == nil {
		return 0, nil
	}
	if ttl.Std() <= 0 {
		return 0, invalid(field, "must be longer than zero")
	}
	return ttl.Std(), nil
}

func outputsFrom(outputs []types.Output) []fsm.Output {
	var out []fsm.Output
	for _, one := range outputs {
		out = append(out, fsm.Output{Key: one.Key, Source: one.Source, Plain: one.Masked != nil && !*one.Masked})
	}
	return out
}

func secretOf(view View, secret fsm.Secret) (types.Secret, error) {
	env, short := secret.Name.Split()
	connection, _ := view.Connection(secret.Connection)
	out := types.Secret{
		Name:        short,
		Environment: string(env),
		FullName:    string(secret.Name),
		Description: secret.Description,
		Connection:  string(secret.Connection),
		Provider:    connection.Provider,
		Options:     map[string]any{},
		DefaultTTL:  types.Duration(secret.DefaultTTL),
		MaxTTL:      types.Duration(secret.MaxTTL),
		Outputs:     []types.Output{},
		Labels:      labelsOf(secret.Labels),
		Disabled:    secret.Disabled,
		MaxLeases:   secret.MaxLeases,
		IssueRate:   rateOf(secret.IssueRate),
		LiveLeases:  view.LiveLeases(secret.Name),
		CreatedAt:   secret.CreatedAt.Time(),
		UpdatedAt:   secret.UpdatedAt.Time(),
		Version:     secret.Version,

		BeingDeletedBy: string(secret.Going),
	}
	for _, one := range secret.Outputs {
		masked := !one.Plain
		out.Outputs = append(out.Outputs, types.Output{Key: one.Key, Source: one.Source, Masked: &masked})
	}
	if len(secret.Options) > 0 {
		if err := json.Unmarshal(secret.Options, &out.Options); err != nil {
			return out, fmt.Errorf("reading the options of secret %q: %w", secret.Name, err)
		}
	}
	return out, nil
}

// labelsOf shows no labels as an empty object rather than null.
func labelsOf(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}

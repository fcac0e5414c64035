package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// ClientSecretCreate asks for a new client secret of an account.
type ClientSecretCreate struct {
	AccountPath
	Keyed
	Body types.ClientSecretSpec
}

// ClientSecretList asks for the client secrets of an account.
type ClientSecretList struct {
	AccountPath
	Paged
}

// ClientSecretDelete asks for the end of a client secret.
type ClientSecretDelete struct {
	AccountPath
	Write
	ID string `path:"id"`
}

// PasswordSet asks for another password of an account.
type PasswordSet struct {
	AccountPath
	Keyed
	Body types.PasswordChange
}

func (r *routes) clientSecrets() {
	s := r.server
	register(r, route{id: "client-secret-list", action: "client-secret:list", method: http.MethodGet, path: "/accounts/{name}/client-secrets", summary: "List what a program signs in with as this account, oldest first"}, s.listClientSecrets)
	register(r, route{id: "client-secret-create", action: "client-secret:create", method: http.MethodPost, path: "/accounts/{name}/client-secrets", summary: "Make a client secret, by which a program signs in", status: http.StatusCreated}, s.createClientSecret)
	register(r, route{id: "client-secret-delete", action: "client-secret:delete", method: http.MethodDelete, path: "/accounts/{name}/client-secrets/{id}", summary: "Make a client secret useless; tokens by it stay"}, s.deleteClientSecret)
	register(r, route{id: "account-password", action: "account:password", method: http.MethodPost, path: "/accounts/{name}/password", summary: "Give an account another password, or none"}, s.setPassword)
}

func (s *Server) listClientSecrets(_ context.Context, c *call, in *ClientSecretList) (*body[types.Page[types.ClientSecret]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var list []fsm.ClientSecret
	err = s.view(c, func(view View) error {
		if _, ok := view.Account(fsm.AccountName(in.Name)); !ok {
			return notFound("account", in.Name)
		}
		list = view.ClientSecretsOf(fsm.AccountName(in.Name), fsm.ClientSecretID(after), in.limit()+1)
		return nil
	})
	return pageOf(list, in.limit(), s.clientSecretOf, func(one fsm.ClientSecret) string { return string(one.ID) }), err
}

func (s *Server) createClientSecret(ctx context.Context, c *call, in *ClientSecretCreate) (*created[types.ClientSecret], error) {
	spec := broker.ClientSecretSpec{
		Account: fsm.AccountName(in.Name), Description: in.Body.Description, MaxUses: in.Body.Uses, CIDRs: in.Body.CIDRs,
	}
	var err error
	if spec.TTL, err = positive("ttl", in.Body.TTL); err != nil {
		return nil, err
	}
	if spec.TokenTTL, err = positive("token_ttl", in.Body.TokenTTL); err != nil {
		return nil, err
	}
	wrapTTL, err := positive("wrap_ttl", in.Body.WrapTTL)
	if err != nil {
		return nil, err
	}
	text, hash, err := s.config.Credentials.NewClientSecret()
	if err != nil {
		return nil, err
	}
	spec.Hash = hash
	if spec.ID, err = s.config.Broker.NewClientSecretID(); err != nil {
		return nil, err
	}
	var wrapping *types.Wrapping
	if wrapTTL > 0 {
		if wrapping, spec.Wrapped, err = s.wrap(aboutClientSecret, string(spec.ID), types.Values{
			{Key: "id", Value: string(spec.ID)}, {Key: "client_id", Value: in.Name}, {Key: "client_secret", Value: text},
		}); err != nil {
			return nil, err
		}
		spec.Wrapped.TTL = wrapTTL
	}
	made, err := s.config.Broker.CreateClientSecret(ctx, c.request(in.DryRun), spec)
	if err != nil {
		return nil, err
	}
	out := s.clientSecretOf(made)
	switch {
	case in.DryRun:
		out.ID = ""
	case wrapping != nil:
		wrapping.ExpiresAt = made.CreatedAt.Add(wrapTTL).Time()
		out.Wrapping = wrapping
	default:
		out.ClientSecret = text
	}
	return &created[types.ClientSecret]{createdStatus(in.DryRun), out}, nil
}

// aboutClientSecret says of a wrapped value what it is; the id of what it is follows.
const aboutClientSecret = "client-secret"

// wrap seals values for whoever has the token that it returns.
func (s *Server) wrap(about, id string, values types.Values) (*types.Wrapping, *broker.WrappedSpec, error) {
	plain, err := json.Marshal(types.Unwrapped{About: about, Values: values})
	if err != nil {
		return nil, nil, err
	}
	token, hash, sealed, err := s.config.Credentials.Wrap(plain)
	if err != nil {
		return nil, nil, err
	}
	return &types.Wrapping{Token: token}, &broker.WrappedSpec{Hash: hash, Sealed: sealed, About: about + " " + id}, nil
}

func (s *Server) deleteClientSecret(ctx context.Context, c *call, in *ClientSecretDelete) (*nothing, error) {
	return &nothing{}, s.config.Broker.DeleteClientSecret(ctx, c.request(in.DryRun), fsm.AccountName(in.Name), fsm.ClientSecretID(in.ID))
}

func (s *Server) clientSecretOf(one fsm.ClientSecret) types.ClientSecret {
	return types.ClientSecret{
		ID: string(one.ID), ClientID: string(one.Account), Description: one.Description, MaxUses: int(one.MaxUses), Uses: int(one.Used),
		CIDRs: one.CIDRs, TokenTTL: types.Duration(one.TokenTTL), MadeBy: string(one.MadeBy),
		State:     credentialState(one.MaxUses, one.Used, one.ExpiresAt, s.config.Now()),
		CreatedAt: one.CreatedAt.Time(), ExpiresAt: endingAt(one.ExpiresAt),
	}
}

// setPassword has whoever changes his own password show the present one: a token that was left somewhere must not become
// an account that is lost. What was made on a node's host may do without.
func (s *Server) setPassword(ctx context.Context, c *call, in *PasswordSet) (*nothing, error) {
	name := fsm.AccountName(in.Name)
	var must, first bool
	err := s.config.State.View(func(view View) error {
		_, has := view.Password(name)
		with, _ := view.Token(c.identity.Token)
		own := name == c.identity.Account && with.Method != fsm.MethodHost && with.Method != fsm.MethodInit
		must, first = has && own, !has && own
		return nil
	})
	if err != nil {
		return nil, err
	}
	if first && !slices.ContainsFunc(c.decision.Because, func(r access.Reason) bool { return r.What != "everyone" }) {
		p := problem(codeForbidden, "the first password of an account is set by whoever may set those of others: a token that is good for less must not become one")
		p.Hint = "ask an admin: brokerctl account password " + in.Name
		return nil, p
	}
	if must && in.Body.Current == "" {
		return nil, invalid("current_password", "whoever changes his own password shows the present one")
	}
	if must {
		if _, err := s.config.Credentials.SignIn(ctx, fsm.MethodPassword, access.Proof{Name: name, Secret: in.Body.Current, Address: c.client}); err != nil {
			return nil, err
		}
	}
	var sealed []byte
	if in.Body.Password != "" {
		if err := access.CheckPassword(name, in.Body.Password); err != nil {
			return nil, invalid("password", err.Error())
		}
		if sealed, err = s.config.Credentials.SealPassword(ctx, name, in.Body.Password); err != nil {
			return nil, err
		}
	}
	return &nothing{}, s.config.Broker.SetPassword(ctx, c.request(in.DryRun), name, sealed)
}

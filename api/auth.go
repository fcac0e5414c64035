package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// The ways to sign in, below /api/v1. They are asked without a token, and answered by the leader, which counts failures.
const (
	clientSignInPath   = "/auth/client"
	passwordSignInPath = "/auth/password"
	unwrapPath         = "/auth/unwrap"
)

// ClientSignIn asks for a token by a client secret.
type ClientSignIn struct{ Body types.ClientSignIn }

func (in ClientSignIn) resource() Resource {
	return Resource{Kind: access.KindAccount, Name: nameOf(in.Body.ClientID)}
}

// PasswordSignIn asks for a token by a password.
type PasswordSignIn struct{ Body types.PasswordSignIn }

func (in PasswordSignIn) resource() Resource {
	return Resource{Kind: access.KindAccount, Name: nameOf(in.Body.Username)}
}

// Unwrap asks for a value that waits to be taken once.
type Unwrap struct{ Body types.Unwrap }

func (Unwrap) resource() Resource { return Resource{Kind: access.KindToken} }

// nameOf is the name that somebody claims, where it can be one: people type passwords into the wrong field.
func nameOf(claimed string) string {
	if !fsm.ValidName(claimed) {
		return ""
	}
	return claimed
}

func (r *routes) signIn() {
	s := r.server
	register(r, route{id: "sign-in-client", method: http.MethodPost, path: clientSignInPath, summary: "Sign in with a client secret: get a token", public: true}, s.signInClient)
	register(r, route{id: "sign-in-password", method: http.MethodPost, path: passwordSignInPath, summary: "Sign in with a password: get a token", public: true}, s.signInPassword)
	register(r, route{id: "unwrap", method: http.MethodPost, path: unwrapPath, summary: "Take a value that waits to be taken once", public: true}, s.unwrap)
}

func (s *Server) signInClient(ctx context.Context, c *call, in *ClientSignIn) (*body[types.Token], error) {
	return s.signInBy(ctx, c, fsm.MethodClient, in.Body.ClientID, in.Body.ClientSecret, broker.SignInSpec{})
}

func (s *Server) signInPassword(ctx context.Context, c *call, in *PasswordSignIn) (*body[types.Token], error) {
	idle, err := positive("idle_ttl", in.Body.IdleTTL)
	if err != nil {
		return nil, err
	}
	return s.signInBy(ctx, c, fsm.MethodPassword, in.Body.Username, in.Body.Password,
		broker.SignInSpec{Description: in.Body.Description, IdleTTL: idle})
}

// signInBy makes a token by a proof; the spec says what it is to be besides.
func (s *Server) signInBy(ctx context.Context, c *call, method, name, secret string, spec broker.SignInSpec) (*body[types.Token], error) {
	proven, err := s.config.Credentials.SignIn(ctx, method, access.Proof{Name: fsm.AccountName(name), Secret: secret, Address: c.client})
	if err != nil {
		return nil, err
	}
	c.identity.Account = proven.Account
	text, hash, err := s.config.Credentials.NewToken()
	if err != nil {
		return nil, err
	}
	spec.Account, spec.Hash, spec.Method = proven.Account, hash, method
	spec.TTL, spec.CIDRs, spec.Groups = proven.TTL, proven.CIDRs, proven.Groups
	spec.ClientSecret, spec.Password = proven.ClientSecret, proven.Password
	made, err := s.config.Broker.SignIn(ctx, c.request(false), spec)
	if err != nil {
		return nil, err
	}
	out := s.tokenOf(made)
	out.Token = text
	return &body[types.Token]{out}, nil
}

func (s *Server) unwrap(ctx context.Context, c *call, in *Unwrap) (*body[types.Unwrapped], error) {
	hash, err := s.config.Credentials.HashWrapping(in.Body.Token)
	if err != nil {
		return nil, err
	}
	taken, err := s.config.Broker.TakeWrapped(ctx, c.request(false), hash)
	if err != nil {
		return nil, err
	}
	plain, err := s.config.Credentials.Unwrap(in.Body.Token, taken.Sealed)
	if err != nil {
		return nil, err
	}
	var out body[types.Unwrapped]
	if err := json.Unmarshal(plain, &out.Body); err != nil {
		return nil, fmt.Errorf("reading a wrapped value: %w", err)
	}
	return &out, nil
}

package api

import (
	"context"
	"net/http"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// TokenPath is part of every input about one token. Whose it is, the gate looks up.
type TokenPath struct {
	Accessor string `path:"accessor"`
}

func (p TokenPath) resource() Resource { return Resource{Kind: access.KindToken, Name: p.Accessor} }

// TokenList asks for tokens.
type TokenList struct {
	Paged
	Account string `query:"account" doc:"Of this account only"`
}

func (TokenList) resource() Resource { return Resource{Kind: access.KindToken} }

// TokenCreate asks for a new token.
type TokenCreate struct {
	Keyed
	Body types.TokenSpec
}

func (TokenCreate) resource() Resource { return Resource{Kind: access.KindToken} }

func (in TokenCreate) owner(caller fsm.AccountName) fsm.AccountName {
	if in.Body.Account != "" {
		return fsm.AccountName(in.Body.Account)
	}
	return caller
}

// TokenGet asks for one token.
type TokenGet struct {
	TokenPath
	Read
}

// TokenDelete asks for the end of a token.
type TokenDelete struct {
	TokenPath
	Write
}

// OwnTokenGet asks what token it is asked with.
type OwnTokenGet struct{ Read }

func (OwnTokenGet) resource() Resource { return Resource{Kind: access.KindToken} }

// OwnTokenDelete asks for the end of the token it is asked with.
type OwnTokenDelete struct{ Write }

func (OwnTokenDelete) resource() Resource { return Resource{Kind: access.KindToken} }

// OwnTokenRenew asks for the time to begin anew for which a token is good without being renewed.
type OwnTokenRenew struct{ Asked }

func (OwnTokenRenew) resource() Resource { return Resource{Kind: access.KindToken} }

func (r *routes) tokens() {
	s := r.server
	register(r, route{id: "token-list", action: "token:list", method: http.MethodGet, path: "/tokens", summary: "List the tokens that one may see, oldest first", chosen: true}, s.listTokens)
	register(r, route{id: "token-create", action: "token:create", method: http.MethodPost, path: "/tokens", summary: "Make a token; one for the own account stays within the bounds of the one it is made with", status: http.StatusCreated}, s.createToken)
	// Everybody may look at what he has in his hand, and throw it away.
	register(r, route{id: "token-get-own", action: "token:get", method: http.MethodGet, path: "/tokens/self", summary: "Get the token that is asked with", chosen: true}, s.getOwnToken)
	register(r, route{id: "token-renew-own", action: "token:get", method: http.MethodPost, path: "/tokens/self/renew", summary: "Renew the token that is asked with, where it ends when it is idle", chosen: true}, s.renewOwnToken)
	register(r, route{id: "token-delete-own", action: "token:delete", method: http.MethodDelete, path: "/tokens/self", summary: "Delete the token that is asked with, and those made with it", chosen: true}, s.deleteOwnToken)
	register(r, route{id: "token-get", action: "token:get", method: http.MethodGet, path: "/tokens/{accessor}", summary: "Get a token, which is never shown again"}, s.getToken)
	register(r, route{id: "token-delete", action: "token:delete", method: http.MethodDelete, path: "/tokens/{accessor}", summary: "Delete a token, and those made with it"}, s.deleteToken)
}

func (s *Server) listTokens(_ context.Context, c *call, in *TokenList) (*body[types.Page[types.Token]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var list []fsm.Token
	var next string
	err = s.view(c, func(view View) error {
		sight := s.sightOf(c, view)
		list, next = gather(in.limit(), after,
			func(after string, limit int) []fsm.Token {
				if in.Account != "" {
					return view.TokensOf(fsm.AccountName(in.Account), fsm.TokenAccessor(after), limit)
				}
				return view.Tokens(fsm.TokenAccessor(after), limit)
			},
			func(k fsm.Token) string { return string(k.Accessor) },
			func(k *fsm.Token) bool {
				return sight.sees("token:list", Resource{Kind: access.KindToken, Owner: k.Account})
			})
		return sight.err
	})
	return pageFrom(list, next, s.tokenOf), err
}

func (s *Server) createToken(ctx context.Context, c *call, in *TokenCreate) (*created[types.Token], error) {
	ttl, err := positive("ttl", in.Body.TTL)
	if err != nil {
		return nil, err
	}
	idle, err := positive("idle_ttl", in.Body.IdleTTL)
	if err != nil {
		return nil, err
	}
	text, hash, err := s.config.Credentials.NewToken()
	if err != nil {
		return nil, err
	}
	made, err := s.config.Broker.MakeToken(ctx, c.request(in.DryRun), broker.TokenSpec{
		Hash: hash, Account: in.owner(c.identity.Account), TTL: ttl, MaxUses: in.Body.Uses, CIDRs: in.Body.CIDRs, Description: in.Body.Description,
		IdleTTL: idle,
	})
	if err != nil {
		return nil, err
	}
	out := s.tokenOf(made)
	if in.DryRun {
		out.Accessor = ""
	} else {
		out.Token = text
	}
	return &created[types.Token]{createdStatus(in.DryRun), out}, nil
}

func (s *Server) getToken(_ context.Context, c *call, in *TokenGet) (*body[types.Token], error) {
	return s.oneToken(c, fsm.TokenAccessor(in.Accessor))
}

func (s *Server) getOwnToken(_ context.Context, c *call, _ *OwnTokenGet) (*body[types.Token], error) {
	return s.oneToken(c, c.identity.Token)
}

func (s *Server) renewOwnToken(ctx context.Context, c *call, _ *OwnTokenRenew) (*body[types.Token], error) {
	renewed, err := s.config.Broker.RenewToken(ctx, c.request(false), c.identity.Token)
	if err != nil {
		return nil, err
	}
	return &body[types.Token]{s.tokenOf(renewed)}, nil
}

func (s *Server) oneToken(c *call, accessor fsm.TokenAccessor) (*body[types.Token], error) {
	var out body[types.Token]
	err := s.view(c, func(view View) error {
		found, ok := view.Token(accessor)
		if !ok {
			return notFound("token", string(accessor))
		}
		out.Body = s.tokenOf(found)
		return nil
	})
	return &out, err
}

func (s *Server) deleteToken(ctx context.Context, c *call, in *TokenDelete) (*body[types.Page[types.Token]], error) {
	return s.dropToken(ctx, c, fsm.TokenAccessor(in.Accessor), in.DryRun)
}

func (s *Server) deleteOwnToken(ctx context.Context, c *call, in *OwnTokenDelete) (*body[types.Page[types.Token]], error) {
	return s.dropToken(ctx, c, c.identity.Token, in.DryRun)
}

// dropToken answers with all that are gone.
func (s *Server) dropToken(ctx context.Context, c *call, accessor fsm.TokenAccessor, dryRun bool) (*body[types.Page[types.Token]], error) {
	gone, err := s.config.Broker.DeleteToken(ctx, c.request(dryRun), accessor)
	if err != nil {
		return nil, err
	}
	return pageFrom(gone, "", s.tokenOf), nil
}

func (s *Server) tokenOf(k fsm.Token) types.Token {
	return types.Token{
		Accessor: string(k.Accessor), Account: string(k.Account), Description: k.Description, Method: k.Method,
		MadeBy: string(k.MadeBy), Parent: string(k.Parent), MaxUses: int(k.MaxUses), Uses: int(k.Used), CIDRs: k.CIDRs,
		Groups: textsOf(k.Groups), State: credentialState(k.MaxUses, k.Used, k.EndsAt(), s.config.Now()),
		CreatedAt: k.CreatedAt.Time(), ExpiresAt: endingAt(k.ExpiresAt),
		IdleTTL: types.Duration(k.IdleTTL), IdleEndsAt: endingAt(k.IdleEndsAt),
	}
}

// credentialState says whether a token or client secret is still good by itself.
func credentialState(most, used uint32, expiresAt fsm.Instant, now time.Time) string {
	switch {
	case most > 0 && used >= most:
		return "used"
	case expiresAt != 0 && fsm.At(now) >= expiresAt:
		return "expired"
	}
	return "valid"
}

// endingAt is an end that not everything has.
func endingAt(at fsm.Instant) *time.Time {
	if at == 0 {
		return nil
	}
	end := at.Time()
	return &end
}

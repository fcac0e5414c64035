package api

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// Trust makes what the cluster tells its members apart by. It is called at the leader only.
type Trust interface {
	// NewJoinToken makes a join token, and the hash by which the ledger knows it.
	NewJoinToken() (token string, hash []byte, err error)

	// NextAuthority makes a certificate authority whom the present one vouches for.
	NextAuthority() (fsm.RotateAuthority, error)

	// NextGossipKey makes a key for gossip, sealed.
	NextGossipKey() ([]byte, error)
}

// JoinTokenCreate asks for a new join token.
type JoinTokenCreate struct {
	Keyed
	Body types.JoinTokenSpec
}

func (JoinTokenCreate) resource() Resource { return Resource{Kind: access.KindCluster} }

// JoinTokenList asks for join tokens.
type JoinTokenList struct{ Paged }

func (JoinTokenList) resource() Resource { return Resource{Kind: access.KindCluster} }

// JoinTokenDelete asks for the end of a join token.
type JoinTokenDelete struct {
	Write
	ID string `path:"id"`
}

func (JoinTokenDelete) resource() Resource { return Resource{Kind: access.KindCluster} }

// AuthorityList asks for the cluster's authorities.
type AuthorityList struct{ Read }

func (AuthorityList) resource() Resource { return Resource{Kind: access.KindCluster} }

// AuthorityRotate asks for a new authority.
type AuthorityRotate struct{ Keyed }

func (AuthorityRotate) resource() Resource { return Resource{Kind: access.KindCluster} }

// AuthorityRetire asks for an older authority to be believed no more.
type AuthorityRetire struct {
	Write
	Number uint64 `path:"number"`
}

func (AuthorityRetire) resource() Resource { return Resource{Kind: access.KindCluster} }

// GossipKeyRotate asks for a new key of gossip.
type GossipKeyRotate struct{ Keyed }

func (GossipKeyRotate) resource() Resource { return Resource{Kind: access.KindCluster} }

func (r *routes) trust() {
	s := r.server
	register(r, route{id: "join-token-list", action: "cluster:join-tokens", method: http.MethodGet, path: "/cluster/join-tokens", summary: "List join tokens, oldest first"}, s.listJoinTokens)
	register(r, route{id: "join-token-create", action: "cluster:admit", method: http.MethodPost, path: "/cluster/join-tokens", summary: "Make a token that lets nodes in", status: http.StatusCreated}, s.createJoinToken)
	register(r, route{id: "join-token-delete", action: "cluster:admit", method: http.MethodDelete, path: "/cluster/join-tokens/{id}", summary: "Make a join token useless"}, s.deleteJoinToken)
	register(r, route{id: "authority-list", action: "cluster:get", method: http.MethodGet, path: "/cluster/authorities", summary: "List the cluster's certificate authorities, the one that signs first"}, s.listAuthorities)
	register(r, route{id: "authority-rotate", action: "cluster:rotate-authority", method: http.MethodPost, path: "/cluster/authorities", summary: "Make a new authority, which signs from now on; the others stay believed", status: http.StatusCreated}, s.rotateAuthority)
	register(r, route{id: "authority-retire", action: "cluster:rotate-authority", method: http.MethodDelete, path: "/cluster/authorities/{number}", summary: "Believe an authority no more that does not sign any more"}, s.retireAuthority)
	register(r, route{id: "gossip-key-rotate", action: "cluster:rotate-gossip-key", method: http.MethodPost, path: "/cluster/gossip-key", summary: "Make a new key for gossip, which is used from now on"}, s.rotateGossipKey)
}

func (s *Server) listJoinTokens(_ context.Context, c *call, in *JoinTokenList) (*body[types.Page[types.JoinToken]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var list []fsm.JoinToken
	err = s.view(c, func(view View) error {
		list = view.JoinTokens(fsm.JoinTokenID(after), in.limit()+1)
		return nil
	})
	return pageOf(list, in.limit(), s.joinTokenOf, func(k fsm.JoinToken) string { return string(k.ID) }), err
}

func (s *Server) createJoinToken(ctx context.Context, c *call, in *JoinTokenCreate) (*created[types.JoinToken], error) {
	spec := broker.JoinTokenSpec{Description: in.Body.Description, Uses: max(in.Body.Uses, 1), TTL: time.Hour}
	if in.Body.TTL != nil {
		ttl, err := positive("ttl", in.Body.TTL)
		if err != nil {
			return nil, err
		}
		spec.TTL = ttl
	}
	token, hash, err := s.config.Trust.NewJoinToken()
	if err != nil {
		return nil, err
	}
	spec.Hash = hash
	made, err := s.config.Broker.CreateJoinToken(ctx, c.request(in.DryRun), spec)
	if err != nil {
		return nil, err
	}
	out := s.joinTokenOf(made)
	if in.DryRun {
		out.ID = ""
	} else {
		out.Token = token
	}
	return &created[types.JoinToken]{createdStatus(in.DryRun), out}, nil
}

func (s *Server) deleteJoinToken(ctx context.Context, c *call, in *JoinTokenDelete) (*nothing, error) {
	return &nothing{}, s.config.Broker.DeleteJoinToken(ctx, c.request(in.DryRun), fsm.JoinTokenID(in.ID))
}

func (s *Server) joinTokenOf(k fsm.JoinToken) types.JoinToken {
	state := "valid"
	switch {
	case k.Uses >= k.MaxUses:
		state = "used"
	case fsm.At(s.config.Now()) >= k.ExpiresAt:
		state = "expired"
	}
	return types.JoinToken{
		ID: string(k.ID), Description: k.Description, Uses: int(k.Uses), MaxUses: int(k.MaxUses), State: state,
		By: string(k.By.Account), CreatedAt: k.CreatedAt.Time(), ExpiresAt: k.ExpiresAt.Time(),
	}
}

func (s *Server) listAuthorities(_ context.Context, c *call, _ *AuthorityList) (*body[types.Page[types.Authority]], error) {
	page := types.Page[types.Authority]{Items: []types.Authority{}}
	err := s.view(c, func(view View) error {
		for i, one := range view.Authorities() {
			shown, err := authorityOf(one)
			if err != nil {
				return err
			}
			shown.Signs = i == 0
			page.Items = append(page.Items, shown)
		}
		return nil
	})
	return &body[types.Page[types.Authority]]{page}, err
}

func (s *Server) rotateAuthority(ctx context.Context, c *call, in *AuthorityRotate) (*created[types.Authority], error) {
	next, err := s.config.Trust.NextAuthority()
	if err != nil {
		return nil, err
	}
	made, err := s.config.Broker.RotateAuthority(ctx, c.request(in.DryRun), next)
	if err != nil {
		return nil, err
	}
	shown, err := authorityOf(made)
	shown.Signs = true
	return &created[types.Authority]{createdStatus(in.DryRun), shown}, err
}

func (s *Server) retireAuthority(ctx context.Context, c *call, in *AuthorityRetire) (*nothing, error) {
	return &nothing{}, s.config.Broker.RetireAuthority(ctx, c.request(in.DryRun), in.Number)
}

func (s *Server) rotateGossipKey(ctx context.Context, c *call, in *GossipKeyRotate) (*nothing, error) {
	sealed, err := s.config.Trust.NextGossipKey()
	if err != nil {
		return nil, err
	}
	_, err = s.config.Broker.RotateGossipKey(ctx, c.request(in.DryRun), sealed)
	return &nothing{}, err
}

func authorityOf(a fsm.Authority) (types.Authority, error) {
	certificate, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return types.Authority{}, fmt.Errorf("reading the certificate of authority %d: %w", a.Number, err)
	}
	sum := sha256.Sum256(a.Certificate)
	return types.Authority{
		Number: a.Number, Fingerprint: "sha256:" + hex.EncodeToString(sum[:]),
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate})),
		CreatedAt:   a.CreatedAt.Time(), ExpiresAt: certificate.NotAfter,
	}, nil
}

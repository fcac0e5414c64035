package api

import (
	"context"
	"errors"

	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

func (n vaultNative) OwnToken(ctx context.Context) (types.Token, error) {
	out, err := serve(ctx, n.s, vaultTokenSelf, &OwnTokenGet{}, n.s.getOwnToken)
	if err != nil {
		return types.Token{}, err
	}
	return out.Body, nil
}

// TokenOf tells of a token that is shown by its text. Whether it gives access is told to those only who may read all
// tokens, or its own.
func (n vaultNative) TokenOf(ctx context.Context, token string) (types.Token, error) {
	who, err := n.s.config.Authenticator.Identify(token, callOf(ctx).client)
	if err != nil && !errors.Is(err, ErrUnauthenticated) {
		p, _ := problemOf(err, n.s.config.Now())
		return types.Token{}, p
	}
	out, err := serve(ctx, n.s, vaultToken, &TokenGet{TokenPath: TokenPath{string(who.Token)}}, n.s.getToken)
	if err != nil {
		return types.Token{}, err
	}
	return out.Body, nil
}

func (n vaultNative) MakeToken(ctx context.Context, spec types.TokenSpec) (types.Token, error) {
	out, err := serve(ctx, n.s, vaultTokenMake, &TokenCreate{Body: spec}, n.s.createToken)
	if err != nil {
		return types.Token{}, err
	}
	return out.Body, nil
}

// DropOwnToken deletes the caller's token as a client of Vault means it: what was leased with it, or with those made with
// it, ends too. Its account owns the leases; those whose end a policy keeps from it stay.
func (n vaultNative) DropOwnToken(ctx context.Context) error {
	_, err := serve(ctx, n.s, vaultTokenDrop, &OwnTokenDelete{}, func(ctx context.Context, c *call, in *OwnTokenDelete) (*nothing, error) {
		c.keyValue = "" // several operations cannot have one key
		tokens, err := n.s.withDescendants(c.identity.Token, c.identity.Account)
		if err != nil {
			return nil, err
		}
		for _, one := range tokens {
			if err := n.s.endLeasesOf(ctx, c, one); err != nil {
				return nil, err
			}
		}
		_, err = n.s.deleteOwnToken(ctx, c, in)
		return &nothing{}, err
	})
	return err
}

// withDescendants returns a token and those of its account that were made with it, however many steps away.
func (s *Server) withDescendants(token fsm.TokenAccessor, account fsm.AccountName) ([]fsm.TokenAccessor, error) {
	found := []fsm.TokenAccessor{token}
	err := s.config.State.View(func(view View) error {
		children := map[fsm.TokenAccessor][]fsm.TokenAccessor{}
		var after fsm.TokenAccessor
		for {
			page := view.TokensOf(account, after, types.MaxPage)
			for _, one := range page {
				children[one.Parent] = append(children[one.Parent], one.Accessor)
			}
			if len(page) < types.MaxPage {
				break
			}
			after = page[len(page)-1].Accessor
		}
		for i := 0; i < len(found); i++ {
			found = append(found, children[found[i]]...)
		}
		return nil
	})
	return found, err
}

// endLeasesOf begins the end of the leases that were issued with a token, where the caller may end all of them.
func (s *Server) endLeasesOf(ctx context.Context, c *call, token fsm.TokenAccessor) error {
	selector := fsm.LeaseSelector{Token: token, Account: c.identity.Account, States: []string{string(fsm.Pending), string(fsm.Active)}, Now: fsm.At(s.config.Now())}
	some, all := false, true
	err := s.config.State.View(func(view View) error {
		sight := s.sightOf(c, view)
		var after fsm.LeaseID
		for all {
			page := view.Leases(selector, fsm.LeasePage{After: after, Limit: types.MaxPage, Order: fsm.OldestFirst})
			for i := range page {
				some, all = true, all && sight.sees("lease:revoke", leaseResource(view, &page[i]))
			}
			if len(page) < types.MaxPage {
				break
			}
			after = page[len(page)-1].ID
		}
		return sight.err
	})
	if err != nil || !some || !all {
		return err
	}
	_, err = s.config.Broker.StartOperation(ctx, c.request(false), broker.OperationSpec{
		Kind: fsm.OperationRevoke, Selector: selector, Reason: "the token that they were issued with was revoked",
	})
	return err
}

func (n vaultNative) SignInClient(ctx context.Context, account, secret string) (types.Token, error) {
	in := &ClientSignIn{Body: types.ClientSignIn{ClientID: account, ClientSecret: secret}}
	return signedIn(serve(ctx, n.s, vaultSignIn, in, n.s.signInClient))
}

func (n vaultNative) SignInPassword(ctx context.Context, account, password string) (types.Token, error) {
	in := &PasswordSignIn{Body: types.PasswordSignIn{Username: account, Password: password}}
	return signedIn(serve(ctx, n.s, vaultSignIn, in, n.s.signInPassword))
}

func signedIn(out *body[types.Token], err error) (types.Token, error) {
	if err != nil {
		return types.Token{}, err
	}
	return out.Body, nil
}

package api

import (
	"context"
	"net/http"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// AccountPath is part of every input about one account.
type AccountPath struct {
	Name string `path:"name"`
}

func (p AccountPath) resource() Resource {
	return Resource{Kind: access.KindAccount, Name: p.Name, Owner: fsm.AccountName(p.Name)}
}

// AccountList asks for accounts.
type AccountList struct{ Paged }

func (AccountList) resource() Resource { return Resource{Kind: access.KindAccount} }

// AccountCreate asks for a new account.
type AccountCreate struct {
	Keyed
	Body types.AccountSpec
}

func (in AccountCreate) resource() Resource {
	return Resource{Kind: access.KindAccount, Name: in.Body.Name}
}

// AccountGet asks for one account.
type AccountGet struct {
	AccountPath
	Read
}

// AccountUpdate asks for a change of an account.
type AccountUpdate struct {
	AccountPath
	Conditional
	Body types.AccountChange
}

// AccountDelete asks for the end of an account.
type AccountDelete struct {
	AccountPath
	Removal
}

func (in AccountDelete) demands(_ route, _ *Server, view View) []ask {
	return in.revoking(view, fsm.Target{Noun: fsm.TargetAccount, Name: in.Name})
}

func (r *routes) accounts() {
	s := r.server
	register(r, route{id: "account-list", action: "account:list", method: http.MethodGet, path: "/accounts", summary: "List accounts"}, s.listAccounts)
	register(r, route{id: "account-create", action: "account:create", method: http.MethodPost, path: "/accounts", summary: "Make an account, which may do nothing yet", status: http.StatusCreated}, s.createAccount)
	register(r, route{id: "account-get", action: "account:get", method: http.MethodGet, path: "/accounts/{name}", summary: "Get an account"}, s.getAccount)
	register(r, route{id: "account-update", action: "account:update", method: http.MethodPatch, path: "/accounts/{name}", summary: "Change an account; disabling it revokes its leases"}, s.updateAccount)
	register(r, route{id: "account-delete", action: "account:delete", method: http.MethodDelete, path: "/accounts/{name}", summary: "Delete an account with its tokens", status: http.StatusAccepted}, s.deleteAccount)
}

func (s *Server) listAccounts(_ context.Context, c *call, in *AccountList) (*body[types.Page[types.Account]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var shown []types.Account
	err = s.view(c, func(view View) error {
		for _, one := range view.Accounts(fsm.AccountName(after), in.limit()+1) {
			shown = append(shown, accountOf(view, one))
		}
		return nil
	})
	same := func(one types.Account) types.Account { return one }
	return pageOf(shown, in.limit(), same, func(one types.Account) string { return one.Name }), err
}

func (s *Server) createAccount(ctx context.Context, c *call, in *AccountCreate) (*created[types.Account], error) {
	rate, err := rateFrom("issue_rate", in.Body.IssueRate)
	if err != nil {
		return nil, err
	}
	made, err := s.config.Broker.CreateAccount(ctx, c.request(in.DryRun), broker.AccountSpec{
		Name: fsm.AccountName(in.Body.Name), Kind: fsm.AccountKind(in.Body.Kind), Description: in.Body.Description,
		MaxLeases: in.Body.MaxLeases, IssueRate: rate,
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(made.Version)
	out := &created[types.Account]{Status: createdStatus(in.DryRun)}
	err = s.view(c, func(view View) error {
		out.Body = accountOf(view, made)
		return nil
	})
	return out, err
}

func (s *Server) getAccount(_ context.Context, c *call, in *AccountGet) (*body[types.Account], error) {
	var out body[types.Account]
	err := s.view(c, func(view View) error {
		found, ok := view.Account(fsm.AccountName(in.Name))
		if !ok {
			return notFound("account", in.Name)
		}
		c.setVersion(found.Version)
		out.Body = accountOf(view, found)
		return nil
	})
	return &out, err
}

func (s *Server) updateAccount(ctx context.Context, c *call, in *AccountUpdate) (*body[types.Account], error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	change := broker.AccountChange{
		Name: fsm.AccountName(in.Name), Disabled: in.Body.Disabled, MaxLeases: in.Body.MaxLeases, IfVersion: version,
		Description: in.Body.Description, DeleteMade: in.Body.DeleteMadeTokens,
	}
	var made []fsm.Token
	if in.Body.Disabled != nil && *in.Body.Disabled || in.Body.DeleteMadeTokens {
		// Read before the change, which may delete them.
		err := s.config.State.View(func(view View) error {
			made = view.TokensMadeBy(change.Name)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if in.Body.IssueRate != nil {
		rate, err := rateFrom("issue_rate", *in.Body.IssueRate)
		if err != nil {
			return nil, err
		}
		change.IssueRate = &rate
	}
	changed, op, err := s.config.Broker.UpdateAccount(ctx, request, change)
	if err != nil {
		return nil, err
	}
	c.setVersion(changed.Version)
	var out body[types.Account]
	err = s.view(c, func(view View) error {
		out.Body = accountOf(view, changed)
		return nil
	})
	if op != nil {
		shown := startedOf(*op, in.DryRun)
		out.Body.Operation = &shown
	}
	for _, k := range made {
		out.Body.MadeTokens = append(out.Body.MadeTokens, s.tokenOf(k))
	}
	return &out, err
}

func (s *Server) deleteAccount(ctx context.Context, c *call, in *AccountDelete) (*removed, error) {
	name := fsm.AccountName(in.Name)
	return s.remove(ctx, c, in.Removal, fsm.Target{Noun: fsm.TargetAccount, Name: in.Name}, func(request broker.Request, version uint64) error {
		return s.config.Broker.DeleteAccount(ctx, request, name, version)
	})
}

// rateFrom reads a rate of a request.
func rateFrom(field, text string) (fsm.Rate, error) {
	rate, err := types.ParseRate(text)
	if err != nil {
		return fsm.Rate{}, invalid(field, types.RateRule)
	}
	return fsm.Rate{Count: rate.Count, Per: rate.Per}, nil
}

// textsOf returns names as texts; none for none.
func textsOf[T ~string](names []T) []string {
	var out []string
	for _, one := range names {
		out = append(out, string(one))
	}
	return out
}

// namesFrom reads names of a request.
func namesFrom[T ~string](texts []string) []T {
	var out []T
	for _, one := range texts {
		out = append(out, T(one))
	}
	return out
}

func rateOf(rate fsm.Rate) string {
	return types.Rate{Count: rate.Count, Per: rate.Per}.String()
}

func accountOf(view View, a fsm.Account) types.Account {
	_, password := view.Password(a.Name)
	return types.Account{
		Description:    a.Description,
		Groups:         textsOf(view.GroupsOf(a.Name)),
		HasPassword:    password,
		Name:           string(a.Name),
		Kind:           string(a.Kind),
		Disabled:       a.Disabled,
		MaxLeases:      a.MaxLeases,
		IssueRate:      rateOf(a.IssueRate),
		LiveLeases:     view.LiveLeasesOf(a.Name),
		BeingDeletedBy: string(a.Going),
		CreatedAt:      a.CreatedAt.Time(),
		Version:        a.Version,
	}
}

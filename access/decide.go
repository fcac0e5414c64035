package access

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cedar-policy/cedar-go"

	"broker/fsm"
)

// DeciderConfig says what a Decider works with.
type DeciderConfig struct {
	State Ledger // where accounts, groups, bindings and policies are kept; required
}

// Ledger is the replicated state as a Decider reads it. *fsm.State implements it.
type Ledger interface {
	State
	View(func(*fsm.View) error) error
}

// Decider decides what accounts may do, by the roles that they have and by policies. What nothing allows is denied. It
// is safe for concurrent use.
type Decider struct {
	state    Ledger
	roles    map[fsm.RoleName]Role
	language *Language
	compiler compiler

	usageMu sync.Mutex
	usage   usage
}

// New returns a Decider.
func New(c DeciderConfig) (*Decider, error) {
	if c.State == nil {
		return nil, errors.New("a decider needs a state")
	}
	language, err := NewLanguage()
	if err != nil {
		return nil, err
	}
	d := &Decider{state: c.State, roles: map[fsm.RoleName]Role{}, language: language}
	for _, r := range Roles() {
		d.roles[r.Name] = r
	}
	return d, nil
}

// grants is what an account has by bindings. Nobody changes it once it is made.
type grants struct {
	unknown   bool // or disabled
	account   cedar.Entity
	principal []cedar.EntityUID // the account and its groups
	list      []grant
}

// grant is a role with where it holds and where it comes from.
type grant struct {
	role    Role
	binding fsm.Binding
}

// The keys of what is remembered of a generation of the configuration.
type (
	grantsOf    fsm.AccountName
	allPolicies struct{}
)

// grants returns what an account has.
func (d *Decider) grants(account fsm.AccountName) (*grants, error) {
	return remembered(d.state, grantsOf(account), func(v *fsm.View) *grants { return d.grantsIn(v, account) })
}

// policies returns the policies in force.
func (d *Decider) policies() (*policySet, error) {
	return remembered(d.state, allPolicies{}, func(v *fsm.View) *policySet { return d.compiler.set(v.Policies("", everyPolicy)) })
}

// everyPolicy is more than there can be.
const everyPolicy = 1 << 20

// remembered is State.Remember for one type.
func remembered[T any](state State, key any, read func(*fsm.View) *T) (*T, error) {
	found, err := state.Remember(key, func(v *fsm.View) any { return read(v) })
	if err != nil {
		return nil, fmt.Errorf("reading who may do what: %w", err)
	}
	return found.(*T), nil
}

// newGrants is an account in its groups, without a role.
func newGrants(account fsm.AccountName, groups []fsm.GroupName) *grants {
	g := &grants{account: accountEntity(account, groups)}
	g.principal = append(g.principal, g.account.UID)
	for _, one := range groups {
		g.principal = append(g.principal, uid(typeGroup, string(one)))
	}
	return g
}

func (d *Decider) grantsIn(v *fsm.View, account fsm.AccountName) *grants {
	a, ok := v.Account(account)
	if !ok || a.Disabled {
		return &grants{unknown: true}
	}
	groups := v.GroupsOf(account)
	g := newGrants(account, groups)
	for _, b := range v.BindingsOf(account, groups) {
		if role, ok := d.roles[b.Role]; ok {
			g.list = append(g.list, grant{role, b})
		}
	}
	// What holds in most places is told first.
	slices.SortStableFunc(g.list, func(a, b grant) int { return cmp.Compare(len(a.binding.Scope), len(b.binding.Scope)) })
	return g
}

// Decide answers a request. An error means that the state cannot be read: whoever asks must refuse.
func (d *Decider) Decide(q Request) (Decision, error) {
	g, err := d.grants(q.Who.Account)
	if err != nil {
		return Decision{}, err
	}
	policies, err := d.policies()
	if err != nil {
		return Decision{}, err
	}
	return decide(&q, g, policies), nil
}

// decide answers a request of an account that has these grants while these policies are in force.
func decide(q *Request, g *grants, policies *policySet) Decision {
	if g.unknown {
		return Decision{}
	}
	var v verdict
	scope := q.On.scope()
	for _, have := range g.list {
		if have.role.May(q.Action) && have.binding.Scope.Covers(scope) {
			b := have.binding
			v.allow(Reason{What: "role", Name: string(b.Role), Binding: b.ID, Scope: string(b.Scope), Group: b.Group}, 0)
		}
	}
	if everyoneMay(q) {
		v.allow(Reason{What: "everyone"}, 0)
	}
	if may, again := ownerMay(q); may && !again {
		v.allow(Reason{What: "own"}, 0)
	} else if may {
		issue := *q
		issue.Action = "lease:issue"
		issue.On = Resource{Kind: KindSecret, Environment: q.On.Environment, Secret: q.On.Secret, Connection: q.On.Connection}
		if d := decide(&issue, g, policies); d.Allowed {
			v.allow(Reason{What: "own"}, d.MaxTTL)
		}
	}
	policies.judge(q, g, &v)
	return v.decision()
}

// verdict gathers the grounds of a decision.
type verdict struct {
	allows, forbids []Reason
	maxTTL          time.Duration
	noCeiling       bool
}

// allow adds a ground; maxTTL is zero where it sets no ceiling.
func (v *verdict) allow(why Reason, maxTTL time.Duration) {
	v.allows = append(v.allows, why)
	v.noCeiling = v.noCeiling || maxTTL == 0
	v.maxTTL = max(v.maxTTL, maxTTL)
}

func (v *verdict) forbid(why Reason) {
	why.Forbids = true
	v.forbids = append(v.forbids, why)
}

func (v *verdict) decision() Decision {
	switch {
	case len(v.forbids) > 0:
		return Decision{Because: v.forbids}
	case len(v.allows) == 0:
		return Decision{}
	case v.noCeiling:
		return Decision{Allowed: true, Because: v.allows}
	}
	return Decision{Allowed: true, Because: v.allows, MaxTTL: v.maxTTL}
}

// judge adds what policies say.
func (s *policySet) judge(q *Request, g *grants, v *verdict) {
	if len(s.unreadable) > 0 && !strings.HasPrefix(string(q.Action), "policy:") {
		// It may forbid this. Policies can still be changed, or nobody could mend it.
		for _, name := range s.unreadable {
			v.forbid(Reason{What: "policy", Name: string(name)})
		}
	}
	if len(s.rules) == 0 {
		return
	}
	var room [maxChain + 1]cedar.EntityUID
	chain := q.On.chain(room[:0])
	list := s.candidates(q.Action, g.principal, chain)
	if len(list) == 0 {
		return
	}
	s.evaluate(list, q, g, chain, v)
}

// evaluate has Cedar judge rules. A rule that forbids and cannot be evaluated forbids.
func (s *policySet) evaluate(list candidates, q *Request, g *grants, chain []cedar.EntityUID, v *verdict) {
	_, found := cedar.Authorize(list, &entities{g.account, chain}, cedar.Request{
		Principal: g.account.UID, Action: uid(typeAction, string(q.Action)), Resource: chain[0], Context: contextOf(q),
	})
	if len(found.Reasons) == 0 && len(found.Errors) == 0 {
		return
	}
	matched := map[cedar.PolicyID]bool{}
	for _, one := range found.Reasons {
		matched[one.PolicyID] = true
	}
	failed := map[cedar.PolicyID]bool{}
	for _, one := range found.Errors {
		failed[one.PolicyID] = true
	}
	slices.SortFunc(list, func(a, b *rule) int {
		return cmp.Or(cmp.Compare(a.policy, b.policy), cmp.Compare(a.number, b.number))
	})
	for _, r := range list {
		switch {
		case r.forbids && (matched[r.id] || failed[r.id]):
			v.forbid(r.reason())
		case !r.forbids && matched[r.id]:
			v.allow(r.reason(), r.maxTTL)
		}
	}
}

// permitsSome reports whether a rule may permit the action to the account on some resource.
func (s *policySet) permitsSome(action Action, g *grants) bool {
	for _, h := range []*shelf{s.byAction[cedar.String(action)], &s.anyAction} {
		if h == nil {
			continue
		}
		for r := range h.all() {
			if r.forbids {
				continue
			}
			who, ok := named(principalOf(r))
			if !ok || slices.Contains(g.principal, who) {
				return true
			}
		}
	}
	return false
}

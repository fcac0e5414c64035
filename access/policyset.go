package access

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"broker/fsm"
)

// rule is one compiled rule of a policy.
type rule struct {
	policy fsm.PolicyName
	name   string // its @id or number
	number int
	id     cedar.PolicyID // of all rules there are no two have the same

	cedar   *cedar.Policy
	forbids bool
	maxTTL  time.Duration // zero: no ceiling
}

func (r *rule) reason() Reason {
	return Reason{What: "policy", Name: string(r.policy), Rule: r.name, Forbids: r.forbids}
}

// compiled is a policy that was made ready for evaluation.
type compiled struct {
	version uint64
	text    string
	rules   []*rule
	err     error // this version of the program cannot read it
}

func compile(p fsm.Policy) *compiled {
	c := &compiled{version: p.Version, text: p.Text}
	list, err := cedar.NewPolicyListFromBytes("", []byte(p.Text))
	if err != nil {
		c.err = err
		return c
	}
	for i, one := range list {
		r := &rule{
			policy: p.Name, name: strconv.Itoa(i + 1), number: i, id: cedar.PolicyID(string(p.Name) + "#" + strconv.Itoa(i)),
			cedar: one, forbids: one.Effect() == cedar.Forbid,
		}
		notes := one.Annotations()
		if id, ok := notes["id"]; ok {
			r.name = string(id)
		}
		if text, ok := notes["max_ttl"]; ok && !r.forbids {
			if r.maxTTL, err = parseMaxTTL(string(text)); err != nil {
				c.err = err
			}
		}
		c.rules = append(c.rules, r)
	}
	return c
}

// compiler keeps compiled policies while the configuration around them changes.
type compiler struct {
	mu    sync.Mutex
	known map[fsm.PolicyName]*compiled

	compiled int // how often one was made: tests look
}

// set makes a set of policies. Those that it knows it does not compile again; those that are gone it forgets.
func (c *compiler) set(policies []fsm.Policy) *policySet {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := make(map[fsm.PolicyName]*compiled, len(policies))
	s := newPolicySet()
	for _, p := range policies {
		one := c.compile(p)
		kept[p.Name] = one
		s.add(p.Name, one)
	}
	c.known = kept
	return s
}

// one returns a policy, compiled.
func (c *compiler) one(p fsm.Policy) *compiled {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compile(p)
}

// compile compiles what is not known. The caller holds the mutex.
func (c *compiler) compile(p fsm.Policy) *compiled {
	if one, ok := c.known[p.Name]; ok && one.version == p.Version && one.text == p.Text {
		return one
	}
	c.compiled++
	return compile(p)
}

// policySet is all rules, filed by what they can be about. It is not changed once it is made.
type policySet struct {
	rules      []*rule
	unreadable []fsm.PolicyName
	byAction   map[cedar.String]*shelf
	anyAction  shelf
}

// shelf holds rules by the entity that the resource, else the principal, has to be or to be in.
type shelf struct {
	byResource  map[cedar.EntityUID][]*rule
	byPrincipal map[cedar.EntityUID][]*rule
	rest        []*rule
}

func newPolicySet() *policySet { return &policySet{byAction: map[cedar.String]*shelf{}} }

func (s *policySet) add(name fsm.PolicyName, c *compiled) {
	if c.err != nil {
		s.unreadable = append(s.unreadable, name)
		return
	}
	for _, r := range c.rules {
		s.rules = append(s.rules, r)
		switch scope := (*ast.Policy)(r.cedar.AST()).Action.(type) {
		case ast.ScopeTypeEq:
			s.of(scope.Entity).put(r)
		case ast.ScopeTypeIn:
			s.of(scope.Entity).put(r) // actions are in nothing but themselves
		case ast.ScopeTypeInSet:
			listed := slices.Clone(scope.Entities)
			slices.SortFunc(listed, func(a, b cedar.EntityUID) int { return cmp.Compare(a.ID, b.ID) })
			for _, one := range slices.Compact(listed) {
				s.of(one).put(r)
			}
		default:
			s.anyAction.put(r)
		}
	}
}

func (s *policySet) of(action cedar.EntityUID) *shelf {
	found, ok := s.byAction[action.ID]
	if !ok {
		found = &shelf{}
		s.byAction[action.ID] = found
	}
	return found
}

func (h *shelf) put(r *rule) {
	head := (*ast.Policy)(r.cedar.AST())
	if id, ok := named(head.Resource); ok {
		h.byResource = filed(h.byResource, id, r)
	} else if id, ok := named(head.Principal); ok {
		h.byPrincipal = filed(h.byPrincipal, id, r)
	} else {
		h.rest = append(h.rest, r)
	}
}

func filed(in map[cedar.EntityUID][]*rule, id cedar.EntityUID, r *rule) map[cedar.EntityUID][]*rule {
	if in == nil {
		in = map[cedar.EntityUID][]*rule{}
	}
	in[id] = append(in[id], r)
	return in
}

// named returns the entity that a head names: what matches is that one or in it.
func named(scope ast.IsScopeNode) (cedar.EntityUID, bool) {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity, true
	case ast.ScopeTypeIn:
		return s.Entity, true
	case ast.ScopeTypeIsIn:
		return s.Entity, true
	}
	return cedar.EntityUID{}, false
}

// candidates are the rules that can match: all that do are among them.
type candidates []*rule

// All yields the rules to Cedar.
func (list candidates) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range list {
			if !yield(r.id, r.cedar) {
				return
			}
		}
	}
}

// candidates gathers the rules for an action of a principal, which is in groups, on a resource and what that is in.
func (s *policySet) candidates(action Action, principal []cedar.EntityUID, chain []cedar.EntityUID) candidates {
	var list candidates
	for _, h := range []*shelf{s.byAction[cedar.String(action)], &s.anyAction} {
		if h == nil {
			continue
		}
		if len(h.byResource) > 0 {
			for _, id := range chain {
				list = append(list, h.byResource[id]...)
			}
		}
		if len(h.byPrincipal) > 0 {
			for _, id := range principal {
				list = append(list, h.byPrincipal[id]...)
			}
		}
		list = append(list, h.rest...)
	}
	return list
}

// all yields every rule of a shelf, in no order.
func (h *shelf) all() iter.Seq[*rule] {
	return func(yield func(*rule) bool) {
		for _, in := range []map[cedar.EntityUID][]*rule{h.byResource, h.byPrincipal, {{}: h.rest}} {
			for _, list := range in {
				for _, r := range list {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}

func principalOf(r *rule) ast.IsPrincipalScopeNode { return (*ast.Policy)(r.cedar.AST()).Principal }

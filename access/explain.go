package access

import (
	"fmt"
	"strings"

	"broker/fsm"
)

// InvalidError is returned for a question that means nothing.
type InvalidError struct{ Field, Message string }

// Error says what is wrong with which field.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Message }

// Explanation is a decision in words.
type Explanation struct {
	Decision
	On        Resource // what was asked about, with where it is
	Sentences []string
}

// CheckAction returns an *InvalidError for what is no action.
func CheckAction(action Action) error {
	if _, ok := Actions[action]; ok {
		return nil
	}
	return &InvalidError{"action", fmt.Sprintf("there is no action %q%s", action, likelyAction(string(action)))}
}

// Explain decides a request that nobody makes at the moment, and says why. Of a lease it finds out whose it is.
// Errors: *InvalidError, or the state cannot be read.
func (d *Decider) Explain(q Request) (Explanation, error) {
	if err := CheckAction(q.Action); err != nil {
		return Explanation{}, err
	}
	var disabled bool
	err := d.state.View(func(v *fsm.View) error {
		a, ok := v.Account(q.Who.Account)
		if !ok {
			return &InvalidError{"account", fmt.Sprintf("there is no account %q", q.Who.Account)}
		}
		disabled = a.Disabled
		var err error
		q.On, err = locate(v, q.On)
		return err
	})
	if err != nil {
		return Explanation{}, err
	}
	decision, err := d.Decide(q)
	if err != nil {
		return Explanation{}, err
	}
	g, err := d.grants(q.Who.Account)
	out := Explanation{Decision: decision, On: q.On}
	for _, why := range decision.Because {
		out.Sentences = append(out.Sentences, why.Sentence())
	}
	switch {
	case disabled:
		out.Sentences = []string{"the account is disabled"}
	case decision.Allowed && decision.MaxTTL > 0:
		out.Sentences = append(out.Sentences, "for leases of at most "+fsm.FormatTTL(decision.MaxTTL))
	case !decision.Allowed && len(decision.Because) == 0:
		out.Sentences = append(out.Sentences, d.missing(&q, g)...)
	}
	return out, err
}

// locate adds to a resource what the state knows of it.
func locate(v *fsm.View, on Resource) (Resource, error) {
	switch {
	case on.Kind == KindLease && on.Name != "":
		lease, ok := v.Lease(fsm.LeaseID(on.Name))
		if !ok {
			return on, &InvalidError{"resource", fmt.Sprintf("there is no lease %q", on.Name)}
		}
		env, short := lease.Secret.Split()
		on.Environment, on.Secret, on.Owner, on.Connection = fsm.Pattern(env), short, lease.Account, lease.Connection
	case on.Kind == KindSecret && on.Secret != "":
		// One that is not there yet may be asked about.
		secret, _ := v.Secret(fsm.NewSecretName(fsm.EnvironmentName(on.Environment), on.Secret))
		on.Connection = secret.Connection
	}
	return on, nil
}

// Sentence says the reason in words.
func (r Reason) Sentence() string {
	switch r.What {
	case "role":
		how := "given directly"
		if r.Group != "" {
			how = "as a member of group " + string(r.Group)
		}
		return fmt.Sprintf("role %s in %s allows it, %s (binding %s)", r.Name, r.Scope, how, r.Binding)
	case "own":
		return "it belongs to the account itself"
	case "everyone":
		return "every account may"
	}
	does := "permits"
	if r.Forbids {
		does = "forbids"
	}
	if r.Rule == "" {
		return fmt.Sprintf("policy %s cannot be read by this version and so %s everything but changing policies", r.Name, does)
	}
	return fmt.Sprintf("policy %s, rule %s, %s it", r.Name, r.Rule, does)
}

// missing says why nothing allows a request.
func (d *Decider) missing(q *Request, g *grants) []string {
	var elsewhere, others []string
	for _, have := range g.list {
		text := fmt.Sprintf("%s in %s", have.binding.Role, have.binding.Scope)
		if have.role.May(q.Action) {
			elsewhere = append(elsewhere, text)
		} else {
			others = append(others, text)
		}
	}
	out := []string{"nothing allows it"}
	switch {
	case len(elsewhere) > 0:
		out = append(out, "roles that allow it hold elsewhere: "+strings.Join(elsewhere, ", "))
	case len(others) > 0:
		out = append(out, "the account's roles do not allow it: "+strings.Join(others, ", "))
	default:
		out = append(out, "the account has no role")
	}
	var would []string
	for _, r := range Roles() {
		if r.May(q.Action) {
			would = append(would, string(r.Name))
		}
	}
	if len(would) > 0 {
		out = append(out, fmt.Sprintf("these roles would, in %s: %s", q.On.scope(), strings.Join(would, ", ")))
	}
	return out
}

// Holder is an account, or a group, that may do something.
type Holder struct {
	Account fsm.AccountName // either this
	Group   fsm.GroupName   // or that: all its members may, those to come included
	Because []Reason
}

// WhoCan returns who may do something, accounts before groups, each in order of name.
func (d *Decider) WhoCan(action Action, on Resource) ([]Holder, error) {
	if err := CheckAction(action); err != nil {
		return nil, err
	}
	var found []Holder
	err := d.state.View(func(v *fsm.View) error {
		on, err := locate(v, on)
		if err != nil {
			return err
		}
		policies := d.compiler.set(v.Policies("", everyPolicy))
		for one := range everyAccount(v) {
			q := Request{Who: Identity{Account: one.Name}, Action: action, On: on}
			if decision := decide(&q, d.grantsIn(v, one.Name), policies); decision.Allowed {
				found = append(found, Holder{Account: one.Name, Because: decision.Because})
			}
		}
		for one := range everyGroup(v) {
			var because []Reason
			for _, b := range v.BindingsOf("", []fsm.GroupName{one.Name}) {
				if d.roles[b.Role].May(action) && b.Scope.Covers(on.scope()) {
					because = append(because, Reason{What: "role", Name: string(b.Role), Binding: b.ID, Scope: string(b.Scope), Group: b.Group})
				}
			}
			if len(because) > 0 {
				found = append(found, Holder{Group: one.Name, Because: because})
			}
		}
		return nil
	})
	return found, err
}

// ofPage is how many records are read at once.
const ofPage = 500

func everyAccount(v *fsm.View) func(func(fsm.Account) bool) {
	return each(v.Accounts, func(a fsm.Account) fsm.AccountName { return a.Name })
}

func everyGroup(v *fsm.View) func(func(fsm.Group) bool) {
	return each(v.Groups, func(g fsm.Group) fsm.GroupName { return g.Name })
}

// each yields all records of a list that is read in pages.
func each[R any, N ~string](list func(after N, limit int) []R, name func(R) N) func(func(R) bool) {
	return func(yield func(R) bool) {
		var after N
		for {
			page := list(after, ofPage)
			for _, one := range page {
				if !yield(one) {
					return
				}
			}
			if len(page) < ofPage {
				return
			}
			after = name(page[len(page)-1])
		}
	}
}

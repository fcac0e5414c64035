package access

import (
	"maps"
	"slices"
	"strings"

	"broker/fsm"
)

// Row is one line of a report: an account may do something somewhere.
type Row struct {
	Account fsm.AccountName
	Place   fsm.Scope // an environment; a secret, where it holds for no more than that; * for what is in no environment
	Action  Action
	Because []Reason

	// UsedAt is when history last saw it done, zero where it did not. Readings leave no trace in history: of them
	// Recorded is false.
	UsedAt   fsm.Instant
	Recorded bool
}

// accountsOfPage is how many accounts a page of the report looks at: deciding takes time.
const accountsOfPage = 100

// Report returns rows of who may do what where, sorted by account, place and action, beginning after the account
// named; and the account to go on after, empty at the end. The rows of one account stay together, so that there may be
// more than the limit. What everybody may, and what one may with one's own leases, is not in it. A row for an
// environment holds even if a policy forbids it for some secret there.
func (d *Decider) Report(after fsm.AccountName, limit int) (rows []Row, next fsm.AccountName, err error) {
	used, err := d.lastUsed()
	if err != nil {
		return nil, "", err
	}
	err = d.state.View(func(v *fsm.View) error {
		policies := d.compiler.set(v.Policies("", everyPolicy))
		envs := slices.Collect(each(v.Environments, func(e fsm.Environment) fsm.EnvironmentName { return e.Name }))
		secrets := map[fsm.EnvironmentName][]fsm.Secret{}
		for _, s := range v.Secrets("", "", everyPolicy) {
			env, _ := s.Name.Split()
			secrets[env] = append(secrets[env], s)
		}
		list := v.Accounts(after, accountsOfPage)
		for i, a := range list {
			r := reporter{account: a.Name, grants: d.grantsIn(v, a.Name), policies: policies, used: used}
			r.everywhere()
			for _, env := range envs {
				r.environment(env.Name, secrets[env.Name])
			}
			rows = append(rows, r.rows...)
			if i == len(list)-1 && len(list) < accountsOfPage {
				break
			}
			if len(rows) >= limit || i == len(list)-1 {
				next = a.Name
				break
			}
		}
		return nil
	})
	return rows, next, err
}

// reporter makes the rows of one account.
type reporter struct {
	account  fsm.AccountName
	grants   *grants
	policies *policySet
	used     map[use]fsm.Instant
	rows     []Row
}

// inEnvironments reports whether an action is about what is in environments.
func inEnvironments(action Action) bool {
	noun, _, _ := strings.Cut(string(action), ":")
	switch noun {
	case "environment", "secret", "lease", "lock", "event", "operation":
		return true
	}
	return action == "connection:use" || action == "connection:statements"
}

// some reports whether anything may allow the action at all, which is quickly told.
func (r *reporter) some(action Action) bool {
	if r.grants.unknown {
		return false
	}
	return slices.ContainsFunc(r.grants.list, func(g grant) bool { return g.role.May(action) }) || r.policies.permitsSome(action, r.grants)
}

func (r *reporter) everywhere() {
	for _, action := range slices.Sorted(maps.Keys(Actions)) {
		noun, _, _ := strings.Cut(string(action), ":")
		if !inEnvironments(action) && r.some(action) {
			r.ask(action, Resource{Kind: Kind(noun)}, fsm.Everywhere)
		}
	}
}

func (r *reporter) environment(env fsm.EnvironmentName, secrets []fsm.Secret) {
	for _, action := range slices.Sorted(maps.Keys(Actions)) {
		if !inEnvironments(action) || !r.some(action) {
			continue
		}
		noun, _, _ := strings.Cut(string(action), ":")
		if r.ask(action, Resource{Kind: Kind(noun), Environment: fsm.Pattern(env)}, fsm.Scope(env)) || noun != "secret" && noun != "lease" {
			continue
		}
		for _, s := range secrets {
			_, short := s.Name.Split()
			r.ask(action, Resource{Kind: KindSecret, Environment: fsm.Pattern(env), Secret: short, Connection: s.Connection}, fsm.Scope(s.Name))
		}
	}
}

// ask adds a row if the account may.
func (r *reporter) ask(action Action, on Resource, place fsm.Scope) bool {
	q := Request{Who: Identity{Account: r.account}, Action: action, On: on}
	decision := decide(&q, r.grants, r.policies)
	if decision.Allowed && slices.ContainsFunc(decision.Because, func(why Reason) bool { return why.What != "everyone" }) {
		r.rows = append(r.rows, Row{
			Account: r.account, Place: place, Action: action, Because: decision.Because,
			UsedAt: r.used[use{r.account, usedAt(action, place), action}], Recorded: recorded(action),
		})
	}
	return decision.Allowed
}

// usedAt is the place by which history tells of an action: that of environments, secrets and leases by their environment.
func usedAt(action Action, place fsm.Scope) fsm.Scope {
	noun, _, _ := strings.Cut(string(action), ":")
	if noun != "environment" && noun != "secret" && noun != "lease" {
		return fsm.Everywhere
	}
	if strings.Count(string(place), "/") == 2 {
		env, _ := fsm.SecretName(place).Split()
		return fsm.Scope(env)
	}
	return place
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"broker/api/client"
	"broker/api/types"
	"broker/cmd/brokerctl/internal/declare"
)

// atOnce is how many requests are made at one time.
const atOnce = 8

// checking has the broker look at a plan before anything is changed.
type checking struct {
	app       *app
	client    *client.Client
	skipCheck bool
	lenient   bool // what the account may not try is not tried
}

// check has the broker compare secret fields and try every change that does not need another one first. A change that
// turns out to be none, since the broker writes a value in another way, is dropped.
func (c checking) check(ctx context.Context, plan []declare.Action) ([]declare.Action, []declare.Problem, error) {
	plan = slices.Clone(plan)
	problems := make([][]declare.Problem, len(plan))
	failures := make([]error, len(plan))
	pending := map[string]bool{} // what has to be made or changed first
	for _, one := range plan {
		if one.Verb == declare.Create || one.Verb == declare.Update {
			pending[one.Want.Kind+" "+one.Want.Name] = true
		}
	}
	eachOf(len(plan), func(i int) {
		if plan[i], failures[i] = c.secrets(ctx, plan[i]); failures[i] != nil {
			if c.lenient && exitCode(failures[i]) == exitDenied {
				c.app.warn("the secret fields of connection " + plan[i].Want.Name + " are not compared: that needs the permission to change it")
				failures[i] = nil
			}
			return
		}
		one := plan[i]
		if one.Verb == declare.Keep || one.Verb == declare.Delete || waits(one.Want, pending) {
			return
		}
		answer, err := send(ctx, c.client, one, c.skipCheck, client.DryRun())
		if c.lenient && exitCode(err) == exitDenied {
			return
		}
		if err != nil {
			problems[i], failures[i] = problemsOf(one.Want, err)
			return
		}
		if one.Verb == declare.Update {
			after, err := declare.There(one.Want.Kind, answer)
			secret := slices.ContainsFunc(one.Changes, func(change declare.Change) bool { return change.Secret != "" })
			if err == nil && !secret && reflect.DeepEqual(after.Fields, one.Have.Fields) && one.Want.Kind != declare.Connection {
				plan[i].Verb, plan[i].Changes = declare.Keep, nil
			}
		}
	})
	return plan, slices.Concat(problems...), errors.Join(failures...)
}

// secrets asks which secret fields differ.
func (c checking) secrets(ctx context.Context, action declare.Action) (declare.Action, error) {
	if action.Verb == declare.Create || len(action.Want.Secrets) == 0 {
		return action, nil
	}
	name := action.Want.Name
	given := map[string]any{}
	for field, value := range action.Want.Secrets {
		if value.Absent() {
			c.app.warn(fmt.Sprintf("%s of connection %s is not compared: there is no %s here", field, name, value.Origin))
			continue
		}
		given[field] = value.Reveal()
	}
	if len(given) == 0 {
		return action, nil
	}
	if action.Have.Settled {
		c.app.note("connection %s: the broker has exchanged the root credential itself and keeps it; those of the files are for a connection that is new", name)
		return action, nil
	}
	tried, err := c.client.UpdateConnection(ctx, name, types.ConnectionChange{Settings: given, SkipCheck: true}, client.DryRun(), client.IfVersion(action.Have.Version))
	if err != nil {
		return action, err
	}
	for _, field := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(tried.ChangedSecretFields, field) {
			action.Verb = declare.Update
			action.Changes = append(action.Changes, declare.Change{Path: "settings." + field, Secret: action.Want.Secrets[field].Origin})
		}
	}
	return action, nil
}

// waits reports whether an object refers to one that has to be made or changed first: the broker cannot try it yet.
func waits(o declare.Object, pending map[string]bool) bool {
	text := func(field string) string { s, _ := o.Fields[field].(string); return s }
	switch o.Kind {
	case declare.Secret:
		return pending[declare.Environment+" "+text("environment")] || pending[declare.Connection+" "+text("connection")]
	case declare.RoleBinding:
		account := text("account")
		return pending[declare.Group+" "+text("group")] || pending[declare.User+" "+account] || pending[declare.Service+" "+account]
	case declare.Group:
		for _, member := range textsOf(o.Fields["members"]) {
			if pending[declare.User+" "+member] || pending[declare.Service+" "+member] {
				return true
			}
		}
	}
	return false
}

// problemsOf tells where in the files lies what the broker refused; what lies elsewhere stays an error.
func problemsOf(o declare.Object, err error) ([]declare.Problem, error) {
	var problem *types.Problem
	if !errors.As(err, &problem) || problem.Status == 401 || problem.Status >= 500 || problem.Status == 429 {
		return nil, err
	}
	name := o.Kind + " " + o.Name + ": "
	if problem.Code == "system_change_needed" {
		return []declare.Problem{{At: o.Where("settings"), Text: name + problem.Detail + "; do that by hand, the next apply finds it done: brokerctl connection update " + o.Name + " --system …"}}, nil
	}
	if len(problem.Errors) == 0 {
		return []declare.Problem{{At: o.At, Text: name + problem.Detail}}, nil
	}
	var out []declare.Problem
	for _, one := range problem.Errors {
		out = append(out, declare.Problem{At: o.Where(one.Field), Text: name + one.Field + ": " + one.Message})
	}
	return out, nil
}

// eachOf calls do for each number below n, a few at a time.
func eachOf(n int, do func(i int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	group.Wait()
}

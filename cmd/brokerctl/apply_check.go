package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"broker/api/client"
	"broker/api/types"
	"broker/cmd/brokerctl/internal/declare"
)

// atOnce is how many requests are made at one time.
const atOnce = 8

// checking has the broker look at a plan before anything is changed.
type checking struct {
	app     *app
	sender  sender
	lenient bool // what the account may not try is not tried
}

// finding is what came of looking at one action.
type finding struct {
	action   declare.Action
	problems []declare.Problem
	warnings []string
	note     string
	err      error
}

// check has the broker compare secret fields and try every change that does not need another one first. A change that
// turns out to be none, since the broker writes a value in another way, is dropped.
func (c checking) check(ctx context.Context, plan []declare.Action) (checked []declare.Action, problems []declare.Problem, err error) {
	needed := map[string]bool{}
	for _, one := range plan {
		if comesFirst(one) {
			needed[one.Want.Kind+" "+one.Want.Name] = true
		}
	}
	findings := make([]finding, len(plan))
	eachOf(len(plan), func(i int) { findings[i] = c.look(ctx, plan[i], needed) })
	var failures []error
	for _, one := range findings {
		c.app.warn(one.warnings...)
		if one.note != "" {
			c.app.note("%s", one.note)
		}
		checked, problems, failures = append(checked, one.action), append(problems, one.problems...), append(failures, one.err)
	}
	return checked, problems, errors.Join(failures...)
}

// look has the broker look at one action.
func (c checking) look(ctx context.Context, action declare.Action, needed map[string]bool) finding {
	found := finding{action: action}
	c.secrets(ctx, &found)
	one := found.action
	if len(found.problems) > 0 || found.err != nil || one.Verb == declare.Keep || one.Verb == declare.Create && len(absent(one.Want)) > 0 || waits(one.Want, needed) {
		return found
	}
	answer, err := c.sender.send(ctx, one, client.DryRun())
	switch {
	case c.lenient && exitCode(err) == exitDenied:
		return found
	case one.Verb == declare.Delete && client.Code(err) == "secret_has_active_leases" && c.lenient:
		found.warnings = append(found.warnings, "apply refuses this without --revoke-leases: "+err.Error())
		return found
	case one.Verb == declare.Delete && client.Code(err) == "secret_has_active_leases":
		found.err = &hintedError{err: err, hint: "--revoke-leases revokes them; nothing was changed"}
		return found
	case one.Verb == declare.Delete:
		found.err = err
		return found
	case err != nil:
		found.problems, found.err = problemsOf(one.Want, err)
		return found
	}
	if one.Verb == declare.Update && one.Want.Kind != declare.Connection {
		after, err := declare.There(one.Want.Kind, answer)
		if err == nil && reflect.DeepEqual(after.Fields, one.Have.Fields) {
			found.action.Verb, found.action.Changes = declare.Keep, nil
		}
	}
	return found
}

// secrets asks which secret fields of a connection differ.
func (c checking) secrets(ctx context.Context, found *finding) {
	want, have := found.action.Want, found.action.Have
	missing := absent(want)
	for _, field := range missing {
		found.warnings = append(found.warnings, fmt.Sprintf("%s of connection %s is not compared: there is no %s here", field, want.Name, want.Secrets[field].Origin))
	}
	if found.action.Verb == declare.Create || len(missing) == len(want.Secrets) {
		return
	}
	if have.Settled {
		found.note = "connection " + want.Name + ": the broker has exchanged the root credential itself and keeps it; those of the files are for a connection that is new"
		return
	}
	given := map[string]any{}
	for field, value := range want.Secrets {
		if !value.Absent() {
			given[field] = value.Reveal()
		}
	}
	tried, err := c.sender.client.UpdateConnection(ctx, want.Name, types.ConnectionChange{Settings: given, SkipCheck: true}, client.DryRun(), client.IfVersion(have.Version))
	switch {
	case c.lenient && exitCode(err) == exitDenied:
		found.warnings = append(found.warnings, "the secret fields of connection "+want.Name+" are not compared: that needs the permission to change it")
		return
	case err != nil:
		found.problems, found.err = problemsOf(want, err)
		return
	}
	for _, field := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(tried.ChangedSecretFields, field) {
			found.action.Verb = declare.Update
			found.action.Changes = append(found.action.Changes, declare.Change{Path: "settings." + field, Origin: want.Secrets[field].Origin})
		}
	}
}

// absent returns the secret fields whose values nobody has here.
func absent(o declare.Object) (fields []string) {
	for _, field := range slices.Sorted(maps.Keys(o.Secrets)) {
		if o.Secrets[field].Absent() {
			fields = append(fields, field)
		}
	}
	return fields
}

// comesFirst reports whether what refers to an object cannot be tried before the action is done.
func comesFirst(action declare.Action) bool {
	return action.Verb == declare.Create || action.Verb == declare.Update && action.Want.Kind == declare.Connection &&
		slices.ContainsFunc(action.Changes, func(change declare.Change) bool {
			return change.Path == "environments" || strings.HasPrefix(change.Path, "settings.")
		})
}

// waits reports whether an object refers to one that comes first: the broker cannot try it yet.
func waits(o declare.Object, needed map[string]bool) bool {
	text := func(field string) string { s, _ := o.Fields[field].(string); return s }
	switch o.Kind {
	case declare.Secret:
		return needed[declare.Environment+" "+text("environment")] || needed[declare.Connection+" "+text("connection")]
	case declare.RoleBinding:
		account := text("account")
		return needed[declare.Group+" "+text("group")] || needed[declare.User+" "+account] || needed[declare.Service+" "+account]
	case declare.Group:
		for _, member := range o.Texts("members") {
			if needed[declare.User+" "+member] || needed[declare.Service+" "+member] {
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
		out = append(out, declare.Problem{At: o.Where(one.Field), Text: name + one.Field + ": " + unquoted(o.Sourced[one.Field], one.Message)})
	}
	return out, nil
}

// unquoted is what the broker says about a value, without the value when that is from a variable or a file.
func unquoted(value declare.Sourced, message string) string {
	if value.Origin == "" {
		return message
	}
	message, _, _ = strings.Cut(message, ", got ")
	quoted := strconv.Quote(value.Reveal())
	if strings.Contains(message, value.Reveal()) || strings.Contains(message, quoted[1:len(quoted)-1]) {
		message = "the broker refuses it"
	}
	return "the value from " + value.Origin + ": " + message
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

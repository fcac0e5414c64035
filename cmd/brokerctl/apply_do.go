package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"broker/api/client"
	"broker/api/types"
	"broker/cmd/brokerctl/internal/declare"
)

// applying is one run of apply.
type applying struct {
	sender sender
	plan   []declare.Action
	dryRun bool
}

// outcome is what became of one object.
type outcome struct {
	Result string `json:"result"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Error  string `json:"error,omitempty"`

	Operation string `json:"operation,omitempty"` // that goes on with a deletion
}

var pasts = map[declare.Verb]string{declare.Create: "created", declare.Update: "updated", declare.Keep: "unchanged", declare.Delete: "deleted"}

// apply carries out a plan: kind after kind, a few objects of one kind at a time. After a failure nothing new is begun.
func (a *app) apply(ctx context.Context, run *applying) error {
	if err := a.confirmPrune(run); err != nil {
		return err
	}
	outcomes := make([]outcome, len(run.plan))
	var failed atomic.Bool
	for begin := 0; begin < len(run.plan); {
		end := begin + 1
		for end < len(run.plan) && run.plan[end].Object().Kind == run.plan[begin].Object().Kind && run.plan[end].Verb == declare.Delete == (run.plan[begin].Verb == declare.Delete) {
			end++
		}
		eachOf(end-begin, func(i int) {
			one := run.plan[begin+i]
			o := one.Object()
			out := outcome{Result: pasts[one.Verb], Kind: o.Kind, Name: o.Name}
			switch {
			case one.Verb == declare.Keep:
			case run.dryRun:
				out.Result = "would be " + out.Result
			case failed.Load() || ctx.Err() != nil:
				out.Result = "not done"
			default:
				answer, err := run.one(ctx, one)
				if err != nil {
					failed.Store(true)
					out.Result, out.Error = "failed", err.Error()
				}
				if op, ok := answer.(types.Operation); ok && err == nil {
					out.Result, out.Operation = "being deleted", op.ID
				}
			}
			outcomes[begin+i] = out
		})
		if a.format == "table" && a.field == "" {
			for _, one := range outcomes[begin:end] {
				line := one.Result + "\t" + one.Kind + "\t" + clean(one.Name)
				if more := first(one.Error, one.Operation); more != "" {
					line += "\t" + clean(more)
				}
				if _, err := fmt.Fprintln(a.out, line); err != nil {
					return err
				}
			}
		}
		begin = end
	}
	if a.format != "table" || a.field != "" {
		if err := list(a, outcomes, nil, nil, nil); err != nil {
			return err
		}
	}
	return a.summary(outcomes)
}

// one makes one change.
func (run *applying) one(ctx context.Context, action declare.Action) (any, error) {
	answer, err := run.sender.send(ctx, action)
	switch client.Code(err) {
	case "version_mismatch":
		who := ""
		if event, ok := run.sender.client.ChangedBy(ctx, client.PresentVersion(err)); ok {
			who = " by " + first(event.Actor, "the broker itself")
		}
		return nil, fmt.Errorf("it was changed%s since it was looked at; apply again to compare anew: %w", who, err)
	case "secret_has_active_leases":
		return nil, fmt.Errorf("%w (--revoke-leases revokes them)", err)
	}
	problems, err := problemsOf(action.Object(), err)
	if len(problems) > 0 {
		var texts []string
		for _, one := range problems {
			texts = append(texts, one.Text)
		}
		return nil, errors.New(strings.Join(texts, "; "))
	}
	return answer, err
}

// confirmPrune asks before secrets are deleted.
func (a *app) confirmPrune(run *applying) error {
	var names []string
	for _, one := range run.plan {
		if one.Verb == declare.Delete {
			names = append(names, one.Have.Name)
		}
	}
	if len(names) == 0 || run.dryRun {
		return nil
	}
	listed := names
	if len(listed) > 10 {
		listed = append(listed[:10:10], "…")
	}
	return a.confirm("Deleting " + amount(uint64(len(names)), "secret") + " (" + strings.Join(listed, ", ") + ")")
}

// summary tells how many objects had which result.
func (a *app) summary(outcomes []outcome) error {
	counts := map[string]int{}
	for _, one := range outcomes {
		counts[strings.TrimPrefix(one.Result, "would be ")]++
	}
	var parts []string
	for _, result := range []string{"created", "updated", "unchanged", "deleted", "being deleted", "failed", "not done"} {
		if counts[result] > 0 {
			parts = append(parts, number(counts[result])+" "+result)
		}
	}
	text := strings.Join(parts, ", ")
	if slices.ContainsFunc(outcomes, func(one outcome) bool { return strings.HasPrefix(one.Result, "would") }) {
		text += " (dry run)"
	}
	if counts["failed"]+counts["not done"] > 0 {
		return &hintedError{err: errors.New("not everything was done: " + text), hint: "what was done stays; applying again goes on"}
	}
	a.note("%s", text)
	return nil
}

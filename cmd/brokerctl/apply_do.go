package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"broker/api/client"
	"broker/api/types"
	"broker/cmd/brokerctl/internal/declare"
)

// applying is one run of apply.
type applying struct {
	client       *client.Client
	plan         []declare.Action
	dryRun       bool
	revokeLeases bool
	skipCheck    bool
}

// outcome is what became of one object.
type outcome struct {
	Result string `json:"result"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Error  string `json:"error,omitempty"`
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
				if err := run.one(ctx, one); err != nil {
					failed.Store(true)
					out.Result, out.Error = "failed", err.Error()
				}
			}
			outcomes[begin+i] = out
		})
		if a.format == "table" && a.field == "" {
			for _, one := range outcomes[begin:end] {
				line := one.Result + "\t" + one.Kind + "\t" + clean(one.Name)
				if one.Error != "" {
					line += "\t" + clean(one.Error)
				}
				if _, err := fmt.Fprintln(a.out, line); err != nil {
					return err
				}
			}
		}
		begin = end
	}
	if a.format != "table" {
		if err := a.encode(outcomes); err != nil {
			return err
		}
	}
	return a.summary(outcomes)
}

// one makes one change.
func (run *applying) one(ctx context.Context, action declare.Action) error {
	var err error
	if action.Verb == declare.Delete && run.revokeLeases {
		_, err = run.client.DeleteSecretWithLeases(ctx, action.Have.Name, "it is in no file any more", client.IfVersion(action.Have.Version))
	} else {
		_, err = send(ctx, run.client, action, run.skipCheck)
	}
	switch client.Code(err) {
	case "version_mismatch":
		who := ""
		if name := lastActor(ctx, run.client, action.Object()); name != "" {
			who = " by " + name
		}
		return fmt.Errorf("it was changed%s since it was looked at; apply again to compare anew: %w", who, err)
	case "secret_has_active_leases":
		return fmt.Errorf("%w (--revoke-leases revokes them)", err)
	}
	return err
}

// lastActor names who changed an object last, when history tells.
func lastActor(ctx context.Context, c *client.Client, o declare.Object) string {
	noun := map[string]string{declare.User: "account", declare.Service: "account"}[o.Kind]
	page, err := c.ListEvents(ctx, client.EventQuery{EventFilter: client.EventFilter{Types: []string{first(noun, o.Kind)}}, Last: 100}, client.ListOptions{})
	if err != nil {
		return ""
	}
	for i := len(page.Items) - 1; i >= 0; i-- {
		if subject := page.Items[i].Subject; subject != "" && (subject == o.Name || subject == o.ID) {
			return page.Items[i].Actor
		}
	}
	return ""
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
	for _, name := range names {
		if run.revokeLeases {
			break
		}
		// What cannot be deleted is told before the first change.
		if err := run.client.DeleteSecret(context.Background(), name, client.DryRun()); err != nil {
			var problem *types.Problem
			if errors.As(err, &problem) && problem.Code == "secret_has_active_leases" {
				return &hintedError{err: err, hint: "--revoke-leases revokes them; nothing was changed"}
			}
			return err
		}
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
	for _, result := range []string{"created", "updated", "unchanged", "deleted", "failed", "not done"} {
		if counts[result] > 0 {
			parts = append(parts, number(counts[result])+" "+result)
		}
	}
	text := strings.Join(parts, ", ")
	if len(outcomes) > 0 && strings.HasPrefix(outcomes[0].Result, "would") {
		text += " (dry run)"
	}
	if counts["failed"]+counts["not done"] > 0 {
		return &hintedError{err: errors.New("not everything was done: " + text), hint: "what was done stays; applying again goes on"}
	}
	a.note("%s", text)
	return nil
}

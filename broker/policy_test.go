package broker_test

import (
	"errors"
	"strings"
	"testing"

	"broker/broker"
	"broker/fsm"
)

func by(account fsm.AccountName) broker.Request {
	return broker.Request{Actor: fsm.Actor{Account: account, Address: "192.0.2.1"}}
}

// mustBeAdmin makes an account admin, at the word of the host.
func (h *house) mustBeAdmin(account fsm.AccountName) {
	h.t.Helper()
	if _, err := h.b.CreateBinding(h.t.Context(), by(""), broker.BindingSpec{Role: fsm.RoleAdmin, Account: account, Scope: fsm.Everywhere}); err != nil {
		h.t.Fatal(err)
	}
}

// refusedAs returns the code of a refusal, or the field and words of a value that is wrong.
func refusedAs(err error) string {
	var refusal *fsm.Refusal
	var invalid *broker.InvalidError
	switch {
	case errors.As(err, &refusal):
		return string(refusal.Code)
	case errors.As(err, &invalid):
		return invalid.Error()
	case err != nil:
		return "error: " + err.Error()
	}
	return ""
}

func TestRolesAreGiven(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.mustBeAdmin("alice")
		for _, one := range []struct {
			spec broker.BindingSpec
			want string
		}{
			{broker.BindingSpec{Role: "admim", Account: "alice", Scope: "*"}, `role: there is no role "admim": there are admin, operator, developer, service, auditor, viewer`},
			{broker.BindingSpec{Role: "admin", Account: "alice", Group: "staff", Scope: "*"}, "account: say who gets the role: an account or a group, not both"},
			{broker.BindingSpec{Role: "admin", Scope: "*"}, "account: say who gets the role: an account or a group, not both"},
			{broker.BindingSpec{Role: "admin", Account: "alice", Scope: "payments"}, `scope: "payments" is no scope: give *, app/*, app/env or app/env/secret`},
			{broker.BindingSpec{Role: "developer", Account: "alice", Scope: "payments/*"}, "self_grant"},
			{broker.BindingSpec{Role: "admin", Account: "alice", Scope: "payments/*"}, ""},
		} {
			if _, err := h.b.CreateBinding(ctx, by("alice"), one.spec); refusedAs(err) != one.want {
				t.Errorf("%+v: %q, want %q", one.spec, refusedAs(err), one.want)
			}
		}
		var first fsm.Binding
		h.view(func(v *fsm.View) {
			for _, b := range v.Bindings("", 10) {
				if b.Scope == fsm.Everywhere {
					first = b
				}
			}
		})
		if first.Role != fsm.RoleAdmin || first.Account != "alice" {
			t.Errorf("the first account has %+v", first)
		}
		if err := h.b.DeleteBinding(ctx, by("alice"), first.ID, 0); refusedAs(err) != "last_admin" {
			t.Errorf("the last admin's binding: %v", err)
		}
		yes := true
		if _, _, err := h.b.UpdateAccount(ctx, by("bob"), broker.AccountChange{Name: "alice", Disabled: &yes}); refusedAs(err) != "last_admin" {
			t.Errorf("disabling the last admin: %v", err)
		}
		if _, err := h.b.DeleteWithLeases(ctx, by("bob"), fsm.Target{Noun: fsm.TargetAccount, Name: "alice"}, 0, "r"); refusedAs(err) != "last_admin" {
			t.Errorf("deleting the last admin with its leases: %v", err)
		}
	})
}

func TestPoliciesAreJudgedBeforeTheyAreProposed(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.mustBeAdmin("alice")
		const harmless = `permit (principal in Group::"team", action == Action::"secret:get", resource in App::"payments");`
		for _, one := range []struct {
			name, text, want string
		}{
			{"Upper", harmless, "name:"},
			{"one", "", "text: a policy has from 1 to 200 rules"},
			{"one", `permit (principal, action == Action::"secret:gat", resource);`, `text: line 1, column 1: rule 1: there is no action "secret:gat"; did you mean secret:get?`},
			{"one", `forbid (principal, action, resource);`, "policy_locks_out"},
			{"one", `forbid (principal, action in [Action::"policy:update"], resource) when { context has address && context.address.isInRange(ip("192.0.2.0/24")) };`, "policy_locks_out"},
			{"one", `forbid (principal, action in [Action::"policy:update"], resource) when { context has address && context.address.isInRange(ip("10.0.0.0/8")) };`, ""},
			{"two", `permit (principal, action == Action::"lease:issue", resource);`, "self_grant"},
			{"two", `permit (principal == Account::"alice", action in [Action::"secret:get", Action::"lease:issue"], resource == Secret::"a/b/c");`, "self_grant"},
			{"two", `permit (principal, action, resource) when { principal in Group::"team" };`, "self_grant"}, // the head says whom
			{"two", `permit (principal is Account in Group::"team", action, resource);`, ""},
			{"three", `permit (principal == Account::"bob", action == Action::"lease:issue", resource);`, ""},
			{"four", `permit (principal, action == Action::"secret:get", resource);`, ""}, // it may everywhere
			{"one", harmless, "already_exists"},
		} {
			_, err := h.b.CreatePolicy(ctx, by("alice"), broker.PolicySpec{Name: fsm.PolicyName(one.name), Text: one.text})
			if got := refusedAs(err); (got == "") != (one.want == "") || !strings.HasPrefix(got, one.want) {
				t.Errorf("%s: %q, want %q", one.text, got, one.want)
			}
		}
		gains := `permit (principal == Account::"bob", action == Action::"lease:issue", resource); permit (principal, action == Action::"lease:issue", resource);`
		if _, err := h.b.UpdatePolicy(ctx, by("alice"), broker.PolicyChange{Name: "three", Text: &gains}); refusedAs(err) != "self_grant" {
			t.Errorf("a change that gives its author something: %v", err)
		}
		if _, err := h.b.UpdatePolicy(ctx, by(""), broker.PolicyChange{Name: "three", Text: &gains}); err != nil {
			t.Errorf("at the host's word: %v", err)
		}
		more := gains + ` permit (principal in Group::"team", action == Action::"lease:issue", resource);`
		if _, err := h.b.UpdatePolicy(ctx, by("alice"), broker.PolicyChange{Name: "three", Text: &more}); err != nil {
			t.Errorf("a change beside what others gave: %v", err)
		}
		lockout := `forbid (principal, action == Action::"policy:delete", resource);`
		if _, err := h.b.UpdatePolicy(ctx, by("alice"), broker.PolicyChange{Name: "one", Text: &lockout}); refusedAs(err) != "policy_locks_out" {
			t.Errorf("a change that locks out: %v", err)
		}
		text := harmless
		dry := by("alice")
		dry.DryRun = true
		if got, err := h.b.UpdatePolicy(ctx, dry, broker.PolicyChange{Name: "one", Text: &text}); err != nil || got.Text != text {
			t.Errorf("a dry run: %+v, %v", got, err)
		}
		h.view(func(v *fsm.View) {
			if p, _ := v.Policy("one"); p.Text == text {
				t.Error("a dry run changed something")
			}
		})
		words := "what it is for"
		if got, err := h.b.UpdatePolicy(ctx, by("alice"), broker.PolicyChange{Name: "one", Description: &words}); err != nil || got.Description != words {
			t.Errorf("another description: %+v, %v", got, err)
		}
		if err := h.b.DeletePolicy(ctx, by("alice"), "one", 1); refusedAs(err) != "version_mismatch" {
			t.Errorf("another version: %v", err)
		}
		if err := h.b.DeletePolicy(ctx, by("alice"), "one", 0); err != nil {
			t.Error(err)
		}
	})
}

// TestNobodyMovesItselfPastAPolicy holds the ways by which groups would lead around what policies say.
func TestNobodyMovesItselfPastAPolicy(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.mustBeAdmin("alice")
		const text = `permit (principal in Group::"team", action == Action::"lease:issue", resource);
			forbid (principal in Group::"contractors", action == Action::"lease:issue", resource);`
		if _, err := h.b.CreatePolicy(ctx, by("alice"), broker.PolicySpec{Name: "one", Text: text}); err != nil {
			t.Fatal(err)
		}
		want := func(what string, err error, want string) {
			t.Helper()
			if got := refusedAs(err); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		create := func(name fsm.GroupName, members ...fsm.AccountName) error {
			_, err := h.b.CreateGroup(ctx, by("alice"), broker.GroupSpec{Name: name, Members: members})
			return err
		}
		update := func(actor fsm.AccountName, c broker.GroupChange) error {
			_, err := h.b.UpdateGroup(ctx, by(actor), c)
			return err
		}
		want("a new group with oneself in it", create("team", "alice"), "self_grant")
		want("a new group", create("team"), "")
		want("entering it", update("alice", broker.GroupChange{Name: "team", Add: []fsm.AccountName{"alice"}}), "self_grant")
		want("being let in by another", update("bob", broker.GroupChange{Name: "team", Add: []fsm.AccountName{"alice"}}), "")
		want("leaving it", update("alice", broker.GroupChange{Name: "team", Remove: []fsm.AccountName{"alice"}}), "self_grant")
		want("deleting it", h.b.DeleteGroup(ctx, by("alice"), "team", 0), "self_grant")
		want("another deletes it", h.b.DeleteGroup(ctx, by("bob"), "team", 0), "")
		want("a group that no policy names", create("lunch", "alice"), "")
	})
}

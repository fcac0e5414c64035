package access

import (
	"strings"
	"testing"

	"broker/fsm"
)

func mustLanguage(t testing.TB) *Language {
	t.Helper()
	l, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPoliciesThatMeanNothingAreRefused(t *testing.T) {
	l := mustLanguage(t)
	const issue = `action == Action::"lease:issue"`
	for _, one := range []struct{ text, want string }{
		{``, "from 1 to 200 rules"},
		{`// a comment only`, "from 1 to 200 rules"},
		{`permit (principal, action, resource)`, "line 1, column 37: this cannot be read"},
		{"permit (principal, action, resource);\npermit (principal, action, resource) where { true };", `line 2, column 44: this cannot be read: there is "where" where there should be ";"`},
		{`permit (principal == ?principal, action, resource);`, "this cannot be read"},
		{`permit (principal, action == Action::"lease:isue", resource);`, `there is no action "lease:isue"; did you mean lease:issue?`},
		{`permit (principal, action == Action::"issue", resource);`, `there is no action "issue"`},
		{`permit (principal, action in [Action::"lease:issue", Action::"lease:fly"], resource);`, `there is no action "lease:fly"`},
		{`permit (principal == User::"bob", ` + issue + `, resource);`, "there is no type User: there are Account, Action"},
		{`permit (principal, ` + issue + `, resource in Enviroment::"payments/production");`, "did you mean Environment?"},
		{`permit (principal, ` + issue + `, resource is Secrets);`, "did you mean Secret?"},
		{`permit (principal == Group::"team", ` + issue + `, resource);`, `principal in Group::"NAME"`},
		{`permit (principal, ` + issue + `, resource == Secret::"payments/orders");`, `Secret::"payments/orders" is not possible: want app/env/name`},
		{`permit (principal, ` + issue + `, resource == Secret::"payments/*/orders");`, "want app/env/name"},
		{`permit (principal, ` + issue + `, resource in Environment::"payments");`, "want app/env"},
		{`permit (principal, ` + issue + `, resource in Environment::"payments/*");`, `resource in App::"app"`},
		{`permit (principal, ` + issue + `, resource in App::"payments/production");`, "the part of an environment's name before the slash"},
		{`permit (principal, ` + issue + `, resource in Cluster::"prod");`, "want broker"},
		{`permit (principal == Account::"Bob B", ` + issue + `, resource);`, "1 to 63 characters"},
		{`permit (principal, action == Action::"account:get", resource == Object::"ci");`, "want KIND/NAME"},
		{`permit (principal, action == Action::"account:get", resource == Object::"accounts/ci");`, "want KIND/NAME"},
		{`permit (principal, action == Action::"connection:get", resource == Object::"connection/orders");`, "have types of their own"},
		{`permit (principal, action == Action::"connection:get", resource == Environment::"payments/production");`, ""},
		{`permit (principal, action == Action::"account:get", resource in Environment::"payments/production");`, ""},
		{`permit (principal, action == Action::"account:get", resource == Secret::"payments/production/orders");`, "this can never hold"},
		{`permit (principal, ` + issue + `, resource) when { context.ttl < 3600 };`, "context.ttl is not always known: ask context has ttl && … first"},
		{`permit (principal, ` + issue + `, resource) when { context has ttl && context.ttl < "1h" };`, "String"},
		{`permit (principal, ` + issue + `, resource) when { context has lifetime };`, "context.lifetime is not known: there are address, connection, own, token, ttl"},
		{`permit (principal, ` + issue + `, resource) when { context["lifetime"] == 1 };`, "context.lifetime is not known"},
		{`permit (principal, ` + issue + `, resource) when { principal.name == "bob" };`, "principal.name is not known: accounts, actions and resources have no attributes"},
		{`permit (principal, ` + issue + `, resource) when { resource.owner == principal };`, "resource.owner is not known"},
		{`permit (principal, ` + issue + `, resource) when { context has address && context.address.isInRange(ip("10.0.0.0.0/8")) };`, "IP address"},
		{`permit (principal, ` + issue + `, resource) when { principal in [Group::"team", Team::"ops"] };`, "there is no type Team"},
		{`permit (principal, ` + issue + `, resource) when { resource in Secret::"a/b" };`, "want app/env/name"},
		{`permit (principal, ` + issue + `, resource) when { context.own == 1 };`, "not compatible"},
		{`@max_ttl("one hour") permit (principal, ` + issue + `, resource);`, `@max_ttl("one hour") must be a length of time`},
		{`@max_ttl("-1h") permit (principal, ` + issue + `, resource);`, "must be a length of time"},
		{`@max_ttl("1500ms") permit (principal, ` + issue + `, resource);`, "whole seconds"},
		{`@max_ttl("1h") forbid (principal, ` + issue + `, resource);`, "@max_ttl goes with permit"},
		{`@max_ttl("1h") permit (principal, action == Action::"secret:get", resource);`, `@max_ttl says nothing in a rule that does not permit Action::"lease:issue"`},
		{`@maxttl("1h") permit (principal, ` + issue + `, resource);`, "annotation @maxttl is not known"},
		{`@id("Two words") permit (principal, ` + issue + `, resource);`, "1 to 63 characters"},
		{"@id(\"one\") permit (principal, " + issue + ", resource);\n@id(\"one\") forbid (principal, " + issue + ", resource);", `line 2, column 1: rule one: @id("one") is another rule's`},
		{strings.Repeat(`permit (principal, action, resource);`, 201), "from 1 to 200 rules"},
		{`permit (principal, action, resource) when { ` + strings.Repeat("(!", 10_000) + "true" + strings.Repeat(")", 10_000) + ` };`, "the conditions are too deep"},
		{`permit (principal, action, resource) when { context.own` + strings.Repeat(" || context.own", 4000) + ` };`, "the conditions are too deep"},
		{`permit (principal, action, resource) when { principal in [` + strings.Repeat(`Group::"a", `, 5000) + `Group::"b"] };`, "the policy is too large"},
		{strings.Repeat(`permit (principal, action, resource) when { `+strings.Repeat(`principal == Account::"a" || `, 8)+`false };`, 200), "the policy is too large"},
		{strings.Repeat(" ", fsm.MaxPolicyText+1), "at most 65536 bytes"},

		{`@id("one") @description("whatever it is") @max_ttl("1h30m") permit (principal in Group::"team", ` + issue + `, resource in App::"payments");`, ""},
		{`forbid (principal, action, resource in Cluster::"broker") unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };`, ""},
		{`permit (principal is Account in Group::"team", action in [Action::"lease:issue", Action::"lease:renew"], resource is Secret in Environment::"payments/production") when { context has connection && context.connection == "orders-db" };`, ""},
		{`forbid (principal, action == Action::"lease:renew", resource) when { context.own && !(principal in Group::"oncall") };`, ""},
		{`permit (principal, action, resource == Object::"policy/short-leases");`, ""},
		{`permit (principal, action == Action::"connection:use", resource == Connection::"orders-db");`, ""},
		{`permit (principal, action == Action::"lease:get", resource == Lease::"01JZ0000000000000000000000");`, ""},
	} {
		var got []string
		for _, p := range l.Check(one.text) {
			got = append(got, p.String())
		}
		shown := one.text[:min(len(one.text), 200)]
		if one.want == "" && len(got) > 0 {
			t.Errorf("%s\n is refused: %v", shown, got)
		}
		if one.want != "" && !strings.Contains(strings.Join(got, "\n"), one.want) {
			t.Errorf("%s\n is refused with %q, want %q", shown, got, one.want)
		}
	}
}

// TestEveryProblemIsTold: whoever mends a text mends all of it at once.
func TestEveryProblemIsTold(t *testing.T) {
	found := mustLanguage(t).Check("permit (principal == User::\"x\", action == Action::\"fly\", resource);\n\npermit (principal, action, resource in App::\"A\") when { context has x };")
	if len(found) != 4 {
		t.Errorf("found %v", found)
	}
	for i, line := range []int{1, 1, 3, 3} {
		if i < len(found) && found[i].Line != line {
			t.Errorf("problem %d is in line %d: %s", i, found[i].Line, found[i])
		}
	}
}

// FuzzPolicy: whatever is accepted can be compiled and judged, and never by an error.
func FuzzPolicy(f *testing.F) {
	for _, text := range []string{
		`permit (principal, action, resource);`,
		`@max_ttl("1h") permit (principal in Group::"g", action == Action::"lease:issue", resource in App::"a") when { context has ttl && context.ttl < 60 };`,
		`forbid (principal, action in [Action::"lease:issue"], resource is Secret) unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };`,
		`permit (principal, action, resource) when { if context.own then true else principal in [Group::"g"] };`,
		`permit (principal, action, resource) when { [1, 2].contains(1) && {"a": 1}.a == 1 && "x" like "*y" };`,
		`permit (principal, action, resource) when { datetime("2024-01-01") < datetime("2025-01-01") || decimal("1.0").lessThan(decimal("2.0")) };`,
	} {
		f.Add(text)
	}
	l := mustLanguage(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(l.Check(text)) > 0 {
			return
		}
		set := new(compiler).set([]fsm.Policy{{Name: "p", Version: 1, Text: text}})
		if len(set.unreadable) > 0 {
			t.Fatalf("accepted and cannot be compiled: %q", text)
		}
		g := newGrants("alice", []fsm.GroupName{"g"})
		for _, on := range []Resource{{Kind: KindSecret, Environment: "a/b", Secret: "c"}, {Kind: KindCluster}} {
			decide(&Request{Who: Identity{Account: "alice"}, Action: "lease:issue", On: on}, g, set)
		}
	})
}

func TestLikelyAction(t *testing.T) {
	for word, want := range map[string]string{
		"connection:read": "connection:get", "connection:edit": "connection:update", "secret:remove": "secret:delete", "lease:create": "lease:issue",
		"role:grant": "role:bind", "connection:creat": "connection:create", "lease:isue": "lease:issue",
	} {
		if got := likelyAction(word); got != "; did you mean "+want+"?" {
			t.Errorf("%s: got %q, want %s", word, got, want)
		}
	}
	if got := likelyAction("colour:blue"); got != "" {
		t.Errorf("nothing like any: got %q", got)
	}
}

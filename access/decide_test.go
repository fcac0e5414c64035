package access

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broker/fsm"
)

// company is accounts with what they have, and policies, without a state.
type company struct {
	t        *testing.T
	groups   map[fsm.AccountName][]fsm.GroupName
	bindings []fsm.Binding
	policies *policySet
}

// newCompany reads bindings "SUBJECT ROLE SCOPE", a group being written group/NAME, and policies by name.
func newCompany(t *testing.T, bindings []string, policies map[string]string) *company {
	t.Helper()
	c := &company{t: t, groups: map[fsm.AccountName][]fsm.GroupName{"bob": {"team"}, "carol": {"team", "ops"}}}
	for i, text := range bindings {
		var subject, role, scope string
		if _, err := fmt.Sscan(text, &subject, &role, &scope); err != nil {
			t.Fatal(err)
		}
		b := fsm.Binding{ID: fsm.BindingID(fmt.Sprintf("B%d", i)), Role: fsm.RoleName(role), Scope: fsm.Scope(scope)}
		if group, ok := strings.CutPrefix(subject, "group/"); ok {
			b.Group = fsm.GroupName(group)
		} else {
			b.Account = fsm.AccountName(subject)
		}
		c.bindings = append(c.bindings, b)
	}
	c.policies = mustSet(t, policies)
	return c
}

func mustSet(t testing.TB, policies map[string]string) *policySet {
	t.Helper()
	language, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	var list []fsm.Policy
	for name, text := range policies {
		for _, p := range language.Check(text) {
			t.Errorf("policy %s: %s", name, p)
		}
		list = append(list, fsm.Policy{Name: fsm.PolicyName(name), Text: text, Version: 1})
	}
	return new(compiler).set(list)
}

func (c *company) grants(name fsm.AccountName) *grants {
	groups := c.groups[name]
	g := newGrants(name, groups)
	for _, b := range c.bindings {
		mine := b.Account == name
		for _, one := range groups {
			mine = mine || b.Group == one
		}
		if role, ok := RoleNamed(b.Role); ok && mine {
			g.list = append(g.list, grant{role, b})
		}
	}
	return g
}

func mustParse(t testing.TB, text string) Resource {
	t.Helper()
	on, err := ParseResource(text)
	if err != nil {
		t.Fatal(err)
	}
	return on
}

func (c *company) may(who, action, resource string) Decision {
	q := Request{Who: Identity{Account: fsm.AccountName(who)}, Action: Action(action), On: mustParse(c.t, resource)}
	return decide(&q, c.grants(q.Who.Account), c.policies)
}

func TestRolesHoldInTheirScope(t *testing.T) {
	c := newCompany(t, []string{
		"alice developer payments/*", "bob service payments/production/orders-ro", "group/ops operator *", "dave viewer payments/production", "root admin *",
	}, nil)
	for _, one := range []struct {
		who, action, resource string
		want                  bool
	}{
		{"alice", "lease:issue", "payments/production/orders-ro", true},
		{"alice", "lease:issue", "payments/staging/orders-ro", true},
		{"alice", "lease:issue", "billing/production/orders-ro", false},
		{"alice", "lease:issue", "payments2/production/orders-ro", false},
		{"alice", "secret:create", "payments/production/new", true},
		{"alice", "lock:list", "payments/production", true},
		{"alice", "environment:get", "payments/*", true},
		{"alice", "environment:get", "*", false},
		{"alice", "environment:delete", "payments/production", false},
		{"alice", "connection:get", "connection/orders-db", false},
		{"alice", "connection:use", "connection/orders-db@payments/production", true},
		{"alice", "connection:use", "connection/orders-db@billing/production", false},
		{"alice", "connection:use", "connection/orders-db", false},
		{"alice", "connection:statements", "connection/orders-db@payments/production", false},
		{"bob", "lease:issue", "payments/production/orders-ro", true},
		{"bob", "lease:issue", "payments/production/orders-rw", false},
		{"bob", "lease:issue", "payments/production", false},
		{"bob", "environment:get", "payments/production", false},
		{"carol", "connection:update", "connection/orders-db", true},
		{"carol", "lease:revoke", "*", true},
		{"carol", "lease:issue", "payments/production/orders-ro", false},
		{"carol", "role:bind", "role/admin", false},
		{"dave", "secret:get", "payments/production/orders-ro", true},
		{"dave", "secret:get", "payments/staging/orders-ro", false},
		{"dave", "connection:list", "connection", false}, // it has viewer in a part only
		{"root", "role:bind", "role/developer", true},
		{"root", "lease:issue", "payments/production/orders-ro", false},
		{"nobody", "environment:list", "*", false},
		{"nobody", "provider:list", "provider", true},
		{"nobody", "cluster:get", "cluster", true},
		{"nobody", "cluster:admit", "cluster", false},
		{"nobody", "account:get", "account/nobody", true},
		{"nobody", "account:get", "account/root", false},
		{"nobody", "account:update", "account/nobody", false},
		{"nobody", "account:password", "account/nobody", true},
		{"nobody", "account:password", "account/root", false},
		{"nobody", "access:explain", "account/nobody", true},
		{"nobody", "access:explain", "account/root", false},
		{"nobody", "access:explain", "payments/production", false},
	} {
		if got := c.may(one.who, one.action, one.resource); got.Allowed != one.want {
			t.Errorf("%s %s %s: %+v, want %v", one.who, one.action, one.resource, got, one.want)
		}
	}
	if got := c.may("carol", "lock:create", "payments/*"); len(got.Because) != 1 || got.Because[0] != (Reason{What: "role", Name: "operator", Binding: "B2", Scope: "*", Group: "ops"}) {
		t.Errorf("because %+v", got.Because)
	}
	if got := decide(&Request{Action: "provider:list"}, &grants{unknown: true}, c.policies); got.Allowed {
		t.Error("an account that is not there, or disabled, may something")
	}
}

func TestOwnTokensAndLeases(t *testing.T) {
	c := newCompany(t, []string{"alice developer payments/production"}, map[string]string{
		"no-renewing": `@id("calm") forbid (principal, action == Action::"lease:renew", resource in Environment::"payments/production")
			when { context has ttl && context.ttl > 3600 };`,
	})
	lease := Resource{Kind: KindLease, Name: "L1", Environment: "payments/production", Secret: "orders-ro", Owner: "alice"}
	elsewhere := Resource{Kind: KindLease, Name: "L2", Environment: "payments/staging", Secret: "orders-ro", Owner: "alice"}
	foreign := lease
	foreign.Owner = "bob"
	token := Resource{Kind: KindToken, Name: "T1", Owner: "alice"}
	for _, one := range []struct {
		action  Action
		on      Resource
		counted bool
		ttl     time.Duration
		want    bool
	}{
		{"lease:renew", lease, false, time.Hour, true},
		{"lease:renew", lease, false, 2 * time.Hour, false}, // a policy forbids it
		{"lease:revoke", lease, false, 0, true},
		{"lease:get", lease, false, 0, true},
		{"lease:renew", elsewhere, false, 0, false}, // it may not issue that any more
		{"lease:revoke", elsewhere, false, 0, false},
		{"lease:get", elsewhere, false, 0, true},
		{"lease:history", elsewhere, false, 0, true},
		{"lease:list", elsewhere, false, 0, true},
		{"lease:renew", foreign, false, 0, false},
		{"lease:revoke", foreign, false, 0, false},
		{"lease:forget", lease, false, 0, false},
		{"token:create", token, false, 0, true},
		{"token:create", token, true, 0, false},
		{"token:delete", token, true, 0, true},
		{"token:list", token, false, 0, true},
		{"token:create", Resource{Kind: KindToken, Owner: "bob"}, false, 0, false},
		{"token:list", Resource{Kind: KindToken}, false, 0, false},
		{"token:get", Resource{Kind: KindToken, Name: "T2"}, false, 0, false},
	} {
		q := Request{Who: Identity{Account: "alice", Counted: one.counted}, Action: one.action, On: one.on, TTL: one.ttl}
		if got := decide(&q, c.grants("alice"), c.policies); got.Allowed != one.want {
			t.Errorf("%s %+v counted=%v: %+v, want %v", one.action, one.on, one.counted, got, one.want)
		}
	}
}

func TestPoliciesPermitAndForbid(t *testing.T) {
	c := newCompany(t, []string{"alice developer *", "root admin *"}, map[string]string{
		"team": `
			@id("read") @max_ttl("1h") permit (principal in Group::"team", action == Action::"lease:issue", resource in App::"payments");
			@id("write") @max_ttl("30m") permit (principal in Group::"team", action == Action::"lease:issue", resource in Environment::"payments/staging");
			@id("billing") permit (principal == Account::"bob", action == Action::"lease:issue", resource == Secret::"billing/production/ledger");`,
		"office": `forbid (principal, action, resource in Environment::"payments/production")
			unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };`,
		"frozen": `@id("all") forbid (principal, action in [Action::"account:delete", Action::"account:update"], resource == Object::"account/ci");`,
	})
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	mapped := netip.MustParseAddr("::ffff:10.1.2.3")
	for _, one := range []struct {
		who, action, resource string
		at                    netip.Addr
		want                  bool
		maxTTL                time.Duration
		because               string
	}{
		{"bob", "lease:issue", "payments/production/orders", inside, true, time.Hour, "team/read"},
		{"bob", "lease:issue", "payments/production/orders", mapped, true, time.Hour, "team/read"},
		{"bob", "lease:issue", "payments/production/orders", outside, false, 0, "office/1"},
		{"bob", "lease:issue", "payments/production/orders", netip.Addr{}, false, 0, "office/1"},
		{"bob", "lease:issue", "payments/staging/orders", outside, true, time.Hour, "team/read team/write"},
		{"bob", "lease:issue", "billing/production/ledger", outside, true, 0, "team/billing"},
		{"bob", "lease:issue", "billing/production/other", outside, false, 0, ""},
		{"carol", "lease:issue", "billing/production/ledger", outside, false, 0, ""},
		{"alice", "lease:issue", "payments/staging/orders", outside, true, 0, "developer"},
		{"alice", "lease:issue", "payments/production/orders", outside, false, 0, "office/1"},
		{"root", "environment:update", "payments/production", outside, false, 0, "office/1"},
		{"root", "account:delete", "account/ci", outside, false, 0, "frozen/all"},
		{"root", "account:delete", "account/other", outside, true, 0, "admin"},
	} {
		q := Request{Who: Identity{Account: fsm.AccountName(one.who)}, Action: Action(one.action), On: mustParse(t, one.resource), Address: one.at}
		got := decide(&q, c.grants(q.Who.Account), c.policies)
		var because []string
		for _, r := range got.Because {
			because = append(because, strings.TrimSuffix(r.Name+"/"+r.Rule, "/"))
			if r.Forbids == got.Allowed {
				t.Errorf("%s %s %s: %v and a reason %+v", one.who, one.action, one.resource, got.Allowed, r)
			}
		}
		if got.Allowed != one.want || got.MaxTTL != one.maxTTL || strings.Join(because, " ") != one.because {
			t.Errorf("%s %s %s: %v %s because %v, want %v %s because %s", one.who, one.action, one.resource,
				got.Allowed, got.MaxTTL, because, one.want, one.maxTTL, one.because)
		}
	}
	// A role sets no ceiling beside a policy that does.
	c.bindings = append(c.bindings, fsm.Binding{ID: "B9", Role: "service", Account: "bob", Scope: "payments/*"})
	if got := c.may("bob", "lease:issue", "payments/staging/orders"); !got.Allowed || got.MaxTTL != 0 || got.Because[0].What != "role" {
		t.Errorf("with a role besides: %+v", got)
	}
	// The ceiling of a renewal is that of the issue.
	c.bindings = nil
	q := Request{Who: Identity{Account: "bob"}, Action: "lease:renew", On: Resource{Kind: KindLease, Name: "L", Owner: "bob", Environment: "payments/staging", Secret: "orders"}}
	if got := decide(&q, c.grants("bob"), c.policies); !got.Allowed || got.MaxTTL != time.Hour {
		t.Errorf("a renewal: %+v", got)
	}
}

// TestWhatCannotBeJudgedForbids: neither a policy that cannot be read nor a rule that cannot be evaluated opens a door.
func TestWhatCannotBeJudgedForbids(t *testing.T) {
	c := newCompany(t, []string{"root admin *"}, nil)
	c.policies = new(compiler).set([]fsm.Policy{
		{Name: "newer", Version: 1, Text: `permit (principal, action, resource) where { true };`},
	})
	if got := c.may("root", "account:list", "account"); got.Allowed || len(got.Because) != 1 || got.Because[0].Name != "newer" {
		t.Errorf("beside a policy that cannot be read: %+v", got)
	}
	if got := c.may("root", "policy:delete", "policy/newer"); !got.Allowed {
		t.Errorf("a policy that cannot be read cannot be deleted: %+v", got)
	}
	c.policies = new(compiler).set([]fsm.Policy{
		{Name: "fails", Version: 1, Text: `forbid (principal, action == Action::"account:list", resource) when { context.ttl > 5 };
			permit (principal, action == Action::"account:get", resource) when { context.ttl > 5 };`},
	})
	if got := c.may("root", "account:list", "account"); got.Allowed {
		t.Errorf("a rule that forbids and cannot be evaluated: %+v", got)
	}
	if got := c.may("nobody", "account:get", "account/root"); got.Allowed {
		t.Errorf("a rule that permits and cannot be evaluated: %+v", got)
	}
}

func TestNothingIsCompiledTwice(t *testing.T) {
	var c compiler
	list := []fsm.Policy{{Name: "a", Version: 1, Text: `permit (principal, action, resource);`}, {Name: "b", Version: 2, Text: `forbid (principal, action, resource);`}}
	c.set(list)
	c.set(list)
	if c.compiled != 2 {
		t.Errorf("two policies, asked for twice, were compiled %d times", c.compiled)
	}
	list[0].Version = 7
	c.set(list)
	if c.compiled != 3 {
		t.Errorf("one of them changed: compiled %d times in all", c.compiled)
	}
	c.set(list[1:])
	c.set(list)
	if c.compiled != 4 || len(c.known) != 2 {
		t.Errorf("one went and came back: compiled %d times in all, %d known", c.compiled, len(c.known))
	}
}

func TestReach(t *testing.T) {
	c := newCompany(t, []string{"alice viewer payments/production", "group/ops operator *"}, map[string]string{
		"bob":   `permit (principal == Account::"bob", action == Action::"lease:issue", resource == Secret::"a/b/c");`,
		"ops":   `forbid (principal in Group::"ops", action == Action::"lock:get", resource);`,
		"admin": `permit (principal, action == Action::"metrics:read", resource) when { context.own };`,
	})
	for _, one := range []struct {
		who, action string
		want        Reach
	}{
		{"alice", "secret:list", Somewhere}, {"alice", "lease:issue", Nowhere}, {"bob", "lease:issue", Somewhere}, {"bob", "secret:list", Nowhere},
		{"carol", "connection:list", Everywhere}, {"carol", "lock:get", Somewhere}, {"carol", "audit:get", Nowhere},
		{"dave", "metrics:read", Somewhere}, {"dave", "account:list", Nowhere},
	} {
		ledger := kept{allPolicies{}: c.policies, grantsOf(one.who): c.grants(fsm.AccountName(one.who))}
		d, err := New(DeciderConfig{State: ledger})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Reach(Identity{Account: fsm.AccountName(one.who)}, Action(one.action)); err != nil || got != one.want {
			t.Errorf("%s may %s: reach %v, %v; want %v", one.who, one.action, got, err, one.want)
		}
	}
}

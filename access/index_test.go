package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"broker/fsm"
)

// ruleText draws a rule with any kind of head.
func ruleText(t *rapid.T) string {
	draw := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	return fmt.Sprintf(`%s (%s, %s, %s)%s;`,
		draw("effect", "permit", "permit", "forbid"),
		draw("principal", "principal", `principal == Account::"alice"`, `principal == Account::"bob"`, `principal in Group::"team"`, `principal in Group::"ops"`,
			`principal is Account`, `principal is Account in Group::"team"`, `principal in Account::"alice"`, `principal == Group::"team"`),
		draw("action", "action", `action == Action::"lease:issue"`, `action == Action::"secret:get"`, `action in [Action::"lease:issue", Action::"secret:get"]`,
			`action in Action::"lease:issue"`, `action in [Action::"lease:issue", Action::"lease:issue"]`, `action in []`),
		draw("resource", "resource", `resource == Secret::"payments/production/orders"`, `resource in Environment::"payments/production"`, `resource == Environment::"payments/production"`,
			`resource in App::"payments"`, `resource in Cluster::"broker"`, `resource is Secret`, `resource is Secret in App::"payments"`, `resource is Lease in Environment::"payments/staging"`,
			`resource in Connection::"orders-db"`, `resource == Object::"lock/L1"`, `resource == Lease::"L1"`),
		draw("condition", "", "", ` when { context.own }`, ` unless { context.own }`, ` when { context has ttl && context.ttl < 3600 }`, ` when { principal in Group::"ops" }`,
			` when { resource in App::"payments" }`, ` when { context.ttl > 60 }`, ` when { context has address && context.address.isLoopback() }`))
}

// TestIndexFindsWhatMatches proves that looking at candidates is as good as looking at all rules.
func TestIndexFindsWhatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var policies []fsm.Policy
		for i := range rapid.IntRange(0, 12).Draw(t, "policies") {
			policies = append(policies, fsm.Policy{
				Name: fsm.PolicyName(fmt.Sprintf("p%02d", i)), Version: 1,
				Text: strings.Join(rapid.SliceOfN(rapid.Custom(ruleText), 1, 3).Draw(t, "rules"), "\n"),
			})
		}
		set := new(compiler).set(policies)
		if len(set.unreadable) > 0 {
			t.Fatalf("cannot be read: %v", policies)
		}
		groups := rapid.SampledFrom([][]fsm.GroupName{nil, {"team"}, {"ops", "team"}}).Draw(t, "groups")
		who := rapid.SampledFrom([]fsm.AccountName{"alice", "bob"}).Draw(t, "who")
		g := newGrants(who, groups)
		on := rapid.SampledFrom([]Resource{
			{Kind: KindSecret, Environment: "payments/production", Secret: "orders"},
			{Kind: KindSecret, Environment: "payments/production"},
			{Kind: KindEnvironment, Environment: "payments/*"}, {Kind: KindEnvironment, Environment: "*"}, {Kind: KindLease},
			{Kind: KindLease, Name: "L1", Environment: "payments/staging", Secret: "orders", Owner: "alice"},
			{Kind: KindConnection, Name: "orders-db"}, {Kind: KindConnection, Name: "orders-db", Environment: "payments/production"},
			{Kind: KindLock, Name: "L1"}, {Kind: KindLock, Environment: "payments/production"}, {Kind: KindCluster},
		}).Draw(t, "resource")
		q := &Request{
			Who: Identity{Account: who}, On: on,
			Action:  rapid.SampledFrom([]Action{"lease:issue", "secret:get", "lock:get"}).Draw(t, "action"),
			TTL:     rapid.SampledFrom([]time.Duration{0, time.Minute, 2 * time.Hour}).Draw(t, "ttl"),
			Address: rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")}).Draw(t, "address"),
		}
		chain := on.chain(nil)
		if len(chain) > maxChain {
			t.Fatalf("%+v is in %v", on, chain)
		}
		var some, all verdict
		set.judge(q, g, &some)
		set.evaluate(slices.Clone(set.rules), q, g, chain, &all)
		if d := cmp.Diff(all.decision(), some.decision()); d != "" {
			t.Errorf("all rules and candidates differ (-all +candidates):\n%s", d)
		}
		if all.decision().Allowed && !set.permitsSome(q.Action, g) {
			t.Errorf("permitted, and nothing seems to permit %s to %s anywhere", q.Action, who)
		}
		if n := len(set.candidates(q.Action, g.principal, chain)); n > len(set.rules) {
			t.Errorf("%d candidates of %d rules: some come twice", n, len(set.rules))
		}
	})
}

// kept is a Ledger that has been asked for everything before.
type kept map[any]any

func (k kept) Remember(key any, _ func(*fsm.View) any) (any, error) { return k[key], nil }
func (k kept) View(func(*fsm.View) error) error                     { return nil }

// reportCPU tells the processor's time beside that of the clock, which others on the machine lengthen.
func reportCPU(b *testing.B) (end func()) {
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	return func() { b.ReportMetric(float64(spent()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkDecide measures one decision with 1 000 accounts in 50 groups and 200 policies.
func BenchmarkDecide(b *testing.B) {
	texts := map[string]string{}
	for i := range 200 {
		switch text := ""; i % 5 {
		case 0:
			text = fmt.Sprintf(`@max_ttl("1h") permit (principal in Group::"g%d", action == Action::"lease:issue", resource in App::"app%d");`, i%50, i)
			texts[fmt.Sprintf("p%d", i)] = text
		case 1:
			text = fmt.Sprintf(`forbid (principal, action, resource in Environment::"app%d/production") unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };`, i-1)
			texts[fmt.Sprintf("p%d", i)] = text
		case 2:
			texts[fmt.Sprintf("p%d", i)] = fmt.Sprintf(`permit (principal == Account::"a%d", action in [Action::"secret:get", Action::"lease:issue"], resource);`, i)
		case 3:
			texts[fmt.Sprintf("p%d", i)] = fmt.Sprintf(`permit (principal in Group::"g%d", action == Action::"lease:issue", resource == Secret::"app%d/production/orders");`, i%50, i-3)
		case 4:
			texts[fmt.Sprintf("p%d", i)] = fmt.Sprintf(`forbid (principal in Group::"g%d", action == Action::"lease:issue", resource) when { context has ttl && context.ttl > 86400 };`, i%50)
		}
	}
	ledger := kept{allPolicies{}: mustSet(b, texts)}
	var names []fsm.AccountName
	for i := range 1000 {
		name := fsm.AccountName(fmt.Sprintf("a%d", i))
		names = append(names, name)
		group := fsm.GroupName(fmt.Sprintf("g%d", i%50))
		role, _ := RoleNamed("developer")
		g := newGrants(name, []fsm.GroupName{group})
		g.list = []grant{{role, fsm.Binding{ID: "B", Role: "developer", Scope: fsm.Scope(fmt.Sprintf("app%d/*", i%100))}}}
		ledger[grantsOf(name)] = g
	}
	d, err := New(DeciderConfig{State: ledger})
	if err != nil {
		b.Fatal(err)
	}
	address := netip.MustParseAddr("10.1.2.3")
	b.ReportAllocs()
	defer reportCPU(b)()
	allowed, i := 0, 0
	for b.Loop() {
		q := Request{
			Who: Identity{Account: names[i%1000], Token: "01JZ0000000000000000000000"}, Action: "lease:issue", TTL: time.Hour, Address: address,
			On: Resource{Kind: KindSecret, Environment: fsm.Pattern(fmt.Sprintf("app%d/production", i%40*5)), Secret: "orders", Connection: "orders-db"},
		}
		got, err := d.Decide(q)
		if err != nil {
			b.Fatal(err)
		}
		if got.Allowed {
			allowed++
		}
		i++
	}
	if allowed == 0 || allowed == i {
		b.Fatalf("%d of %d were allowed: nothing was measured", allowed, i)
	}
}

// BenchmarkDecideUnfiled has rules that name neither account nor resource: all of them must be looked at.
func BenchmarkDecideUnfiled(b *testing.B) {
	texts := map[string]string{}
	for i := range 200 {
		texts[fmt.Sprintf("p%d", i)] = fmt.Sprintf(`forbid (principal, action == Action::"lease:issue", resource) when { context has ttl && context.ttl > %d };`, 86400+i)
	}
	role, _ := RoleNamed("developer")
	g := newGrants("a", nil)
	g.list = []grant{{role, fsm.Binding{Scope: "*"}}}
	ledger := kept{allPolicies{}: mustSet(b, texts), grantsOf("a"): g}
	d, err := New(DeciderConfig{State: ledger})
	if err != nil {
		b.Fatal(err)
	}
	q := Request{Who: Identity{Account: "a"}, Action: "lease:issue", TTL: time.Hour, On: Resource{Kind: KindSecret, Environment: "app/production", Secret: "orders"}}
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		if got, err := d.Decide(q); err != nil || !got.Allowed {
			b.Fatal(got, err)
		}
	}
}

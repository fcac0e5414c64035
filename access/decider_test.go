package access

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/fsm"
)

// world is a state with a Decider over it.
type world struct {
	*Decider
	t     *testing.T
	state *fsm.State
	now   time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	state, err := fsm.Open(fsm.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := New(DeciderConfig{State: state})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Decider: d, t: t, state: state, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.apply("", &fsm.InitCluster{
		ClusterID: "c1", Account: fsm.Account{Name: "alice", Kind: fsm.KindUser}, Token: fsm.Token{Accessor: "t1", Hash: []byte("h"), Account: "alice"},
		Bindings: []fsm.Binding{
			{ID: "B1", Role: "admin", Account: "alice", Scope: "*"},
			{ID: "B2", Role: "developer", Account: "alice", Scope: "payments/*"},
		},
	})
	w.apply("alice", &fsm.CreateEnvironment{Name: "payments/production"})
	w.apply("alice", &fsm.CreateEnvironment{Name: "billing/production"})
	w.apply("alice", &fsm.CreateConnection{Name: "orders-db", Provider: "postgres", Environments: []fsm.Pattern{"*"}, Settings: []byte("{}"), Sealed: []byte("x")})
	w.apply("alice", &fsm.CreateSecret{Name: "payments/production/orders", Connection: "orders-db", Options: []byte("{}"), DefaultTTL: time.Hour, MaxTTL: time.Hour})
	w.apply("alice", &fsm.CreateSecret{Name: "billing/production/ledger", Connection: "orders-db", Options: []byte("{}"), DefaultTTL: time.Hour, MaxTTL: time.Hour})
	return w
}

func (w *world) apply(actor fsm.AccountName, body fsm.Body) *fsm.Result {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	c, err := fsm.NewCommand(body, w.now, fsm.Actor{Account: actor}, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := c.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.state.Apply(&raft.Log{Index: w.state.Index() + 1, Term: 1, Data: data}).(*fsm.Result)
	if r.Refusal != nil {
		w.t.Fatal(r.Refusal)
	}
	return r
}

func (w *world) explain(action Action, resource string) (bool, string) {
	w.t.Helper()
	got, err := w.Explain(Request{Who: Identity{Account: "alice"}, Action: action, On: mustParse(w.t, resource)})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Allowed, strings.Join(got.Sentences, "; ")
}

func TestDecisionsFollowTheState(t *testing.T) {
	w := newWorld(t)
	check := func(action Action, resource string, want bool, says string) {
		t.Helper()
		if got, why := w.explain(action, resource); got != want || !strings.Contains(why, says) {
			t.Errorf("%s on %s: %v, %s; want %v, %s", action, resource, got, why, want, says)
		}
	}
	check("lease:issue", "payments/production/orders", true, "role developer in payments/* allows it, given directly (binding B2)")
	check("lease:issue", "billing/production/ledger", false, "nothing allows it; roles that allow it hold elsewhere: developer in payments/*; these roles would, in billing/production/ledger: developer, service")
	check("connection:get", "connection/orders-db", true, "role admin in *")
	check("account:get", "account/alice", true, "every account may")

	w.apply("alice", &fsm.CreatePolicy{Name: "ledger", Text: `@id("short") @max_ttl("90m") permit (principal, action == Action::"lease:issue", resource in App::"billing") when { context has connection && context.connection == "orders-db" };`})
	check("lease:issue", "billing/production/ledger", true, "policy ledger, rule short, permits it; for leases of at most 1h30m")
	compiled := w.compiler.compiled
	w.apply("alice", &fsm.CreateEnvironment{Name: "other/production"})
	w.apply("alice", &fsm.CreateLock{ID: "K1", Scope: fsm.LockScope{Account: "alice"}, Reason: "r"})
	check("lease:issue", "billing/production/ledger", true, "ledger")
	if w.compiler.compiled != compiled {
		t.Error("an unrelated change had policies compiled again")
	}
	w.apply("alice", &fsm.UpdatePolicy{Name: "ledger", Text: new(string(`forbid (principal, action, resource in App::"billing");`))})
	check("environment:delete", "billing/production", false, "policy ledger, rule 1, forbids it")
	w.apply("alice", &fsm.DeletePolicy{Name: "ledger"})
	check("environment:delete", "billing/production", true, "role admin")
	w.apply("alice", &fsm.DeleteBinding{ID: "B2"})
	check("lease:issue", "payments/production/orders", false, "the account's roles do not allow it: admin in *")
}

func TestLeasesAreFoundForTheirOwner(t *testing.T) {
	w := newWorld(t)
	w.lease("L1")
	check := func(action Action, want string) {
		t.Helper()
		if got, why := w.explain(action, "lease/L1"); !got || !strings.Contains(why, want) {
			t.Errorf("%s: %v, %s", action, got, why)
		}
	}
	check("lease:renew", "it belongs to the account itself")
	check("lease:get", "developer in payments/*")
	var wrong *InvalidError
	if _, err := w.Explain(Request{Who: Identity{Account: "alice"}, Action: "lease:get", On: mustParse(t, "lease/L2")}); !errors.As(err, &wrong) || wrong.Field != "resource" {
		t.Errorf("a lease that is not there: %v", err)
	}
	if _, err := w.Explain(Request{Who: Identity{Account: "bob"}, Action: "lease:get", On: mustParse(t, "lease/L1")}); !errors.As(err, &wrong) || wrong.Field != "account" {
		t.Errorf("an account that is not there: %v", err)
	}
	if _, err := w.Explain(Request{Who: Identity{Account: "alice"}, Action: "lease:gett", On: mustParse(t, "lease/L1")}); !errors.As(err, &wrong) || !strings.Contains(wrong.Message, "did you mean lease:get?") {
		t.Errorf("an action that is not there: %v", err)
	}
}

// lease issues a lease of payments/production/orders to alice.
func (w *world) lease(id fsm.LeaseID) {
	w.t.Helper()
	err := w.state.View(func(v *fsm.View) error {
		s, _ := v.Secret("payments/production/orders")
		c, _ := v.Connection("orders-db")
		defer w.apply("alice", &fsm.ActivateLease{ID: id})
		defer w.apply("alice", &fsm.PrepareLease{
			ID: id, Name: "x", Secret: s.Name, SecretVersion: s.Version, System: c.System, Account: "alice", Username: "u" + string(id), TTL: time.Minute, CreateTTL: time.Second,
		})
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestWhoCan(t *testing.T) {
	w := newWorld(t)
	got, err := w.WhoCan("lease:issue", mustParse(t, "payments/production/orders"))
	if err != nil || len(got) != 1 || got[0].Account != "alice" || got[0].Because[0].Name != "developer" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := w.WhoCan("lease:issue", mustParse(t, "billing/production/ledger")); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.WhoCan("lease:steal", mustParse(t, "billing/production/ledger")); err == nil {
		t.Error("an action that is not there is no error")
	}
}

func TestReport(t *testing.T) {
	w := newWorld(t)
	w.apply("alice", &fsm.CreatePolicy{Name: "ledger", Text: `permit (principal == Account::"alice", action == Action::"lease:issue", resource == Secret::"billing/production/ledger");`})
	w.lease("L1")
	issued := fsm.At(w.now)
	rows, next, err := w.Report("", 10)
	if err != nil || next != "" {
		t.Fatalf("goes on after %q, %v", next, err)
	}
	find := func(place fsm.Scope, action Action) *Row {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.Place == place && r.Action == action })
		if i < 0 {
			return nil
		}
		return &rows[i]
	}
	if r := find("payments/production", "lease:issue"); r == nil || r.UsedAt != issued || !r.Recorded || r.Because[0].Name != "developer" {
		t.Errorf("an issued lease: %+v, issued at %s", r, issued)
	}
	if r := find("billing/production/ledger", "lease:issue"); r == nil || r.UsedAt != 0 || r.Because[0].Name != "ledger" {
		t.Errorf("by a policy for one secret: %+v", r)
	}
	if r := find("billing/production", "lease:issue"); r != nil {
		t.Errorf("not for the environment: %+v", r)
	}
	if r := find("billing/production", "environment:create"); r == nil || r.UsedAt == 0 {
		t.Errorf("an environment that was made: %+v", r)
	}
	if r := find("*", "connection:create"); r == nil || r.UsedAt == 0 {
		t.Errorf("a connection that was made: %+v", r)
	}
	if r := find("*", "connection:get"); r == nil || r.Recorded {
		t.Errorf("reading leaves no trace: %+v", r)
	}
	if r := find("*", "provider:list"); r == nil || r.Because[0].Name != "admin" {
		t.Errorf("what everybody may, and a role besides: %+v", r)
	}
	// What happens later is learnt without reading all again.
	from := w.usage.next
	w.apply("alice", &fsm.BeginRevoke{ID: "L1", Cause: fsm.CauseRevoke})
	if rows, _, err = w.Report("", 10); err != nil {
		t.Fatal(err)
	}
	if r := find("payments/production", "lease:revoke"); r == nil || r.UsedAt != fsm.At(w.now) {
		t.Errorf("a revoked lease: %+v", r)
	}
	if w.usage.next.Index <= from.Index {
		t.Errorf("history was read from %v to %v", from, w.usage.next)
	}
}

func TestPoliciesThatLockTheirAuthorOut(t *testing.T) {
	w := newWorld(t)
	w.apply("alice", &fsm.CreatePolicy{Name: "old", Text: `permit (principal, action == Action::"secret:get", resource);`})
	for _, one := range []struct {
		text string
		want string
	}{
		{`forbid (principal, action, resource);`, "policy:create"},
		{`forbid (principal, action == Action::"policy:update", resource);`, "policy:update"},
		{`forbid (principal, action == Action::"policy:delete", resource == Object::"policy/new");`, "policy:delete"},
		{`forbid (principal == Account::"alice", action in [Action::"policy:delete", Action::"policy:update"], resource);`, "policy:update"},
		{`forbid (principal, action == Action::"policy:update", resource) unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };`, "policy:update"},
		{`forbid (principal, action == Action::"policy:update", resource) unless { context has address && context.address.isInRange(ip("192.0.2.0/24")) };`, ""},
		{`forbid (principal, action == Action::"policy:update", resource) unless { principal == Account::"alice" };`, ""},
		{`forbid (principal, action, resource in Environment::"payments/production");`, ""},
		{`forbid (principal == Account::"bob", action, resource);`, ""},
	} {
		got, err := w.LocksOut(fsm.Actor{Account: "alice", Address: "192.0.2.1"}, "new", &one.text)
		if err != nil || got != one.want {
			t.Errorf("%s\n locks out of %q, %v; want %q", one.text, got, err, one.want)
		}
	}
	if got, err := w.LocksOut(fsm.Actor{Account: "alice", Address: "192.0.2.1"}, "old", nil); err != nil || got != "" {
		t.Errorf("deleting a policy that gives nothing: %q, %v", got, err)
	}
	// One who changes policies by a policy.
	w.apply("alice", &fsm.CreatePolicy{Name: "keys", Text: `permit (principal == Account::"alice", action == Action::"policy:delete", resource);`})
	g := newGrants("alice", nil)
	if got := decide(&Request{Who: Identity{Account: "alice"}, Action: "policy:delete", On: Resource{Kind: KindPolicy, Name: "keys"}}, g, mustSet(t, map[string]string{
		"keys": `permit (principal == Account::"alice", action == Action::"policy:delete", resource);`,
	})); !got.Allowed {
		t.Errorf("by the policy alone: %+v", got)
	}
}

func TestPoliciesThatNameAGroup(t *testing.T) {
	w := newWorld(t)
	w.apply("alice", &fsm.CreatePolicy{Name: "one", Text: `
		permit (principal in Group::"team", action == Action::"lease:issue", resource);
		forbid (principal, action == Action::"lease:issue", resource) unless { principal in Group::"on-call" };
		forbid (principal, action == Action::"secret:get", resource) when { principal in [Group::"a", Group::"b"] };
		permit (principal is Account in Group::"dba", action == Action::"lease:issue", resource);`})
	for group, want := range map[fsm.GroupName]fsm.PolicyName{"team": "one", "on-call": "one", "a": "one", "b": "one", "dba": "one", "others": ""} {
		if got, err := w.NamesGroup(group); err != nil || got != want {
			t.Errorf("group %s is named by %q, %v; want %q", group, got, err, want)
		}
	}
	w.apply("alice", &fsm.UpdatePolicy{Name: "one", Text: new(string("not to be read"))})
	if got, _ := w.NamesGroup("others"); got != "one" {
		t.Errorf("a policy that cannot be read may name any group: %q", got)
	}
}

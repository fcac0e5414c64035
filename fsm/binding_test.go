package fsm

import (
	"slices"
	"testing"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// mustWrite writes records as the next entry of the log, whatever commands may make them.
func mustWrite(t *testing.T, s *State, write func(*txn)) {
	t.Helper()
	mustView(t, s, func(*View) {}) // what was applied is committed by a reading
	err := s.db.Update(func(tx *bbolt.Tx) error {
		x := newTxn(tx, s.meta)
		x.begin(s.meta.Index+1, s.meta.Term, Actor{})
		write(x)
		x.end()
		x.flush()
		s.meta = x.meta
		s.index.Store(x.meta.Index)
		return x.saveMeta()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mustAct applies a command of an account's and returns the code of its refusal.
func mustAct(t *testing.T, s *State, actor AccountName, body Body) Code {
	t.Helper()
	c, err := NewCommand(body, epoch.Time(), Actor{Account: actor}, 0)
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r := s.Apply(&raft.Log{Index: s.Index() + 1, Term: 1, Data: data}).(*Result)
	if r.Refusal != nil {
		return r.Refusal.Code
	}
	return ""
}

// withCompany is a state with accounts alice, who is admin, bob, carol and dave, who is disabled, and the groups staff
// (alice, bob), ops (carol, dave) and empty.
func withCompany(t *testing.T) *State {
	s := mustOpen(t)
	mustAct(t, s, "", &InitCluster{
		ClusterID: "c1", Account: Account{Name: "alice", Kind: KindUser}, Token: Token{Accessor: "t1", Hash: []byte("h"), Account: "alice"},
		Bindings: []Binding{{ID: "B1", Role: RoleAdmin, Account: "alice", Scope: Everywhere}},
	})
	mustWrite(t, s, func(x *txn) {
		for _, name := range []AccountName{"bob", "carol", "dave"} {
			accounts.put(x, Account{Name: name, Kind: KindUser, Disabled: name == "dave"})
		}
		groups.put(x, Group{Name: "staff", Members: []AccountName{"alice", "bob"}})
		groups.put(x, Group{Name: "ops", Members: []AccountName{"carol", "dave"}})
		groups.put(x, Group{Name: "empty"})
	})
	return s
}

// TestNobodyGivesItselfARole holds the ways by which an account could come to have more.
func TestNobodyGivesItselfARole(t *testing.T) {
	s := withCompany(t)
	for _, step := range []struct {
		what  string
		actor AccountName
		body  Body
		want  Code
	}{
		{"itself", "alice", &CreateBinding{ID: "B2", Role: "developer", Account: "alice", Scope: "payments/*"}, CodeSelfGrant},
		{"a group it is in", "alice", &CreateBinding{ID: "B2", Role: "developer", Group: "staff", Scope: "payments/*"}, CodeSelfGrant},
		{"admin, for a group it is in", "alice", &CreateBinding{ID: "B2", Role: "admin", Group: "staff", Scope: "payments/*"}, ""},
		{"another", "alice", &CreateBinding{ID: "B3", Role: "developer", Account: "bob", Scope: "payments/*"}, ""},
		{"a part of what it has", "bob", &CreateBinding{ID: "B4", Role: "developer", Account: "bob", Scope: "payments/production"}, ""},
		{"more than it has", "bob", &CreateBinding{ID: "B5", Role: "developer", Account: "bob", Scope: "*"}, CodeSelfGrant},
		{"a part of what its group has", "bob", &CreateBinding{ID: "B5", Role: "admin", Account: "bob", Scope: "payments/production"}, ""},
		{"more than its group has", "bob", &CreateBinding{ID: "B6", Role: "admin", Account: "bob", Scope: "*"}, CodeSelfGrant},
		{"another group", "alice", &CreateBinding{ID: "B6", Role: "developer", Group: "ops", Scope: "*"}, ""},
		{"the host", "", &CreateBinding{ID: "B7", Role: "developer", Account: "alice", Scope: "*"}, ""},
	} {
		if got := mustAct(t, s, step.actor, step.body); got != step.want {
			t.Errorf("%s gives %s: refused %q, want %q", step.actor, step.what, got, step.want)
		}
	}
}

// TestNobodyJoinsAGroupThatHasMore holds the way around: into a group instead of a binding.
func TestNobodyJoinsAGroupThatHasMore(t *testing.T) {
	s := withCompany(t)
	mustAct(t, s, "alice", &CreateBinding{ID: "B2", Role: "developer", Group: "ops", Scope: "payments/*"})
	mustAct(t, s, "alice", &CreateBinding{ID: "B3", Role: "developer", Account: "bob", Scope: "*"})
	for _, one := range []struct {
		actor, added AccountName
		group        GroupName
		want         Code
	}{
		{"alice", "alice", "ops", CodeSelfGrant},
		{"alice", "bob", "ops", ""},
		{"alice", "alice", "empty", ""},
		{"bob", "bob", "ops", ""}, // who has it by itself
		{"", "alice", "ops", ""},
	} {
		mustWrite(t, s, func(x *txn) {
			x.actor = Actor{Account: one.actor}
			r := x.mayJoin(one.group, []AccountName{"carol", one.added})
			if got := codeOf(r); got != one.want {
				t.Errorf("%q adds %q to %s: refused %q, want %q", one.actor, one.added, one.group, got, one.want)
			}
		})
	}
}

func codeOf(r *Refusal) Code {
	if r == nil {
		return ""
	}
	return r.Code
}

// TestSomebodyStaysAdmin: by whichever way the last one would go.
func TestSomebodyStaysAdmin(t *testing.T) {
	yes := true
	ways := map[string]Body{
		"its binding":       &DeleteBinding{ID: "B1"},
		"disabling":         &UpdateAccount{Name: "alice", Disabled: &yes},
		"deleting":          &DeleteAccount{Name: "alice"},
		"draining deletion": &CreateOperation{ID: "O1", Kind: OperationDelete, Target: Target{Noun: TargetAccount, Name: "alice"}},
	}
	for way, body := range ways {
		for _, other := range []struct {
			what  string
			binds CreateBinding
			want  Code
		}{
			{"nobody", CreateBinding{}, CodeLastAdmin},
			{"in a part", CreateBinding{Account: "bob", Scope: "payments/*"}, CodeLastAdmin},
			{"disabled", CreateBinding{Account: "dave", Scope: "*"}, CodeLastAdmin},
			{"an empty group", CreateBinding{Group: "empty", Scope: "*"}, CodeLastAdmin},
			{"another", CreateBinding{Account: "bob", Scope: "*"}, ""},
			{"a group", CreateBinding{Group: "ops", Scope: "*"}, ""},
			{"a group it is in with another", CreateBinding{Group: "staff", Scope: "*"}, ""},
		} {
			t.Run(way+" beside "+other.what, func(t *testing.T) {
				s := withCompany(t)
				if other.binds.Scope != "" {
					other.binds.ID, other.binds.Role = "B2", RoleAdmin
					if code := mustAct(t, s, "alice", &other.binds); code != "" {
						t.Fatal(code)
					}
				}
				if got := mustAct(t, s, "carol", body); got != other.want {
					t.Errorf("refused %q, want %q", got, other.want)
				}
			})
		}
	}
	t.Run("an operation later", func(t *testing.T) {
		s := withCompany(t)
		mustAct(t, s, "alice", &CreateBinding{ID: "B2", Role: RoleAdmin, Account: "bob", Scope: "*"})
		if code := mustAct(t, s, "carol", ways["draining deletion"]); code != "" {
			t.Fatal(code)
		}
		if got := mustAct(t, s, "carol", &DeleteBinding{ID: "B2"}); got != CodeLastAdmin {
			t.Errorf("one admin is being deleted and the other's binding goes: refused %q", got)
		}
	})
}

func TestRolesGoWithTheirAccount(t *testing.T) {
	s := withCompany(t)
	mustAct(t, s, "alice", &CreateBinding{ID: "B2", Role: "developer", Account: "bob", Scope: "*"})
	mustAct(t, s, "alice", &DeleteAccount{Name: "bob"})
	mustView(t, s, func(v *View) {
		if left := v.BindingsOf("bob", nil); len(left) != 0 {
			t.Errorf("a deleted account left %v", left)
		}
		var last []EventType
		for _, e := range v.Events(s.Index()-1, 10) {
			last = append(last, e.Type)
		}
		if want := []EventType{EventRoleUnbound, EventGroupUpdated, EventAccountDeleted}; !slices.Equal(last, want) {
			t.Errorf("history has %v", last)
		}
		if got := v.GroupsOf("alice"); len(got) != 1 || got[0] != "staff" {
			t.Errorf("alice is in %v", got)
		}
	})
}

func TestScopesCover(t *testing.T) {
	for _, one := range []struct {
		scope, other Scope
		want         bool
	}{
		{"*", "*", true}, {"*", "payments/*", true}, {"*", "payments/production/orders", true},
		{"payments/*", "*", false}, {"payments/*", "payments/*", true}, {"payments/*", "payments/production", true},
		{"payments/*", "payments/production/orders", true}, {"payments/*", "payments2/production", false},
		{"payments/production", "payments/*", false}, {"payments/production", "payments/production/orders", true},
		{"payments/production", "payments/production2", false}, {"payments/production", "payments/production2/orders", false},
		{"payments/production/orders", "payments/production", false}, {"payments/production/orders", "payments/production/orders", true},
		{"payments/production/orders", "payments/production/orders2", false},
	} {
		if got := one.scope.Covers(one.other); got != one.want {
			t.Errorf("%s covers %s: %v", one.scope, one.other, got)
		}
	}
}

func FuzzScope(f *testing.F) {
	for _, s := range []string{"*", "payments/*", "payments/production", "payments/production/orders", "a/b/c/d", "*/b", "a/*/c", "", "/"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !ValidScope(a) || !ValidScope(b) {
			return
		}
		one, other := Scope(a), Scope(b)
		if !one.Covers(one) || !Everywhere.Covers(one) {
			t.Errorf("%q does not cover itself, or is not covered by everything", a)
		}
		if one != other && one.Covers(other) && other.Covers(one) {
			t.Errorf("%q and %q cover each other", a, b)
		}
	})
}

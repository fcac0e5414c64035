package fsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// mustRestoredPlayer plays a scenario and restores it as a new life.
func mustRestoredPlayer(t *testing.T, drill bool, lines ...string) *player {
	t.Helper()
	p := mustPlay(t, lines...)
	p.restore(drill)
	return p
}

// A state that was restored goes on at an index and a term that nobody has seen, says so in its history, and
// is the same from a snapshot.
func TestBeginLife(t *testing.T) {
	p := mustRestoredPlayer(t, false)
	if r := p.state.Restored(); r == nil || r.Drill {
		t.Errorf("mark: %+v", r)
	}
	again := mustRestore(t, p.state)
	mustView(t, again, func(v *View) {
		m := v.Meta()
		if m.Index != lifeSpan || m.Term != termsSpan || m.Restored == nil {
			t.Errorf("meta: %+v", m)
		}
		e := v.Events(lifeSpan-1, 10)
		if len(e) != 1 || e[0].Type != EventClusterRestored {
			t.Errorf("events: %+v", e)
		}
	})
	if again.Restored() == nil {
		t.Error("a restored snapshot has lost the mark")
	}
	if err := p.state.BeginLife(Life{Index: 7, Term: 7}); err == nil {
		t.Error("a life began in the past")
	}
	if err := mustOpen(t).BeginLife(Life{Index: 7, Term: 7}); err == nil {
		t.Error("a life began from nothing")
	}
}

// While the mark stands no command is taken that authorises a change outside; afterwards the same is.
func TestFrozen(t *testing.T) {
	p := mustRestoredPlayer(t, false)
	for name, make := range newBody {
		body := make()
		got := p.step(`1m ` + name + ` {}`)
		refused := strings.HasPrefix(got, "! "+string(CodeClusterRestored))
		if refused != frozen[body.commandType()] {
			t.Errorf("%s: refused as restored %v: %s", name, refused, got)
		}
	}
	if got := p.step(`1m prepare_lease {}`); !strings.Contains(got, "brokerctl snapshot diff") {
		t.Errorf("the refusal names no next command: %s", got)
	}
	if got := p.step(`1m create_lock {"ID":"K1","Scope":{"Environment":"*"},"Reason":"r","Revoke":{"Operation":{"ID":"O1","Kind":"revoke"}}}`); !strings.HasPrefix(got, "! "+string(CodeClusterRestored)) {
		t.Errorf("a lock that revokes: %s", got)
	}
}

// A system that is replaced while the cluster is frozen is kept: unknown logins may be there.
func TestFrozenKeepsReplacedSystems(t *testing.T) {
	p := mustRestoredPlayer(t, false)
	p.step(`1m update_connection {"Name":"orders-db","System":{"New":true,"Number":3,"Identity":"sys-2","Settings":"e30=","Sealed":"eA=="}}`)
	mustView(t, p.state, func(v *View) {
		if n := len(v.Systems("orders-db")); n != 2 {
			t.Errorf("%d systems are known, want both", n)
		}
	})
	got := p.step(`2m record_sweep {"Connection":"orders-db","System":3,"BeganAt":"@2m","Complete":true,"Quarantine":"~1m"}`)
	if strings.HasPrefix(got, "!") {
		t.Fatal(got)
	}
	p.step(fmt.Sprintf(`3m record_sweep {"Connection":"orders-db","System":%d,"BeganAt":"@3m","Complete":true}`, p.state.Index()-1))
	p.step(`4m release_restored {"Unknown":"report","Reason":"r"}`)
	if p.state.Restored() != nil {
		t.Fatal("it was not released")
	}
	p.step(`5m record_sweep {"Connection":"orders-db","System":3,"BeganAt":"@5m","Complete":true,"Quarantine":"~1m"}`)
	mustView(t, p.state, func(v *View) {
		if n := len(v.Systems("orders-db")); n != 1 {
			t.Errorf("%d systems are known after the release and a sweep, want one", n)
		}
	})
}

// A drill can never be released.
func TestDrillIsForEver(t *testing.T) {
	p := mustRestoredPlayer(t, true)
	for _, line := range []string{`1m release_restored {"Unknown":"report","Reason":"r"}`, `1m adopt_unknown {"TTL":"~1h"}`} {
		if got := p.step(line); !strings.HasPrefix(got, "! "+string(CodeClusterRestored)) || !strings.Contains(got, "drill") {
			t.Errorf("%s: %s", line, got)
		}
	}
}

// Nodes of the life before are not believed any more, but for the one that goes on; those of a running cluster
// whose state is replaced stay its members, and what the older state says of members counts for nothing.
func TestWhoBelongsToANewLife(t *testing.T) {
	enrolled := func(t *testing.T) *State {
		p := mustPlay(t)
		for _, n := range []Node{{Name: "n1", Key: []byte("k1")}, {Name: "n2", Key: []byte("k2")}} {
			if err := p.state.BeginLife(Life{Index: p.state.Index() + 1, Term: p.term, Belonging: &Belonging{Nodes: append(nodesOf(t, p.state), n)}}); err != nil {
				t.Fatal(err)
			}
		}
		return p.state
	}
	for name, c := range map[string]struct {
		life Life
		want string
	}{
		"restored on a new node": {Life{Node: Node{Name: "n1", Key: []byte("new")}}, "n1:k1:removed n2:k2:removed n1:new:member"},
		"recovered":              {Life{Node: Node{Name: "n2"}}, "n1:k1:removed n2:k2:member"},
		"replaced":               {Life{Belonging: &Belonging{Nodes: []Node{{Name: "n3", Key: []byte("k3")}}}}, "n3:k3:member"},
	} {
		s := enrolled(t)
		c.life.Index, c.life.Term = NextLife(s.Index(), 1)
		if err := s.BeginLife(c.life); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range nodesOf(t, s) {
			got = append(got, n.Name+":"+string(n.Key)+":"+map[bool]string{true: "removed", false: "member"}[n.RemovedAt != 0])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
		mustView(t, s, func(v *View) {
			if v.Meta().Trust != c.life.Index {
				t.Errorf("%s: nobody hears of it: %d", name, v.Meta().Trust)
			}
		})
	}
	s := enrolled(t)
	if err := s.BeginLife(Life{Index: 1000, Term: 9, Node: Node{Name: "n9"}}); err == nil || s.Restored() != nil {
		t.Errorf("a node that is no member goes on: %v", err)
	}
}

// A node that was let in after the snapshot is no member by the authority or the key of gossip that it has.
func TestANewLifeHasItsOwnAuthority(t *testing.T) {
	p := mustPlay(t,
		`> 1s rotate_authority {"Certificate":"YTE=","Sealed":"czE="}`, `> 1s rotate_authority {"Certificate":"YTI=","Sealed":"czI="}`,
		`> 1s rotate_gossip_key {"Sealed":"ZzE="}`, `> 1s rotate_gossip_key {"Sealed":"ZzI="}`)
	life := Life{
		Restored: &Restored{}, Node: Node{Name: "n1", Key: []byte("new")},
		Authority: &Authority{Certificate: []byte("a3"), Sealed: []byte("s3")}, GossipKey: []byte("g3"),
	}
	life.Index, life.Term = NextLife(p.state.Index(), 1)
	if err := p.state.BeginLife(life); err != nil {
		t.Fatal(err)
	}
	mustView(t, p.state, func(v *View) {
		if a := v.Authorities(); len(a) != 1 || string(a[0].Certificate) != "a3" || string(a[0].Sealed) != "s3" || len(a[0].Adopted) != 0 {
			t.Errorf("authorities: %+v", a)
		}
		if k := v.GossipKeys(); len(k) != 1 || string(k[0].Sealed) != "g3" {
			t.Errorf("keys of gossip: %+v", k)
		}
	})
}

// A join token that was used up or deleted after the snapshot is not good again, whoever belongs to the new life.
func TestANewLifeKnowsNoJoinTokens(t *testing.T) {
	for name, life := range map[string]Life{
		"restored": {Restored: &Restored{}, Node: Node{Name: "n1", Key: []byte("new")}},
		"replaced": {Restored: &Restored{}, Belonging: &Belonging{Nodes: []Node{{Name: "n3", Key: []byte("k3")}}}},
	} {
		p := mustPlay(t, `> 1s create_join_token {"ID":"J2","Hash":"ajI=","MaxUses":2,"TTL":"~30m"}`)
		life.Index, life.Term = NextLife(p.state.Index(), 1)
		if err := p.state.BeginLife(life); err != nil {
			t.Fatal(err)
		}
		mustView(t, p.state, func(v *View) {
			if left := v.JoinTokens("", 10); len(left) != 0 {
				t.Errorf("%s: %+v", name, left)
			}
			if e := v.Events(life.Index-1, 10); len(e) == 0 || !slices.ContainsFunc(e, func(e Event) bool { return e.Type == EventJoinTokenDeleted && e.Subject == "J2" }) {
				t.Errorf("%s: the history does not tell: %+v", name, e)
			}
		})
	}
}

func nodesOf(t *testing.T, s *State) (list []Node) {
	t.Helper()
	mustView(t, s, func(v *View) { list = v.Nodes() })
	return list
}

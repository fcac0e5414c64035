package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/internal/faultproxy"
	"broker/providers/postgres/postgrestest"
)

var (
	partitionRounds = flag.Int("e2e.partition-rounds", 1, "how often every partition is tried")
	partitionLength = flag.Duration("e2e.partition-length", 4*time.Second, "how long each lasts")
	partitionProxy  = flag.Bool("e2e.partition-proxies", false, "separate nodes by proxies also where there are network namespaces")
)

// partition is a way in which three nodes can be separated: the leader (0) and its followers (1, 2).
type partition struct {
	name string
	cuts [][2]int // what the first of the two says does not reach the second
	// cutOff is the node that no quorum hears or that hears none; -1: each is in touch with one.
	cutOff int
	// side are the nodes that go on: they are in touch with each other, and can be with who leads.
	side []int
}

// deposes reports whether the leader cannot go on leading.
func (p partition) deposes() bool { return p.cutOff == 0 }

func partitions() []partition {
	return []partition{
		{"the leader alone", [][2]int{{0, 1}, {1, 0}, {0, 2}, {2, 0}}, 0, []int{1, 2}},
		{"nobody hears the leader", [][2]int{{0, 1}, {0, 2}}, 0, []int{1, 2}},
		{"the leader hears nobody", [][2]int{{1, 0}, {2, 0}}, 0, []int{1, 2}},
		{"a follower alone", [][2]int{{0, 2}, {2, 0}, {1, 2}, {2, 1}}, 2, []int{0, 1}},
		{"nobody hears a follower", [][2]int{{2, 0}, {2, 1}}, 2, []int{0, 1}},
		{"a follower hears nobody", [][2]int{{0, 2}, {1, 2}}, 2, []int{0, 1}},
		{"a follower is the bridge", [][2]int{{0, 2}, {2, 0}}, -1, []int{0, 1}},
		{"the leader is the bridge", [][2]int{{1, 2}, {2, 1}}, -1, []int{0, 1, 2}},
		{"one does not hear the leader", [][2]int{{0, 2}}, -1, []int{0, 1}},
		{"the leader does not hear one", [][2]int{{2, 0}}, -1, []int{0, 1}},
	}
}

// battlefield is three nodes whose connections can be cut, a database that all of them reach, and the crew.
type battlefield struct {
	*crew
	town  *town
	wires wires
	house *house // for what it knows of ledger and database
	admin *client.Client
}

const battleNodes = 3

func newBattlefield(t *testing.T, h *hosts) *battlefield {
	t.Helper()
	b := &battlefield{}
	if h.virtual {
		b.wires = &cables{h: h}
	} else {
		b.wires = newSwitchboard(t, h, battleNodes)
	}
	b.town = foundOn(h, battleNodes)
	b.town.mustRun(0, b.town.token, b.town.login)
	b.town.waitWhole(0, battleNodes)
	b.crew = hire(t, b.town, battleNodes)
	var err error
	b.admin, err = client.New(client.Config{Addresses: b.addresses, Token: b.token, Transport: b.transport[0]})
	if err != nil {
		t.Fatal(err)
	}
	b.house = &house{t: t, pg: postgrestest.Start(t)}
	b.house.rootPassword = b.house.pg.MustPrepare(t)
	spec := b.house.connectionSpec("orders-db")
	authority, err := b.house.pg.EnableTLS(t.Context(), "database")
	if err != nil {
		t.Fatal(err)
	}
	spec.Settings["host"], spec.Settings["port"] = h.address(battleNodes), b.database()
	spec.Settings["sslmode"], spec.Settings["sslrootcert"] = "verify-ca", authority
	must(t)(b.admin.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "payments/production"}))
	must(t)(b.admin.CreateConnection(t.Context(), spec))
	must(t)(b.admin.CreateSecret(t.Context(), "payments/production", secretSpec("orders-ro", "DB")))
	return b
}

// database brings the database to the last host and returns its port there. It is a little away, as others are.
func (b *battlefield) database() int {
	b.t.Helper()
	listener := b.town.mustListen(battleNodes, "0")
	dial := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", postgrestest.Host, b.house.pg.Port))
	}
	var there, back faultproxy.Way
	there.Delay(time.Millisecond, time.Millisecond)
	back.Delay(time.Millisecond, time.Millisecond)
	p := faultproxy.NewTCP(listener, dial, func(net.Addr) (*faultproxy.Way, *faultproxy.Way) { return &there, &back })
	b.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// Clients at every node issue, renew, revoke and read, short leases end, and the nodes are separated in every
// way that three can be. What the clients saw is what one machine would have shown; every key gave one
// credential; sessions went forward; whoever was cut off confirmed nothing; ledger and database agree. No
// election comes of load, or of a node that comes back.
func TestPartitions(t *testing.T) {
	hosts := newHosts
	if *partitionProxy {
		hosts = newLocalHosts
	}
	b := newBattlefield(t, hosts(t, battleNodes+1))
	b.work()
	b.load("all nodes at work", 12)
	for range *partitionRounds {
		for _, p := range partitions() {
			b.fight(p)
		}
		b.flap()
	}
	b.judge()
}

// The same through proxies, which can also delay and lose: a bad network causes no election, and what clients see
// is what one machine would have shown.
func TestBadNetwork(t *testing.T) {
	b := newBattlefield(t, newLocalHosts(t, battleNodes+1))
	s := b.wires.(*switchboard)
	b.work()
	for from := range s.ways {
		for to := range s.ways[from] {
			s.ways[from][to].Delay(5*time.Millisecond, 5*time.Millisecond)
			s.ways[from][to].Lose(0.005)
		}
	}
	b.load("delays and losses", 0)
	b.wires.heal()
	b.fight(partitions()[0])
	b.judge()
}

// judge ends the work and looks at what has come of it.
func (b *battlefield) judge() {
	b.t.Helper()
	b.stop()
	b.settle()
	b.checkRefusals(b.t)
	b.checkKeys(b.t)
	b.checkSessions(b.t)
	b.checkSightings(b.t)
	b.checkLeases(b.t)
}

// last waits for a time.
func (b *battlefield) last(length time.Duration) {
	b.t.Helper()
	from := b.now()
	eventually(b.t, length+time.Minute, "time passes", func() bool { return b.now()-from >= length })
}

// load is the crew at work, and clients that press, while all nodes reach each other.
func (b *battlefield) load(what string, pressing int) {
	b.t.Helper()
	eventually(b.t, time.Minute, "some leases", func() bool { return b.count(issuing, wasDone) > 20 })
	before, _ := b.terms()
	from, issued := b.now(), b.count(issuing, wasDone)
	relieve := b.press(pressing)
	b.last(6 * time.Second)
	after, _ := b.terms()
	relieve()
	if !slices.Equal(before, after) {
		b.t.Errorf("%s: an election by load alone: terms %v became %v", what, before, after)
	}
	b.t.Logf("%s: %d leases in %s, never more than %s without one", what, b.count(issuing, wasDone)-issued, short(b.now()-from), short(b.unavailable([]int{0, 1, 2}, from, b.now())))
}

// fight separates the nodes, lets them be one again, and judges what is known at once.
func (b *battlefield) fight(p partition) {
	b.t.Helper()
	before, leader := b.terms()
	first := slices.Index(b.town.names, leader)
	if first < 0 {
		b.t.Fatalf("%s: nobody leads", p.name)
	}
	nodes := []int{first, (first + 1) % battleNodes, (first + 2) % battleNodes}
	if rand.N(2) == 0 {
		nodes[1], nodes[2] = nodes[2], nodes[1]
	}
	for _, c := range p.cuts {
		b.wires.cut(nodes[c[0]], nodes[c[1]])
	}
	from, length := b.now(), *partitionLength
	if !p.deposes() {
		length = length * 3 / 4 // nobody has to be elected meanwhile
	}
	b.last(length)
	during, _ := b.terms()
	to := b.now()
	b.wires.heal()

	if p.cutOff >= 0 {
		b.silent(b.t, nodes[p.cutOff], from, to)
	}
	var side []int
	term := uint64(0)
	for _, one := range p.side {
		side = append(side, nodes[one])
		term = max(term, during[nodes[one]])
	}
	gap := b.unavailable(side, from, to)
	if gap >= to-from {
		b.t.Errorf("%s: the other nodes issued nothing in %s", p.name, to-from)
	}
	b.whole(p.name, to)
	whole := b.now()
	b.last(time.Second)
	after, _ := b.terms()
	if !p.deposes() && term != before[nodes[0]] {
		b.t.Errorf("%s: an election nobody needed: terms %v became %v", p.name, before, during)
	}
	for node, one := range after {
		if one != term {
			b.t.Errorf("%s: coming back raised the term from %d to %d at node %d", p.name, term, one, node+1)
		}
	}
	b.t.Logf("%-28s %s; clients of the nodes that go on had no lease for %s; all nodes issued %s after; term %d, %d, %d",
		p.name, short(to-from), short(gap), short(whole-to), before[nodes[0]], term, after[nodes[0]])
}

// flap cuts some directions or others for moments.
func (b *battlefield) flap() {
	b.t.Helper()
	from, changes := b.now(), 0
	for ; b.now()-from < *partitionLength; changes++ {
		for range 1 + rand.N(3) {
			one := rand.N(battleNodes)
			b.wires.cut(one, (one+1+rand.N(battleNodes-1))%battleNodes)
		}
		b.last(rand.N(time.Second))
		b.wires.heal()
		b.last(rand.N(500 * time.Millisecond))
	}
	to := b.now()
	b.whole("flapping", to)
	after, _ := b.terms()
	b.t.Logf("%-28s %s, %d times; no lease for %s; all nodes issued %s after; term %d", "flapping", short(to-from), changes, short(b.unavailable([]int{0, 1, 2}, from, to)), short(b.now()-to), after[0])
}

// whole waits until every node issues again.
func (b *battlefield) whole(after string, at time.Duration) {
	b.t.Helper()
	eventually(b.t, time.Minute, "after "+after+" every node issues again", func() bool {
		back := map[int]bool{}
		for _, d := range b.list() {
			if d.verb == issuing && d.outcome == wasDone && d.call > at {
				back[d.node] = true
			}
		}
		return len(back) == battleNodes
	})
}

// settle waits until nothing is under way any more, and compares ledger, history and database with each other and
// with what clients were told.
func (b *battlefield) settle() {
	b.t.Helper()
	t := b.t
	eventually(t, 60*time.Second, "all has ended whose time was over", func() bool {
		soon := time.Now().Add(10 * time.Minute)
		return !slices.ContainsFunc(b.house.leases(b.admin, "pending", "active", "revoking"), func(l types.Lease) bool {
			return l.State != "active" || l.ExpiresAt.Before(soon)
		})
	})
	known, live := map[string]types.Lease{}, map[string]bool{}
	var latest time.Duration
	for _, l := range b.house.leases(b.admin) {
		known[l.ID] = l
		if l.Cause == "expire" {
			late := l.RevokingAt.Sub(l.ExpiresAt)
			if latest = max(latest, late); late < 0 {
				t.Errorf("lease %s was ended %s early", l.ID, -late)
			}
		}
		if l.State == "active" {
			live[l.Username] = true
		}
	}
	logins := b.house.logins()
	for name := range logins {
		if !live[name] {
			t.Errorf("login %s belongs to no live lease", name)
		}
	}
	for name := range live {
		if !logins[name] {
			t.Errorf("an active lease has no login %s", name)
		}
	}
	b.checkEvents(known)
	acknowledged := map[string]bool{}
	for _, d := range b.list() {
		if d.verb != issuing || d.outcome != wasDone || acknowledged[d.lease] {
			continue
		}
		acknowledged[d.lease] = true
		final, there := known[d.lease]
		if !there {
			t.Errorf("an acknowledged lease is gone: %s", d)
			continue
		}
		b.record(deed{verb: reading, mode: types.Linearizable, client: "judge", lease: d.lease, seen: final, call: b.now()}, nil)
	}
	t.Logf("%d leases acknowledged, %d in the ledger, %d live; %d requests of unknown outcome; ends began at most %s late", len(acknowledged), len(known), len(live), b.unknowns(), latest)
}

func (b *battlefield) unknowns() (n int) {
	for _, v := range []verb{issuing, renewing, revoking} {
		n += b.count(v, wasUnknown)
	}
	return n
}

// checkEvents holds that the history of each lease tells all that was done with it.
func (b *battlefield) checkEvents(known map[string]types.Lease) {
	b.t.Helper()
	told := map[string]map[string]int{}
	for id := range known {
		told[id] = map[string]int{}
	}
	for page := (client.ListOptions{Limit: 500}); ; {
		events, err := b.admin.ListEvents(b.t.Context(), client.EventQuery{}, page)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, e := range events.Items {
			if told[e.LeaseID] != nil {
				told[e.LeaseID][e.Type]++
			}
		}
		if page.Cursor = events.NextCursor; page.Cursor == "" {
			break
		}
	}
	for _, d := range b.list() {
		events := told[d.lease]
		missing := d.verb == issuing && (events["lease.prepared"] != 1 || events["lease.issued"] != 1) || d.verb == revoking && events["lease.revoking"] != 1
		if d.outcome == wasDone && missing {
			b.t.Errorf("history tells %v of %s", events, d)
		}
	}
	for id, l := range known {
		if told[id]["lease.renewed"] != l.Renewals {
			b.t.Errorf("lease %s was renewed %d times, and history tells of %d", id, l.Renewals, told[id]["lease.renewed"])
		}
	}
}

package apitest

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/access"
	"broker/access/audit"
	"broker/access/audit/chain"
	"broker/api"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
	"broker/seal"
)

// Token is the token of the account "admin" at every Kit.
const Token = "brk_0000000000000000000000000000000000000000000000000000ff9wxdr"

// RootPassword is what the fake outside system takes as the password of a connection.
const RootPassword = "canary-root-password"

// Kit is one broker with its API.
type Kit struct {
	URL     string // of the API at the leader
	State   *fsm.State
	Keyring *seal.Keyring
	Broker  *broker.Broker
	Fake    *providertest.Fake // the outside system behind provider "fake"
	Cluster *Cluster           // the leader's
	Members *Members
	Server  *api.Server

	config api.Config
	log    *journal
	stop   context.CancelFunc
	over   chan error // of the leadership period
}

// lead begins a leadership period.
func (k *Kit) lead() {
	var leading context.Context
	leading, k.stop = context.WithCancel(context.Background())
	over, term := make(chan error, 1), k.log.term
	k.over = over
	go func() { over <- k.Broker.Lead(leading, term) }()
}

func (k *Kit) depose(t testing.TB) {
	t.Helper()
	k.stop()
	must(t, <-k.over)
}

// Restore has the cluster begin anew from what its state is, as after a restore from a snapshot.
func (k *Kit) Restore(t testing.TB, drill bool) {
	t.Helper()
	k.depose(t)
	k.log.mu.Lock()
	defer k.log.mu.Unlock()
	now := fsm.At(time.Now())
	k.log.index, k.log.term = fsm.NextLife(k.State.Index(), k.log.term)
	must(t, k.State.BeginLife(fsm.Life{
		Index: k.log.index, Term: k.log.term, Restored: &fsm.Restored{At: now, CreatedAt: now, Drill: drill},
	}))
	k.lead()
}

// clusterID is the id of the cluster.
const clusterID = "01TESTCLUSTER"

// Start returns a Kit that leads and holds the account "admin" and nothing else. Change may alter the
// API's configuration; nil changes nothing.
func Start(t testing.TB, change func(*api.Config)) *Kit {
	t.Helper()
	dir := t.TempDir()
	state, err := fsm.Open(fsm.Config{Dir: filepath.Join(dir, "state")})
	must(t, err)
	keyPath := filepath.Join(dir, "keys", "key")
	must(t, seal.Create(keyPath))
	keyring, err := seal.Load(keyPath)
	must(t, err)

	fake := providertest.NewFake()
	fake.SetRootPassword(RootPassword)
	registry, err := providers.NewRegistry(fake.Provider(), fake.Fixed(), providertest.Authority{})
	must(t, err)
	log := &journal{state: state, term: 1}
	decider, err := access.New(access.DeciderConfig{State: state})
	must(t, err)
	b, err := broker.New(broker.Config{
		State: state, Log: log, Providers: registry, Keyring: keyring, Sealing: sealing{keyring}, NodeID: "n1", Rules: decider,
		Timing: broker.Timing{
			RevokeWait: time.Second, Tick: 10 * time.Millisecond,
			// A lease whose login sticks is shown as stuck within the wait of a revoke request.
			RetryMin: 20 * time.Millisecond, RetryMax: 50 * time.Millisecond, StuckAfter: 3,
			Quarantine: time.Millisecond,
		},
	})
	must(t, err)
	tokenHash, err := access.HashToken(keyring, Token)
	must(t, err)
	first, err := newAuthority()
	must(t, err)
	must(t, b.Init(context.Background(), 1, broker.InitSpec{
		ClusterID: clusterID, Account: "admin", TokenHash: tokenHash, Accessor: "01TESTACCESSOR",
		Authority: &fsm.RotateAuthority{Certificate: first.Certificate(), Sealed: []byte("sealed")},
		Roles:     []fsm.RoleName{fsm.RoleAdmin, "developer"},
	}))

	kit := &Kit{State: state, Keyring: keyring, Broker: b, Fake: fake, Cluster: &Cluster{ID: "n1", state: state}, log: log}
	kit.lead()
	t.Cleanup(func() {
		kit.depose(t)
		must(t, state.Close())
	})

	kit.Cluster.SetLeader("n1")
	kit.Members = &Members{Cluster: kit.Cluster}
	kit.config = api.Config{
		Broker: b, State: api.StateOf(state), Cluster: kit.Cluster, Members: kit.Members, Providers: registry, Documents: b, Authorizer: api.AllowAll{},
		Authenticator:  &access.Tokens{State: state, Hasher: keyring},
		Credentials:    access.NewCredentials(access.CredentialsConfig{Records: state, Keyring: keyring}),
		Status:         kit.Cluster.Status,
		Trust:          first,
		AuditHash:      func(value string) (string, error) { return audit.Hash(keyring, value) },
		Access:         decider,
		RequestTimeout: 10 * time.Second, LeaderTimeout: 5 * time.Second, RetryPause: 2 * time.Millisecond,
	}
	if change != nil {
		change(&kit.config)
	}
	kit.Server, kit.URL = kit.serve(t, kit.config)
	return kit
}

// Follower starts the API of another node, which sees the same state and forwards to the leader.
func (k *Kit) Follower(t testing.TB, id string, change func(*api.Config)) (string, *Cluster) {
	t.Helper()
	cluster := &Cluster{ID: id, state: k.State, Transport: Forward(k.Server.Forwarded())}
	cluster.SetLeader("n1")
	config := k.config
	config.Cluster, config.Status = cluster, cluster.Status
	if change != nil {
		change(&config)
	}
	_, url := k.serve(t, config)
	return url, cluster
}

// Another serves the same state as the same leading node, with another configuration.
func (k *Kit) Another(t testing.TB, change func(*api.Config)) (*api.Server, string) {
	t.Helper()
	config := k.config
	change(&config)
	server, err := api.New(config)
	must(t, err)
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	return server, listening.URL
}

func (k *Kit) serve(t testing.TB, config api.Config) (*api.Server, string) {
	t.Helper()
	server, err := api.New(config)
	must(t, err)
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	switch cluster := config.Cluster.(type) {
	case *Cluster:
		cluster.setURL(listening.URL)
	}
	return server, listening.URL
}

// Index returns the index of the newest entry of the log.
func (k *Kit) Index(t testing.TB) uint64 {
	t.Helper()
	var index uint64
	must(t, k.State.View(func(v *fsm.View) error {
		index = v.Meta().Index
		return nil
	}))
	return index
}

// Anchor has the head of an audit log remembered.
func (k *Kit) Anchor(t testing.TB, node string, head chain.Head) {
	t.Helper()
	_, err := k.Broker.AnchorAudit(context.Background(), broker.Request{Actor: fsm.Actor{Node: node}},
		fsm.AnchorAudit{Node: node, Chain: head.Chain, Seq: head.Seq, Head: head.Hash[:]})
	must(t, err)
}

// Prune forgets all history up to now that belongs to no lease.
func (k *Kit) Prune(t testing.TB) {
	t.Helper()
	// What is kept for less than no time is old at once.
	prune, err := fsm.NewCommand(&fsm.Prune{KeyTTL: time.Hour, HistoryTTL: -time.Minute, Limit: 1000}, time.Now(), fsm.Actor{}, 1)
	must(t, err)
	data, err := prune.Encode()
	must(t, err)
	_, _, err = k.log.Propose(t.Context(), data)
	must(t, err)
}

// journal is a log of one process: what is proposed is applied at once.
type journal struct {
	mu    sync.Mutex
	index uint64
	term  uint64
	state *fsm.State

	entries [][]byte
}

// Entries returns every entry of the log so far.
func (k *Kit) Entries() [][]byte {
	k.log.mu.Lock()
	defer k.log.mu.Unlock()
	return slices.Clone(k.log.entries)
}

// Propose applies the command as the next entry.
func (j *journal) Propose(_ context.Context, command []byte) (any, uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.index++
	j.entries = append(j.entries, command)
	result := j.state.Apply(&raft.Log{Index: j.index, Term: j.term, Type: raft.LogCommand, Data: command})
	return result, j.index, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// status describes a cluster of the nodes n1 and the one asked.
func (c *Cluster) status() types.Cluster {
	var index uint64
	_ = c.state.View(func(v *fsm.View) error { // a closed state has no index
		index = v.Meta().Index
		return nil
	})
	out := types.Cluster{
		ID: clusterID, Node: c.ID, Leader: c.leader, Term: 1, AppliedIndex: index, CommitIndex: index,
		Members: []types.Member{{ID: c.ID, APIAddress: c.url, Voter: true, State: "voter", Alive: true, Leader: c.leader == c.ID, AppliedIndex: index}},
	}
	if c.ID != "n1" {
		out.Members = append(out.Members, types.Member{ID: "n1", Voter: true, State: "voter", Alive: c.leader == "n1", Leader: c.leader == "n1"})
	}
	return out
}

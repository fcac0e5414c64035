package cluster_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
	"broker/cluster/trust"
)

// club is a cluster's authority and the identities that it has certified.
type club struct {
	t         *testing.T
	id        string
	first     *trust.Identity
	authority *trust.Authority
}

func newClub(t *testing.T, id string) *club {
	t.Helper()
	first, err := trust.Create(t.TempDir(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Begin(id, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	authority, err := trust.OpenAuthority(first.Known().Authorities[0], first.Birth().AuthorityKey)
	if err != nil {
		t.Fatal(err)
	}
	return &club{t: t, id: id, first: first, authority: authority}
}

// admit certifies a node, without the others' hearing of it.
func (c *club) admit(name string) *trust.Identity {
	c.t.Helper()
	id, err := trust.Create(c.t.TempDir(), name)
	if err != nil {
		c.t.Fatal(err)
	}
	der, err := c.authority.SignNode(id.PublicKey(), c.id, name, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	known := trust.Known{Version: 1, Authorities: [][]byte{c.authority.Certificate()}}
	if err := id.Join(c.id, der, nil, known); err != nil {
		c.t.Fatal(err)
	}
	return id
}

func mustListen(t *testing.T, network cluster.Network, clusterID string) cluster.Port {
	t.Helper()
	port, err := network.Listen("127.0.0.1:0", clusterID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := port.Close(); err != nil {
			t.Error(err)
		}
	})
	return port
}

// echoAt answers the first bytes of each connection of a protocol.
func echoAt(port cluster.Port, protocol string) {
	l := port.Protocol(protocol)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
}

func mustEcho(t *testing.T, conn net.Conn) {
	t.Helper()
	got := make([]byte, 5)
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
}

// Members speak every protocol with each other; all others get a reason and no byte of a protocol.
func TestTLSTellsMembersFromOthers(t *testing.T) {
	ours, theirs := newClub(t, "ours"), newClub(t, "theirs")
	port := mustListen(t, cluster.NewTLS(ours.first, nil, nil), "ours")
	addr := port.Addr().String()
	for _, protocol := range []string{cluster.ProtocolRaft, cluster.ProtocolForward, cluster.ProtocolPeer, cluster.ProtocolJoin} {
		echoAt(port, protocol)
	}
	dial := func(id *trust.Identity, protocol string, removed func()) (net.Conn, error) {
		return cluster.NewTLS(id, nil, removed).Dial(within(t, 5*time.Second), addr, protocol, "ours")
	}

	member := ours.admit("n2")
	for _, protocol := range []string{cluster.ProtocolRaft, cluster.ProtocolForward, cluster.ProtocolPeer} {
		conn, err := dial(member, protocol, nil)
		if err != nil {
			t.Fatalf("a member, %s: %v", protocol, err)
		}
		mustEcho(t, conn)
		_ = conn.Close()
	}
	if _, err := dial(member, "gopher/1", nil); err == nil {
		t.Error("an unknown protocol is spoken")
	}
	if _, err := dial(theirs.admit("n2"), cluster.ProtocolRaft, nil); !errors.Is(err, cluster.ErrForeignCluster) {
		t.Errorf("a member of another cluster: %v", err)
	}

	// A stranger with its own authority that claims to be of this cluster, and believes whomever it meets.
	impostor := newClub(t, "ours").admit("n2")
	own := impostor.Certificate()
	stranger := func(protocol string, certificates ...tls.Certificate) error {
		raw, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{protocol}, Certificates: certificates,
		})
		if err != nil {
			return err
		}
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := raw.Write([]byte("hello")); err != nil {
			return err
		}
		head := make([]byte, 3)
		if _, err := io.ReadFull(raw, head); err != nil {
			return err
		}
		if head[0] != 0 {
			reason, _ := io.ReadAll(raw)
			return errors.New(string(reason))
		}
		return nil
	}
	for _, protocol := range []string{cluster.ProtocolRaft, cluster.ProtocolForward, cluster.ProtocolPeer} {
		if err := stranger(protocol, *own); err == nil || !strings.Contains(err.Error(), "not that of a member") {
			t.Errorf("a self-made member, %s: %v", protocol, err)
		}
		if err := stranger(protocol); err == nil {
			t.Errorf("without a certificate %s is spoken", protocol)
		}
	}
	if err := stranger(cluster.ProtocolJoin); err != nil {
		t.Errorf("a stranger that wants to join: %v", err)
	}

	// And who is removed is out, at once and for good.
	conn, err := dial(member, cluster.ProtocolRaft, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, conn)
	network := cluster.NewTLS(ours.first, nil, nil)
	second := mustListen(t, network, "ours")
	echoAt(second, cluster.ProtocolRaft)
	open, err := cluster.NewTLS(member, nil, nil).Dial(within(t, 5*time.Second), second.Addr().String(), cluster.ProtocolRaft, "ours")
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, open)
	key, err := trust.HashKey(member.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	known := ours.first.Known()
	known.Version, known.Removed = 9, []trust.MemberKey{{NodeID: "n2", Key: key}}
	if _, err := ours.first.Learn(known); err != nil {
		t.Fatal(err)
	}
	network.Cut()
	_ = open.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := open.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the open connection of a removed node: %v", err)
	}
	told := false
	if _, err := dial(member, cluster.ProtocolRaft, func() { told = true }); !errors.Is(err, cluster.ErrRemoved) || !told {
		t.Errorf("a removed node: %v, told %t", err, told)
	}
}

// Whoever connects and says nothing does not keep members out.
func TestTLSGreetingsAreBounded(t *testing.T) {
	t.Parallel()
	club := newClub(t, "ours")
	port := mustListen(t, cluster.NewTLS(club.first, nil, nil), "ours")
	echoAt(port, cluster.ProtocolRaft)
	for range 400 { // more than are greeted at a time
		conn, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	network := cluster.NewTLS(club.admit("n2"), nil, nil)
	clustertest.Eventually(t, "a member to get through", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := network.Dial(ctx, port.Addr().String(), cluster.ProtocolRaft, "ours")
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// Strangers that stay connected, or are slow, do not use up what members need.
func TestTLSStrangersAreBounded(t *testing.T) {
	t.Parallel()
	club := newClub(t, "ours")
	cfg := plain(t, "n1")
	cfg.ClusterID, cfg.Init, cfg.Network = "ours", true, cluster.NewTLS(club.first, nil, nil)
	cfg.Questions = func(context.Context, string, []byte) ([]byte, error) { return []byte(`"yes"`), nil }
	one := mustStart(t, cfg)
	mustLead(t, one)
	addr := one.Status().ClusterAddr
	pin := trust.FingerprintOf(club.authority.Certificate())
	var open []net.Conn
	refused := false
	for range 20 {
		conn, err := cluster.DialPinned(within(t, 5*time.Second), addr, pin, time.Now())
		if err != nil {
			refused = strings.Contains(err.Error(), "too many want to join")
			break
		}
		t.Cleanup(func() { _ = conn.Close() })
		open = append(open, conn)
		// Each sends the beginning of a request, and no more.
		if _, err := io.WriteString(conn, "POST /enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx"); err != nil {
			t.Fatal(err)
		}
	}
	if !refused {
		t.Fatalf("%d strangers of one host are connected at a time", len(open))
	}
	for _, conn := range open {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, io.EOF) && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("a stranger that sends nothing stays connected: %v", err)
		}
		_ = conn.Close()
	}
	var answer string
	if err := cluster.Enroll(within(t, 10*time.Second), []string{addr}, pin, clustertest.Timing(), cfg.Logger, "please", &answer); err != nil || answer != "yes" {
		t.Errorf("after they are gone: %q, %v", answer, err)
	}
}

// A certificate that nobody has recorded is believed as long as its authority is; then its connections end.
func TestTLSCutsWhomARetiredAuthorityVouchedFor(t *testing.T) {
	club := newClub(t, "ours")
	network := cluster.NewTLS(club.first, nil, nil)
	port := mustListen(t, network, "ours")
	echoAt(port, cluster.ProtocolRaft)
	conn, err := cluster.NewTLS(club.admit("minted"), nil, nil).Dial(within(t, 5*time.Second), port.Addr().String(), cluster.ProtocolRaft, "ours")
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, conn)
	next, err := trust.NewAuthority("ours", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	known := club.first.Known()
	known.Version, known.Authorities = 5, [][]byte{next.Certificate(), known.Authorities[0]}
	if _, err := club.first.Learn(known); err != nil {
		t.Fatal(err)
	}
	network.Cut()
	mustEcho(t, conn) // both are believed
	known.Version, known.Authorities = 6, known.Authorities[:1]
	if _, err := club.first.Learn(known); err != nil {
		t.Fatal(err)
	}
	network.Cut()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection lives on: %v", err)
	}
}

// Three nodes whose certificates have run out for years elect a leader and work: their keys are recorded.
func TestTLSClusterOutlivesItsCertificates(t *testing.T) {
	club := newClub(t, "ours")
	ids := []*trust.Identity{club.first, club.admit("n2"), club.admit("n3")}
	known := club.first.Known()
	known.Version = 5
	for _, id := range ids[1:] {
		key, err := trust.HashKey(id.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		known.Members = append(known.Members, trust.MemberKey{NodeID: id.NodeID(), Key: key})
	}
	later := func() time.Time { return time.Now().Add(3 * 365 * 24 * time.Hour) }
	var nodes []*cluster.Node
	for i, id := range ids {
		if _, err := id.Learn(known); err != nil {
			t.Fatal(err)
		}
		cfg := plain(t, id.NodeID())
		cfg.ClusterID = "ours"
		cfg.Network = cluster.NewTLS(id, later, nil)
		if cfg.Init = i == 0; !cfg.Init {
			cfg.Join = []string{nodes[0].Status().ClusterAddr}
		}
		n := mustStart(t, cfg)
		nodes = append(nodes, n)
		if i == 0 {
			mustLead(t, n)
		}
	}
	_, index, err := nodes[0].Propose(within(t, time.Minute), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if err := n.WaitApplied(within(t, time.Minute), index); err != nil {
			t.Errorf("%s: %v", n.NodeID(), err)
		}
	}
}

// A member may ask to be let in, or to be found elsewhere, for itself only.
func TestTLSMemberAsksForItselfOnly(t *testing.T) {
	club := newClub(t, "ours")
	cfg := plain(t, "n1")
	cfg.ClusterID, cfg.Init, cfg.Network = "ours", true, cluster.NewTLS(club.first, nil, nil)
	one := mustStart(t, cfg)
	mustLead(t, one)
	second := plain(t, "n9") // whose certificate says n2
	second.ClusterID, second.Network = "ours", cluster.NewTLS(club.admit("n2"), nil, nil)
	second.Join = []string{one.Status().ClusterAddr}
	if _, err := start(t, second); !errors.Is(err, cluster.ErrJoinRefused) || !strings.Contains(err.Error(), `in the name of "n9"`) {
		t.Errorf("got %v", err)
	}
}

// What strangers ask reaches the leader, and its answer comes back; a final no ends the asking.
func TestEnroll(t *testing.T) {
	club := newClub(t, "ours")
	cfg := plain(t, "n1")
	cfg.ClusterID, cfg.Init, cfg.Network = "ours", true, cluster.NewTLS(club.first, nil, nil)
	cfg.Questions = func(_ context.Context, about string, question []byte) ([]byte, error) {
		if string(question) == `"no"` {
			return nil, cluster.JoinRefusal(errors.New("not you"))
		}
		return []byte(`"` + about + `"`), nil
	}
	one := mustStart(t, cfg)
	mustLead(t, one)
	addresses := []string{"127.0.0.1:1", one.Status().ClusterAddr}
	pin := trust.FingerprintOf(club.authority.Certificate())
	var answer string
	if err := cluster.Enroll(within(t, 10*time.Second), addresses, pin, clustertest.Timing(), cfg.Logger, "please", &answer); err != nil || answer != cluster.AboutEnrolling {
		t.Errorf("got %q, %v", answer, err)
	}
	if err := cluster.Enroll(within(t, 10*time.Second), addresses, pin, clustertest.Timing(), cfg.Logger, "no", &answer); !errors.Is(err, cluster.ErrJoinRefused) || !strings.Contains(err.Error(), "not you") {
		t.Errorf("a refusal: %v", err)
	}
	wrong := trust.FingerprintOf([]byte("another authority"))
	if err := cluster.Enroll(within(t, 10*time.Second), addresses[1:], wrong, clustertest.Timing(), cfg.Logger, "please", &answer); !errors.Is(err, trust.ErrStranger) {
		t.Errorf("another authority: %v", err)
	}
}

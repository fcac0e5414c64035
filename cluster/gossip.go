package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

// gossip finds addresses and hints at failures. It never touches membership.
type gossip struct {
	list *memberlist.Memberlist
	keys *memberlist.Keyring // nil: in clear
	log  *slog.Logger
}

// openGossip starts gossip in the cluster's name.
func (n *Node) openGossip(me self) (*gossip, error) {
	host, port, err := splitAddress(n.cfg.GossipAddr)
	if err != nil {
		return nil, fmt.Errorf("listening for gossip: %w", err)
	}
	log_ := n.log.With("part", "gossip")
	c := memberlist.DefaultLANConfig()
	c.Name = me.nodeID
	c.Label = me.clusterID
	c.BindAddr, c.BindPort = host, port
	c.AdvertiseAddr, c.AdvertisePort = host, port
	if n.cfg.GossipAdvertise != "" {
		if c.AdvertiseAddr, c.AdvertisePort, err = splitAddress(n.cfg.GossipAdvertise); err != nil {
			return nil, fmt.Errorf("advertising gossip: %w", err)
		}
	}
	if c.AdvertiseAddr == "0.0.0.0" || c.AdvertiseAddr == "::" {
		return nil, fmt.Errorf("listening at %q does not tell others where to gossip: set the advertised address", n.cfg.GossipAddr)
	}
	if keys := n.cfg.GossipKeys; len(keys) > 0 {
		if c.Keyring, err = memberlist.NewKeyring(keys, keys[0]); err != nil {
			return nil, fmt.Errorf("using the keys of gossip: %w", err)
		}
	}
	c.MsgpackUseNewTimeFormat = true
	// A node that moved may take its name along once it is known to be dead.
	c.DeadNodeReclaimTime = 10 * time.Second
	c.Logger = log.New(&lineWriter{out: log_}, "", 0)

	delegate := &gossipDelegate{node: n, log: log_}
	c.Delegate, c.Events, c.Conflict = delegate, delegate, delegate
	if meta := delegate.NodeMeta(memberlist.MetaMaxSize); meta == nil {
		return nil, fmt.Errorf("gossip: the node's addresses and version together exceed %d bytes", memberlist.MetaMaxSize)
	}
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, fmt.Errorf("starting gossip at %s: %w", n.cfg.GossipAddr, err)
	}
	local := list.LocalNode()
	n.peers.setOwnGossip(net.JoinHostPort(local.Addr.String(), strconv.Itoa(int(local.Port))))
	return &gossip{list: list, keys: c.Keyring, log: log_}, nil
}

// SetGossipKeys changes the keys of gossip: the first one is used from now on, all are understood. Nodes that have
// not heard of a key yet miss what is said with it, for moments: nothing depends on gossip.
func (n *Node) SetGossipKeys(keys [][]byte) error {
	if n.gossip == nil || n.gossip.keys == nil || len(keys) == 0 {
		return nil
	}
	ring := n.gossip.keys
	for _, key := range keys {
		if err := ring.AddKey(key); err != nil {
			return fmt.Errorf("taking in a key of gossip: %w", err)
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("using a key of gossip: %w", err)
	}
	for _, old := range ring.GetKeys() {
		if !slices.ContainsFunc(keys, func(key []byte) bool { return bytes.Equal(key, old) }) {
			if err := ring.RemoveKey(old); err != nil {
				return fmt.Errorf("forgetting a key of gossip: %w", err)
			}
		}
	}
	return nil
}

// splitAddress takes host:port apart and resolves the host, since gossip deals
// in IP addresses.
func splitAddress(address string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(service); err != nil {
		return "", 0, fmt.Errorf("port %q is no number", service)
	}
	if host == "" {
		return "0.0.0.0", port, nil
	}
	ip, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return "", 0, err
	}
	return ip.String(), port, nil
}

// knows reports whether a node takes part and is not known to have failed.
func (g *gossip) knows(id string) bool {
	for _, member := range g.list.Members() {
		if member.Name == id {
			return true
		}
	}
	return false
}

// meet introduces this node at a gossip address.
func (g *gossip) meet(address string) {
	if _, err := g.list.Join([]string{address}); err != nil {
		g.log.Debug("gossip found nobody", "address", address, "error", err)
	}
}

// close ends gossip, after saying goodbye if there is anybody to hear it.
func (g *gossip) close(goodbye bool, timeout time.Duration) error {
	if goodbye {
		if err := g.list.Leave(timeout); err != nil {
			g.log.Debug("nobody heard the goodbye", "error", err)
		}
	}
	return g.list.Shutdown()
}

// gossipDelegate tells others of this node and hears of them.
type gossipDelegate struct {
	node *Node
	log  *slog.Logger
}

var (
	_ memberlist.Delegate         = (*gossipDelegate)(nil)
	_ memberlist.EventDelegate    = (*gossipDelegate)(nil)
	_ memberlist.ConflictDelegate = (*gossipDelegate)(nil)
)

// NodeMeta returns nil when the description does not fit.
func (d *gossipDelegate) NodeMeta(limit int) []byte {
	info := d.node.info()
	info.Gossip, info.Term = "", 0 // carried by gossip itself; too short-lived
	meta, err := json.Marshal(info)
	if err != nil || len(meta) > limit {
		return nil
	}
	return meta
}

func (d *gossipDelegate) NotifyMsg([]byte)                {}
func (d *gossipDelegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *gossipDelegate) LocalState(bool) []byte          { return nil }
func (d *gossipDelegate) MergeRemoteState([]byte, bool)   {}
func (d *gossipDelegate) NotifyJoin(m *memberlist.Node)   { d.heard(m) }
func (d *gossipDelegate) NotifyUpdate(m *memberlist.Node) { d.heard(m) }
func (d *gossipDelegate) NotifyLeave(m *memberlist.Node) {
	d.node.peers.note(m.Name, HealthFailed)
}

func (d *gossipDelegate) NotifyConflict(existing, other *memberlist.Node) {
	d.log.Error("two nodes use one name", "node", existing.Name, "address", existing.Address(), "other", other.Address())
}

func (d *gossipDelegate) heard(m *memberlist.Node) {
	var info nodeInfo
	if err := json.Unmarshal(m.Meta, &info); err != nil || info.NodeID != m.Name {
		d.log.Warn("a node says nothing useful of itself", "node", m.Name, "address", m.Address())
		return
	}
	info.Gossip = m.Address()
	d.node.peers.learn(info, HealthAlive)
}

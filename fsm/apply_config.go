package fsm

import (
	"fmt"
	"strings"
)

func notFound(field, noun, name string) *Refusal {
	return &Refusal{Code: CodeNotFound, Field: field, Message: fmt.Sprintf("there is no %s %q", noun, name)}
}

// badName refuses what cannot be a key of the state. The leader has said more about it before; a
// command that got here all the same must not stop every node.
func badName(noun, name string) *Refusal {
	return &Refusal{Code: CodeInvalid, Field: "name", Message: fmt.Sprintf("%q cannot name a %s", name, noun)}
}

func exists(field, noun, name string) *Refusal {
	return &Refusal{Code: CodeExists, Field: field, Message: fmt.Sprintf("%s %q exists already", noun, name)}
}

// checkVersion refuses a change of an object that somebody else changed meanwhile.
func checkVersion(want, have uint64, noun, name string) *Refusal {
	if want == 0 || want == have {
		return nil
	}
	return (&Refusal{Code: CodeVersionMismatch, Message: fmt.Sprintf("%s %q was changed meanwhile: read it again", noun, name)}).
		With("version", fmt.Sprint(have))
}

func applyInitCluster(t *txn, c *InitCluster) (Meta, *Refusal) {
	if t.meta.ClusterID != "" {
		return Meta{}, &Refusal{Code: CodeInitialized, Message: "the cluster is initialised already"}
	}
	a, k := c.Account, c.Token
	if c.ClusterID == "" || !ValidName(string(a.Name)) || k.Accessor == "" || len(k.Hash) == 0 {
		return Meta{}, badName("cluster or account", string(a.Name))
	}
	if c.JoinToken != nil {
		if r := badJoinToken(c.JoinToken); r != nil {
			return Meta{}, r
		}
	}
	for _, b := range c.Bindings {
		if r := badBinding(b); r != nil {
			return Meta{}, r
		}
		if b.Account != a.Name {
			return Meta{}, notFound("account", "account", string(b.Account))
		}
	}
	t.meta.ClusterID, t.meta.CreatedAt, t.meta.KeyCheck, t.meta.Level = c.ClusterID, t.now(), c.KeyCheck, c.Level
	if r := c.Recovery; r != nil {
		t.meta.Recovery = &Recovery{Wrapped: r.Wrapped, Shares: r.Shares, Threshold: r.Threshold, Split: r.Split, Public: r.Public, CreatedAt: t.now()}
	}
	a.CreatedAt, a.Version = t.now(), t.meta.Index
	k.CreatedAt, k.Version = t.now(), t.meta.Index
	accounts.put(t, a)
	tokens.put(t, k)
	t.firstSealingKey(c.KeyCheck, c.Node)
	if c.Authority != nil {
		t.addAuthority(c.Authority.Certificate, c.Authority.Sealed, nil)
	}
	if c.GossipKey != nil {
		t.addGossipKey(c.GossipKey.Sealed)
	}
	if c.Node != nil {
		t.enroll(c.Node.Name, c.Node.Key, "")
	}
	if c.JoinToken != nil {
		t.makeJoinToken(c.JoinToken)
	}
	t.record(Event{Type: EventClusterCreated, Subject: c.ClusterID})
	for _, b := range c.Bindings {
		b.CreatedAt, b.Version = t.now(), t.meta.Index
		t.addBinding(b)
	}
	return t.meta, nil
}

func applyCreateEnvironment(t *txn, c *CreateEnvironment) (Environment, *Refusal) {
	if !ValidEnvironmentName(string(c.Name)) {
		return Environment{}, badName("environment", string(c.Name))
	}
	if _, ok := t.Environment(c.Name); ok {
		return Environment{}, exists("name", "environment", string(c.Name))
	}
	e := Environment{Name: c.Name, Description: c.Description, CreatedAt: t.now(), UpdatedAt: t.now(), Version: t.meta.Index}
	environments.put(t, e)
	t.record(Event{Type: EventEnvironmentCreated, Subject: string(c.Name)})
	return e, nil
}

func applyUpdateEnvironment(t *txn, c *UpdateEnvironment) (Environment, *Refusal) {
	e, ok := t.Environment(c.Name)
	if !ok {
		return e, notFound("name", "environment", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, e.Version, "environment", string(c.Name)); r != nil {
		return e, r
	}
	if c.Description != nil {
		e.Description = *c.Description
	}
	e.UpdatedAt, e.Version = t.now(), t.meta.Index
	environments.put(t, e)
	t.record(Event{Type: EventEnvironmentUpdated, Subject: string(c.Name)})
	return e, nil
}

func applyDeleteEnvironment(t *txn, c *DeleteEnvironment) (Environment, *Refusal) {
	e, ok := t.Environment(c.Name)
	if !ok {
		return e, notFound("name", "environment", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, e.Version, "environment", string(c.Name)); r != nil {
		return e, r
	}
	if r := going(TargetEnvironment, string(c.Name), e.Going); r != nil {
		return e, r
	}
	if used := t.Secrets(c.Name, "", 1); len(used) > 0 {
		return e, &Refusal{Code: CodeInUse, Message: fmt.Sprintf("environment %q still has secrets, e.g. %q: delete them first", c.Name, used[0].Name)}
	}
	t.dropEnvironment(e)
	return e, nil
}

func (t *txn) dropEnvironment(e Environment) {
	environments.delete(t, []byte(e.Name))
	t.record(Event{Type: EventEnvironmentDeleted, Subject: string(e.Name)})
}

func applyCreateConnection(t *txn, c *CreateConnection) (Connection, *Refusal) {
	if !ValidName(string(c.Name)) {
		return Connection{}, badName("connection", string(c.Name))
	}
	if _, ok := t.Connection(c.Name); ok {
		return Connection{}, exists("name", "connection", string(c.Name))
	}
	n := Connection{
		Name: c.Name, Provider: c.Provider, Description: c.Description, Environments: c.Environments,
		System: t.meta.Index, Sweep: c.Sweep, CreatedAt: t.now(), UpdatedAt: t.now(), Version: t.meta.Index,
	}
	connections.put(t, n)
	systems.put(t, System{
		Connection: c.Name, Number: n.System, Provider: c.Provider, Identity: c.Identity,
		Settings: c.Settings, Sealed: c.Sealed, UpdatedAt: t.now(), Version: t.meta.Index,
	})
	t.record(Event{Type: EventConnectionCreated, Subject: string(c.Name), Details: map[string]string{"provider": c.Provider}})
	return n, nil
}

func applyUpdateConnection(t *txn, c *UpdateConnection) (Connection, *Refusal) {
	n, ok := t.Connection(c.Name)
	if !ok {
		return n, notFound("name", "connection", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, n.Version, "connection", string(c.Name)); r != nil {
		return n, r
	}
	if c.System != nil && c.System.Number != n.System {
		return n, checkVersion(c.System.Number, n.System, "the system of connection", string(c.Name))
	}
	if c.System != nil {
		if r := t.whileRotating(c.Name); r != nil {
			return n, r
		}
	}
	details := map[string]string{}
	if c.Description != nil {
		n.Description = *c.Description
	}
	if c.Environments != nil {
		n.Environments = *c.Environments
	}
	set(&n.Sweep, c.Sweep)
	n.UpdatedAt, n.Version = t.now(), t.meta.Index
	old := n.System
	if s := c.System; s != nil {
		details["system"] = "moved"
		if s.New {
			details["system"] = "replaced"
			n.System = t.meta.Index
			rotations.delete(t, []byte(n.Name)) // what was planned was for the system before
		}
		before, _ := t.System(n.Name, n.System)
		systems.put(t, System{
			Connection: n.Name, Number: n.System, Provider: n.Provider, Identity: s.Identity,
			Settings: s.Settings, Sealed: s.Sealed, UpdatedAt: t.now(), Version: t.meta.Index, DoubtAt: before.DoubtAt, CleanAt: before.CleanAt,
		})
	}
	connections.put(t, n)
	if old != n.System && t.Count(systemCounter(n.Name, old)) == 0 {
		t.dropSystem(n.Name, old)
	}
	t.record(Event{Type: EventConnectionUpdated, Subject: string(c.Name), Details: details})
	return n, nil
}

func applyDeleteConnection(t *txn, c *DeleteConnection) (Connection, *Refusal) {
	n, ok := t.Connection(c.Name)
	if !ok {
		return n, notFound("name", "connection", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, n.Version, "connection", string(c.Name)); r != nil {
		return n, r
	}
	if r := going(TargetConnection, string(c.Name), n.Going); r != nil {
		return n, r
	}
	if r := t.whileRotating(c.Name); r != nil {
		return n, r
	}
	if used, ok := t.SecretsOf(c.Name); ok {
		return n, &Refusal{Code: CodeInUse, Message: fmt.Sprintf("connection %q is used by secrets, e.g. %q: delete them first", c.Name, used)}
	}
	if live := t.Count(connectionCounter(c.Name)); live > 0 {
		return n, (&Refusal{Code: CodeConnectionLeases, Message: fmt.Sprintf("connection %q has %d live leases: revoke them first", c.Name, live)}).
			With("leases", fmt.Sprint(live))
	}
	t.dropConnection(n)
	return n, nil
}

// recordLeft records an event that leaves logins behind at a system that is not swept any more.
func (t *txn) recordLeft(e Event, left []Orphan) {
	if len(left) > 0 {
		var names []string
		for _, o := range left[:min(len(left), 20)] {
			names = append(names, o.Username)
		}
		e.Details = map[string]string{"orphans": fmt.Sprint(len(left)), "orphans_left": strings.Join(names, " ")}
	}
	t.record(e)
}

func (t *txn) dropConnection(n Connection) {
	// Nobody will look for these any more: whoever reads the history can.
	var left []Orphan
	for _, s := range t.Systems(n.Name) {
		left = append(left, t.Orphans(n.Name, s.Number)...)
		t.deleteSystem(n.Name, s.Number)
	}
	rotations.delete(t, []byte(n.Name))
	connections.delete(t, []byte(n.Name))
	t.recordLeft(Event{Type: EventConnectionDeleted, Subject: string(n.Name)}, left)
}

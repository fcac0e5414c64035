package access

import (
	"net/netip"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"

	"broker/fsm"
)

// The types of entities that policies speak of.
const (
	typeAccount     cedar.EntityType = "Account"
	typeGroup       cedar.EntityType = "Group"
	typeAction      cedar.EntityType = "Action"
	typeCluster     cedar.EntityType = "Cluster"
	typeApp         cedar.EntityType = "App"
	typeEnvironment cedar.EntityType = "Environment"
	typeSecret      cedar.EntityType = "Secret"
	typeLease       cedar.EntityType = "Lease"
	typeConnection  cedar.EntityType = "Connection"
	typeObject      cedar.EntityType = "Object"
)

// clusterID is the one cluster's name in policies.
const clusterID = "broker"

func uid(kind cedar.EntityType, id string) cedar.EntityUID {
	return cedar.EntityUID{Type: kind, ID: cedar.String(id)}
}

// maxChain is how many entities a resource can be in, itself included.
const maxChain = 5

// chain appends a resource's entity, what that is in, what that is in, and so on.
func (r Resource) chain(to []cedar.EntityUID) []cedar.EntityUID {
	switch {
	case r.Kind == KindLease && r.Name != "":
		to = append(to, uid(typeLease, r.Name))
	case r.Kind == KindConnection && r.Name != "":
		to = append(to, uid(typeConnection, r.Name))
	case r.Name != "" && r.Kind != KindCluster:
		to = append(to, uid(typeObject, string(r.Kind)+"/"+r.Name))
	}
	if app, env, ok := strings.Cut(string(r.Environment), "/"); ok {
		if env != "*" {
			if r.Secret != "" {
				to = append(to, uid(typeSecret, string(r.Environment)+"/"+r.Secret))
			}
			to = append(to, uid(typeEnvironment, string(r.Environment)))
		}
		to = append(to, uid(typeApp, app))
	}
	return append(to, uid(typeCluster, clusterID))
}

// entities tells Cedar what is in what. It serves one evaluation.
type entities struct {
	account cedar.Entity
	chain   []cedar.EntityUID
}

// Get returns an entity. Those that nothing is known of are in nothing.
func (e *entities) Get(id cedar.EntityUID) (cedar.Entity, bool) {
	if id == e.account.UID {
		return e.account, true
	}
	for i, one := range e.chain {
		if one != id {
			continue
		}
		found := cedar.Entity{UID: id}
		if i+1 < len(e.chain) {
			found.Parents = cedar.NewEntityUIDSet(e.chain[i+1])
		}
		return found, true
	}
	return cedar.Entity{}, false
}

// accountEntity is an account in its groups.
func accountEntity(name fsm.AccountName, groups []fsm.GroupName) cedar.Entity {
	parents := make([]cedar.EntityUID, len(groups))
	for i, g := range groups {
		parents[i] = uid(typeGroup, string(g))
	}
	return cedar.Entity{UID: uid(typeAccount, string(name)), Parents: cedar.NewEntityUIDSet(parents...)}
}

// contextOf is what policies can ask of a request beside who, what and on what.
func contextOf(q *Request) cedar.Record {
	known := cedar.RecordMap{
		"own":   cedar.Boolean(ownedBy(q.On, q.Who.Account)),
		"token": cedar.String(q.Who.Token),
	}
	if q.TTL > 0 {
		known["ttl"] = cedar.Long((q.TTL + time.Second - 1) / time.Second)
	}
	if q.Address.IsValid() {
		at := q.Address.Unmap().WithZone("")
		known["address"] = cedar.IPAddr(netip.PrefixFrom(at, at.BitLen()))
	}
	if q.On.Connection != "" {
		known["connection"] = cedar.String(q.On.Connection)
	}
	return cedar.NewRecord(known)
}

package fsm

import "fmt"

// Target names what an operation deletes once its leases are gone.
type Target struct {
	Noun TargetNoun `cbor:"1,keyasint,omitempty"`
	Name string     `cbor:"2,keyasint,omitempty"`
}

// TargetNoun is a kind of object that leases belong to.
type TargetNoun string

// The nouns of targets.
const (
	TargetEnvironment TargetNoun = "environment" // goes with its secrets
	TargetConnection  TargetNoun = "connection"  // goes with the secrets that use it
	TargetSecret      TargetNoun = "secret"
	TargetAccount     TargetNoun = "account"
)

// String names the target for people.
func (g Target) String() string { return fmt.Sprintf("%s %q", g.Noun, g.Name) }

// Selector chooses the leases of the target.
func (g Target) Selector() LeaseSelector {
	switch g.Noun {
	case TargetEnvironment:
		return LeaseSelector{Environments: []Pattern{Pattern(g.Name)}}
	case TargetConnection:
		return LeaseSelector{Connection: ConnectionName(g.Name)}
	case TargetSecret:
		return LeaseSelector{Secret: SecretName(g.Name)}
	default:
		return LeaseSelector{Account: AccountName(g.Name)}
	}
}

func (t *txn) markGoing(g Target, id OperationID, ifVersion uint64) *Refusal {
	switch g.Noun {
	case TargetEnvironment:
		return mark(t, environments, g, ifVersion, func(r *Environment) (*OperationID, *uint64) { return &r.Going, &r.Version }, id)
	case TargetConnection:
		if id != "" {
			if r := t.whileRotating(ConnectionName(g.Name)); r != nil {
				return r
			}
		}
		return mark(t, connections, g, ifVersion, func(r *Connection) (*OperationID, *uint64) { return &r.Going, &r.Version }, id)
	case TargetSecret:
		return mark(t, secrets, g, ifVersion, func(r *Secret) (*OperationID, *uint64) { return &r.Going, &r.Version }, id)
	case TargetAccount:
		if id != "" {
			if r := t.lastAdmin(func(_ Binding, name AccountName) bool { return name == AccountName(g.Name) }); r != nil {
				return r
			}
		}
		return mark(t, accounts, g, ifVersion, func(r *Account) (*OperationID, *uint64) { return &r.Going, &r.Version }, id)
	}
	return badName("target", string(g.Noun))
}

// mark sets or clears (id empty) the operation that deletes an object. The version of a secret stays:
// leases pin it, and nothing that they need was changed.
func mark[R any](t *txn, records table[R], g Target, ifVersion uint64, fields func(*R) (*OperationID, *uint64), id OperationID) *Refusal {
	r, ok := records.get(t.tx, []byte(g.Name))
	if !ok {
		return notFound("name", string(g.Noun), g.Name)
	}
	going, version := fields(&r)
	if id != "" && *going != "" {
		return beingDeleted(g, *going)
	}
	if refusal := checkVersion(ifVersion, *version, string(g.Noun), g.Name); refusal != nil {
		return refusal
	}
	if g.Noun != TargetSecret {
		*version = t.meta.Index
	}
	*going = id
	records.put(t, r)
	return nil
}

// unmarkGoing lets what was to be deleted stay.
func (t *txn) unmarkGoing(g Target) { t.markGoing(g, "", 0) }

func beingDeleted(g Target, id OperationID) *Refusal {
	return (&Refusal{Code: CodeBeingDeleted, Message: fmt.Sprintf("%s is being deleted by operation %s", g, id)}).With("operation_id", string(id))
}

// going refuses what would need an object that is being deleted.
func going(noun TargetNoun, name string, id OperationID) *Refusal {
	if id == "" {
		return nil
	}
	return beingDeleted(Target{noun, name}, id)
}

// liveOf counts the live leases of a target.
func (t *txn) liveOf(g Target) uint64 {
	switch g.Noun {
	case TargetEnvironment:
		var n uint64
		for _, s := range t.secretsIn(EnvironmentName(g.Name)) {
			n += t.LiveLeases(s.Name)
		}
		return n
	case TargetConnection:
		return t.Count(connectionCounter(ConnectionName(g.Name)))
	case TargetSecret:
		return t.LiveLeases(SecretName(g.Name))
	default:
		return t.Count(accountCounter(AccountName(g.Name)))
	}
}

// deleteTarget removes a target that has no live leases, with what cannot be without it.
func (t *txn) deleteTarget(g Target) {
	switch g.Noun {
	case TargetEnvironment:
		for _, s := range t.secretsIn(EnvironmentName(g.Name)) {
			t.dropSecret(s)
		}
		if e, ok := t.Environment(EnvironmentName(g.Name)); ok {
			t.dropEnvironment(e)
		}
	case TargetConnection:
		name := ConnectionName(g.Name)
		for _, s := range t.secretsOn(name) {
			t.dropSecret(s)
		}
		if c, ok := t.Connection(name); ok {
			t.dropConnection(c)
		}
	case TargetSecret:
		if s, ok := t.Secret(SecretName(g.Name)); ok {
			t.dropSecret(s)
		}
	case TargetAccount:
		if a, ok := t.Account(AccountName(g.Name)); ok {
			t.dropAccount(a)
		}
	}
}

func (t *txn) secretsOn(name ConnectionName) (list []Secret) {
	eachRow(t.tx, "secrets_by_connection", []byte(name), nil, false, func(k []byte) bool {
		if s, ok := t.Secret(SecretName(k)); ok {
			list = append(list, s)
		}
		return true
	})
	return list
}

func (t *txn) secretsIn(env EnvironmentName) []Secret {
	return t.Secrets(env, "", int(^uint(0)>>1))
}

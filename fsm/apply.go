package fsm

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// handler applies the commands of one type.
type handler struct {
	name  string
	apply func(*txn, Command) (any, *Refusal, error)

	// recall answers a repeated command from what the first one made. Nil: a key has no meaning for
	// these commands and is not bound.
	recall func(v *View, ref string) (any, bool)

	level uint64 // feature level that the command came with; zero: 1
}

// handlers maps each command type to its apply function. The names are those of the golden files.
var handlers = map[CommandType]handler{
	TypeInitCluster:       on("init_cluster", applyInitCluster, nil),
	TypeCreateEnvironment: on("create_environment", applyCreateEnvironment, recallEnvironment),
	TypeUpdateEnvironment: on("update_environment", applyUpdateEnvironment, recallEnvironment),
	TypeDeleteEnvironment: on("delete_environment", applyDeleteEnvironment, nil),
	TypeCreateConnection:  on("create_connection", applyCreateConnection, recallConnection),
	TypeUpdateConnection:  on("update_connection", applyUpdateConnection, recallConnection),
	TypeDeleteConnection:  on("delete_connection", applyDeleteConnection, nil),
	TypeCreateSecret:      on("create_secret", applyCreateSecret, recallSecret),
	TypeUpdateSecret:      on("update_secret", applyUpdateSecret, recallSecret),
	TypeDeleteSecret:      on("delete_secret", applyDeleteSecret, nil),
	TypePrepareLease:      on("prepare_lease", applyPrepareLease, recallLease),
	TypeActivateLease:     on("activate_lease", applyActivateLease, nil),
	TypeRenewLease:        on("renew_lease", applyRenewLease, recallLease),
	TypeBeginRevoke:       on("begin_revoke", applyBeginRevoke, recallLease),
	TypeExpireLeases:      on("expire_leases", applyExpireLeases, nil),
	TypeRollbackLeases:    on("rollback_leases", applyRollbackLeases, nil),
	TypeFinishRevoke:      on("finish_revoke", applyFinishRevoke, nil),
	TypeRecordTrouble:     on("record_trouble", applyRecordTrouble, nil),
	TypePrune:             on("prune", applyPrune, nil),
	TypeCreateLock:        on("create_lock", applyCreateLock, recallLock),
	TypeUpdateLock:        on("update_lock", applyUpdateLock, recallLock),
	TypeDeleteLock:        on("delete_lock", applyDeleteLock, nil),
	TypeCreateOperation:   on("create_operation", applyCreateOperation, recallOperation),
	TypeAdvanceOperation:  on("advance_operation", applyAdvanceOperation, nil),
	TypeFinishOperation:   on("finish_operation", applyFinishOperation, nil),
	TypeCancelOperation:   on("cancel_operation", applyCancelOperation, recallOperation),
	TypeRetryLease:        on("retry_lease", applyRetryLease, recallLease),
	TypeForgetLease:       on("forget_lease", applyForgetLease, recallLease),
	TypePauseConnection:   on("pause_connection", applyPauseConnection, recallConnection),
	TypeRecordSweep:       on("record_sweep", applyRecordSweep, nil),
	TypeAdoptOrphans:      on("adopt_orphans", applyAdoptOrphans, nil),
	TypeUpdateAccount:     on("update_account", applyUpdateAccount, recallAccount),
	TypeDeleteAccount:     on("delete_account", applyDeleteAccount, nil),
	TypeAdvanceClock:      on("advance_clock", applyAdvanceClock, nil),
	TypeRepairClock:       on("repair_clock", applyRepairClock, nil),
	TypeReleaseRestored:   on("release_restored", applyReleaseRestored, nil),
	TypeAdoptUnknown:      on("adopt_unknown", applyAdoptUnknown, nil),
	TypeCreateJoinToken:   on("create_join_token", applyCreateJoinToken, recallJoinToken),
	TypeDeleteJoinToken:   on("delete_join_token", applyDeleteJoinToken, nil),
	TypeEnrollNode:        on("enroll_node", applyEnrollNode, nil),
	TypeRemoveNode:        on("remove_node", applyRemoveNode, nil),
	TypeRotateAuthority:   on("rotate_authority", applyRotateAuthority, nil),
	TypeRetireAuthority:   on("retire_authority", applyRetireAuthority, nil),
	TypeRotateGossipKey:   on("rotate_gossip_key", applyRotateGossipKey, nil),
	TypeCreateToken:       on("create_token", applyCreateToken, recallToken),
	TypeRecordMember:      on("record_member", applyRecordMember, nil),
	TypeRaiseFeatureLevel: on("raise_feature_level", applyRaiseFeatureLevel, nil),

	TypeAnchorAudit:       on("anchor_audit", applyAnchorAudit, nil),
	TypeCreateSealingKey:  on("create_sealing_key", applyCreateSealingKey, recallSealingKey),
	TypeRecordSealingKey:  on("record_sealing_key", applyRecordSealingKey, nil),
	TypePromoteSealingKey: on("promote_sealing_key", applyPromoteSealingKey, nil),
	TypeResealValues:      on("reseal_values", applyResealValues, nil),
	TypeRetireSealingKey:  on("retire_sealing_key", applyRetireSealingKey, nil),
	TypeCreateBinding:     on("create_binding", applyCreateBinding, recallBinding),
	TypeDeleteBinding:     on("delete_binding", applyDeleteBinding, nil),
	TypeCreatePolicy:      on("create_policy", applyCreatePolicy, recallPolicy),
	TypeUpdatePolicy:      on("update_policy", applyUpdatePolicy, recallPolicy),
	TypeDeletePolicy:      on("delete_policy", applyDeletePolicy, nil),

	TypeCreateAccount:      on("create_account", applyCreateAccount, recallAccount),
	TypeCreateGroup:        on("create_group", applyCreateGroup, recallGroup),
	TypeUpdateGroup:        on("update_group", applyUpdateGroup, recallGroup),
	TypeDeleteGroup:        on("delete_group", applyDeleteGroup, nil),
	TypeDeleteToken:        on("delete_token", applyDeleteToken, nil),
	TypeUseToken:           on("use_token", applyUseToken, nil),
	TypeRenewToken:         on("renew_token", applyRenewToken, nil),
	TypeCreateClientSecret: on("create_client_secret", applyCreateClientSecret, recallClientSecret),
	TypeDeleteClientSecret: on("delete_client_secret", applyDeleteClientSecret, nil),
	TypeSignIn:             on("sign_in", applySignIn, nil),
	TypeSetPassword:        on("set_password", applySetPassword, nil),
	TypeStoreWrapped:       on("store_wrapped", applyStoreWrapped, nil),
	TypeTakeWrapped:        on("take_wrapped", applyTakeWrapped, nil),

	TypeBeginRotation:         on("begin_rotation", applyBeginRotation, recallRotation),
	TypeCommitRotation:        on("commit_rotation", applyCommitRotation, nil),
	TypeFinishRotation:        on("finish_rotation", applyFinishRotation, nil),
	TypeCancelRotation:        on("cancel_rotation", applyCancelRotation, recallRotation),
	TypeRecordRotationTrouble: on("record_rotation_trouble", applyRecordRotationTrouble, nil),
}

func on[B, V any](name string, apply func(*txn, *B) (V, *Refusal), recall func(*View, string) (any, bool)) handler {
	return handler{
		name: name,
		apply: func(t *txn, c Command) (any, *Refusal, error) {
			var body B
			if err := decode(c.Body, &body); err != nil {
				return nil, nil, fmt.Errorf("decoding %s: %w", name, err)
			}
			if refusal := t.sealedTooLate(&body); refusal != nil {
				return nil, refusal, nil
			}
			value, refusal := apply(t, &body)
			if refusal != nil {
				return nil, refusal, nil
			}
			return value, nil, nil
		},
		recall: recall,
	}
}

// applyEntry applies one log entry. An error means that this node cannot know what the others made
// of the entry: it must stop.
func (t *txn) applyEntry(entry *raft.Log) (*Result, error) {
	c, err := DecodeCommand(entry.Data)
	if err != nil {
		return nil, err
	}
	h, ok := handlerOf(c.Type)
	if !ok || c.Version != 1 {
		return nil, fmt.Errorf("%w: command type %d version %d is not known here", ErrNewer, c.Type, c.Version)
	}
	t.begin(entry.Index, entry.Term, c.Actor)
	result := &Result{Index: entry.Index}
	switch value, replayed, refusal, err := t.applyOnce(h, c, entry.Term); {
	case err != nil:
		return nil, err
	case refusal != nil:
		if t.wrote {
			return nil, fmt.Errorf("%s wrote before it refused (%s): a bug", h.name, refusal.Code)
		}
		result.Refusal = refusal
	default:
		result.Value, result.Replayed = value, replayed
	}
	t.end()
	if t.meta.FeatureLevel() > FeatureLevel {
		return nil, newerData(t.meta.FeatureLevel())
	}
	result.At = t.now()
	return result, nil
}

// applyOnce applies a command unless its idempotency key was bound before.
func (t *txn) applyOnce(h handler, c Command, term uint64) (value any, replayed bool, refusal *Refusal, err error) {
	refusal = t.moveClock(c, term)
	if c.Term != 0 && c.Term != term {
		return nil, false, &Refusal{Code: CodeStaleTerm, Message: "the leadership period that proposed this command is over"}, nil
	}
	if refusal == nil {
		refusal = t.tooNew(c)
	}
	if refusal != nil {
		return nil, false, refusal, nil
	}
	if refusal := t.whileRestored(c); refusal != nil {
		return nil, false, refusal, nil
	}
	keyed := c.Key != nil && h.recall != nil
	if keyed {
		value, found, refusal := t.recall(h, c)
		if found || refusal != nil {
			return value, found, refusal, nil
		}
	}
	value, refusal, err = h.apply(t, c)
	if err != nil || refusal != nil {
		return nil, false, refusal, err
	}
	if keyed {
		keys.put(t, keyRecord{ID: c.Key.ID, Body: c.Key.Body, Type: c.Type, Ref: value.(interface{ ref() string }).ref(), CreatedAt: t.now()})
	}
	return value, false, nil, nil
}

// recall looks the command's key up. Not found: the command is applied and binds the key.
func (t *txn) recall(h handler, c Command) (value any, found bool, refusal *Refusal) {
	k, ok := keys.get(t.tx, c.Key.ID)
	if !ok {
		return nil, false, nil
	}
	if k.Type != c.Type || string(k.Body) != string(c.Key.Body) {
		return nil, false, &Refusal{Code: CodeKeyReused, Message: "this idempotency key was used for another request: send a new key for each new request"}
	}
	if value, ok = h.recall(&t.View, k.Ref); !ok {
		return nil, false, &Refusal{Code: CodeKeyAnswerGone, Message: fmt.Sprintf("this request was carried out before, and %q which it made is gone by now", k.Ref)}
	}
	if l, isLease := value.(Lease); isLease && c.Type == TypePrepareLease {
		switch {
		case !l.WasActive() && l.State != Pending:
			return nil, false, nil // the first attempt came to nothing: this one binds the key anew
		case l.WasActive() && (l.State != Active || t.now() >= l.ExpiresAt):
			return nil, false, (&Refusal{Code: CodeLeaseEnded, Message: "the lease that this idempotency key was used for has ended: send a new key for a new lease"}).With("lease_id", string(l.ID))
		}
	}
	return value, true, nil
}

func recallEnvironment(v *View, ref string) (any, bool) {
	return recalled(v.Environment(EnvironmentName(ref)))
}
func recallConnection(v *View, ref string) (any, bool) {
	return recalled(v.Connection(ConnectionName(ref)))
}
func recallSecret(v *View, ref string) (any, bool) { return recalled(v.Secret(SecretName(ref))) }
func recallLock(v *View, ref string) (any, bool)   { return recalled(v.Lock(LockID(ref))) }
func recallOperation(v *View, ref string) (any, bool) {
	return recalled(v.Operation(OperationID(ref)))
}
func recallAccount(v *View, ref string) (any, bool) { return recalled(v.Account(AccountName(ref))) }
func recallLease(v *View, ref string) (any, bool)   { return recalled(v.Lease(LeaseID(ref))) }

func recallSealingKey(v *View, ref string) (any, bool) {
	return recalled(sealingKeyNamed(v, ref))
}

func recalled[R any](r R, ok bool) (any, bool) { return r, ok }

func (r Environment) ref() string { return string(r.Name) }
func (c Connection) ref() string  { return string(c.Name) }
func (r Secret) ref() string      { return string(r.Name) }
func (l Lease) ref() string       { return string(l.ID) }
func (k SealingKey) ref() string  { return fmt.Sprint(k.Number) }

package access

import "broker/fsm"

// everyoneMay reports whether any account may do it without having a role.
func everyoneMay(q *Request) bool {
	switch q.Action {
	case "provider:list", "provider:get", "cluster:get":
		return true
	case "account:get", "account:password", "access:explain":
		return q.On.Kind == KindAccount && ownedBy(q.On, q.Who.Account)
	case "event:access":
		return q.On.Kind == KindEvent && ownedBy(q.On, q.Who.Account)
	case "token:list", "token:get", "token:delete":
		return q.On.Kind == KindToken && q.On.Owner == q.Who.Account
	case "token:create":
		// A token that is good for a number of requests must not make one that is good for more.
		return q.On.Kind == KindToken && q.On.Owner == q.Who.Account && !q.Who.Counted
	}
	return false
}

// ownedBy reports whether a resource is an account itself, or belongs to it.
func ownedBy(on Resource, account fsm.AccountName) bool {
	if account == "" {
		return false
	}
	return on.Owner == account || on.Kind == KindAccount && on.Owner == "" && on.Name == string(account)
}

// ownerMay reports whether the owner of a lease or operation may do it to it. again: while it may issue the secret, too.
func ownerMay(q *Request) (may, again bool) {
	if q.On.Owner == "" || q.On.Owner != q.Who.Account {
		return false, false
	}
	if q.On.Kind == KindOperation {
		return q.Action == "operation:get" || q.Action == "operation:list", false
	}
	if q.On.Kind != KindLease {
		return false, false
	}
	switch q.Action {
	case "lease:get", "lease:list", "lease:history":
		return true, false
	case "lease:renew", "lease:revoke":
		return true, true
	}
	return false, false
}

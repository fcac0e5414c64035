package fsm

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxParameters is how much a request for a lease may say besides, in bytes: it is kept with the lease.
const maxParameters = 16 << 10

func applyPrepareLease(t *txn, c *PrepareLease) (Lease, *Refusal) {
	s, conn, refusal := t.mayIssue(c.Secret, c.Account, c.Labels)
	if refusal != nil {
		return Lease{}, refusal
	}
	if s.Version != c.SecretVersion || conn.System != c.System {
		return Lease{}, &Refusal{Code: CodeSecretChanged, Message: fmt.Sprintf("secret %q or its connection was changed meanwhile: try again", c.Secret)}
	}
	if c.TTL <= 0 {
		return Lease{}, &Refusal{Code: CodeInvalid, Field: "ttl", Message: fmt.Sprintf("a lease needs a positive time, not %s", FormatTTL(c.TTL))}
	}
	longest := s.MaxTTL
	if c.MaxTTL > 0 {
		longest = min(longest, c.MaxTTL)
	}
	if c.TTL > longest {
		return Lease{}, exceedsMax("ttl", c.TTL, longest)
	}
	if c.ID == "" || c.Username == "" || len(c.ID)+len(c.Username) > 512 {
		return Lease{}, badName("lease or login", string(c.ID))
	}
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		if !ValidLabelKey(k) || len(c.Labels[k]) > 1024 {
			return Lease{}, badName("label", k)
		}
	}
	if _, taken := t.Lease(c.ID); taken || t.usernameTaken(c.Username) {
		return Lease{}, exists("", "lease or login", string(c.ID))
	}
	if refusal := conn.WhilePaused(t.now()); refusal != nil {
		return Lease{}, refusal
	}
	if refusal := t.checkQuotas(s, c.Account); refusal != nil {
		return Lease{}, refusal
	}
	if len(c.Parameters) > maxParameters {
		return Lease{}, &Refusal{Code: CodeInvalid, Field: "parameters", Message: fmt.Sprintf("at most %d bytes, not %d", maxParameters, len(c.Parameters))}
	}
	if refusal := t.mayReplace(c); refusal != nil {
		return Lease{}, refusal
	}
	expires := t.now().Add(c.TTL)
	if c.Fixed {
		longest = c.TTL
	}
	l := t.putLease(Lease{
		ID: c.ID, Name: c.Name, Secret: c.Secret, SecretVersion: s.Version,
		Connection: s.Connection, System: conn.System, Account: c.Account, Token: c.Token,
		Username: c.Username, State: Pending, Labels: c.Labels, Term: t.meta.Term,
		CreatedAt: t.now(), ExpiresAt: expires, MaxExpiresAt: t.now().Add(longest),
		CreateDeadlineAt: min(t.now().Add(c.CreateTTL), expires),
		Fixed:            c.Fixed, Parameters: c.Parameters, Replaces: c.Replaces,
	})
	t.record(Event{Type: EventLeasePrepared, Lease: l.ID, Subject: string(l.Secret), Details: map[string]string{
		"username": l.Username, "account": string(l.Account), "expires_at": l.ExpiresAt.String(),
	}})
	return l, nil
}

func applyActivateLease(t *txn, c *ActivateLease) (Lease, *Refusal) {
	l, ok := t.Lease(c.ID)
	if !ok {
		return l, notFound("", "lease", string(c.ID))
	}
	if l.State != Pending {
		return l, notPending(l)
	}
	if why := t.mayLive(l); why != "" {
		return t.beginEnd(l, CauseRefused, why), nil
	}
	l.State, l.ActivatedAt = Active, t.now()
	l = t.putLease(l)
	if len(c.Reply) > 0 && !t.sealedWithRetired(c.Reply) {
		replies.put(t, reply{Lease: l.ID, Sealed: c.Reply, UntilAt: t.now().Add(c.ReplyTTL)})
	}
	details := map[string]string{"expires_at": l.ExpiresAt.String()}
	if l.Replaces != "" {
		details["replaces"] = string(l.Replaces)
		t.markReplaced(l)
	}
	t.record(Event{Type: EventLeaseIssued, Lease: l.ID, Subject: string(l.Secret), Details: details})
	return l, nil
}

// mayReplace refuses a lease that names one which is not of the same secret and account as the one that it replaces.
// Another's lease is as if it did not exist.
func (t *txn) mayReplace(c *PrepareLease) *Refusal {
	if c.Replaces == "" {
		return nil
	}
	old, ok := t.Lease(c.Replaces)
	switch {
	case !ok || old.Account != c.Account:
		return &Refusal{Code: CodeInvalid, Field: "replaces", Message: fmt.Sprintf("you hold no lease %q", c.Replaces)}
	case old.Secret != c.Secret:
		return &Refusal{Code: CodeInvalid, Field: "replaces", Message: fmt.Sprintf("lease %s is of another secret", c.Replaces)}
	}
	return nil
}

// markReplaced has the lease that another replaces know it. It may be forgotten by now.
func (t *txn) markReplaced(by Lease) {
	if old, ok := t.Lease(by.Replaces); ok {
		old.ReplacedBy = by.ID
		t.putLease(old)
	}
}

func applyRenewLease(t *txn, c *RenewLease) (Lease, *Refusal) {
	l, ok := t.Lease(c.ID)
	if !ok {
		return l, notFound("", "lease", string(c.ID))
	}
	if r := t.mayRenew(l); r != nil {
		return l, r
	}
	if l.Version != c.IfVersion {
		return l, &Refusal{Code: CodeLeaseChanged, Message: fmt.Sprintf("lease %s was changed meanwhile: try again", l.ID)}
	}
	if c.ExpiresAt > l.MaxExpiresAt {
		return l, exceedsMax("ttl", c.ExpiresAt.Sub(l.ExpiresAt), l.RenewableTTL())
	}
	if c.ExpiresAt < l.ExpiresAt {
		return l, &Refusal{Code: CodeInvalid, Field: "until", Message: "renewing never shortens a lease"}
	}
	from := l.ExpiresAt
	l.ExpiresAt, l.RenewedAt = c.ExpiresAt, t.now()
	l.Renewals++
	l = t.putLease(l)
	t.record(Event{Type: EventLeaseRenewed, Lease: l.ID, Subject: string(l.Secret), Details: map[string]string{
		"from": from.String(), "expires_at": l.ExpiresAt.String(),
	}})
	return l, nil
}

// mayIssue refuses a lease that the account may not have of the secret now.
func (t *txn) mayIssue(name SecretName, account AccountName, labels map[string]string) (Secret, Connection, *Refusal) {
	s, ok := t.Secret(name)
	if !ok {
		return s, Connection{}, notFound("secret", "secret", string(name))
	}
	env, _ := name.Split()
	c, ok := t.Connection(s.Connection)
	switch {
	case !ok:
		return s, c, notFound("connection", "connection", string(s.Connection))
	case s.Disabled:
		return s, c, &Refusal{Code: CodeSecretDisabled, Message: fmt.Sprintf("secret %q is disabled", name)}
	case !c.Allows(env):
		return s, c, notAllowed(c, env)
	}
	a, ok := t.Account(account)
	if !ok || a.Disabled {
		return s, c, &Refusal{Code: CodeAccountDisabled, Message: fmt.Sprintf("account %q is disabled", account)}
	}
	e, _ := t.Environment(env)
	for _, refusal := range []*Refusal{
		going(TargetSecret, string(name), s.Going), going(TargetConnection, string(c.Name), c.Going),
		going(TargetEnvironment, string(env), e.Going), going(TargetAccount, string(account), a.Going),
		t.locked(s, account, labels),
	} {
		if refusal != nil {
			return s, c, refusal
		}
	}
	return s, c, nil
}

// mayLive says why a lease whose login was made may not become active; empty when it may.
func (t *txn) mayLive(l Lease) string {
	if t.now() >= l.ExpiresAt {
		return "its time was over before the login was made"
	}
	if _, _, refusal := t.mayIssue(l.Secret, l.Account, l.Labels); refusal != nil {
		return refusal.Message
	}
	return ""
}

// mayRenew refuses the renewal of a lease that is not active, is over, or may not be issued any more.
func (t *txn) mayRenew(l Lease) *Refusal {
	if l.State != Active || t.now() >= l.ExpiresAt {
		return notActive(l)
	}
	_, c, refusal := t.mayIssue(l.Secret, l.Account, l.Labels)
	if refusal == nil {
		refusal = c.WhilePaused(t.now())
	}
	return refusal
}

func (t *txn) usernameTaken(name string) bool {
	return hasRow(t.tx, "leases_by_username", []byte(name))
}

func exceedsMax(field string, ttl, left time.Duration) *Refusal {
	return (&Refusal{Code: CodeTTLExceedsMax, Field: field, Message: fmt.Sprintf("%s of %s is not possible: at most %s", field, FormatTTL(ttl), FormatTTL(left))}).
		With("renewable_ttl", fmt.Sprint(int64(left/time.Second)))
}

func notActive(l Lease) *Refusal {
	return (&Refusal{Code: CodeLeaseNotActive, Message: fmt.Sprintf("lease %s is not active: it is %s", l.ID, ended(l))}).
		With("lease_id", string(l.ID)).With("state", string(l.State))
}

func notPending(l Lease) *Refusal {
	return &Refusal{Code: CodeLeaseNotPending, Message: fmt.Sprintf("lease %s is not pending: it is %s", l.ID, ended(l))}
}

func ended(l Lease) string {
	switch {
	case l.EndedAt != 0:
		return fmt.Sprintf("%s since %s", l.State, l.EndedAt)
	case l.State == Active:
		return fmt.Sprintf("over since %s", l.ExpiresAt)
	}
	return string(l.State)
}

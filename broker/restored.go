package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"broker/fsm"
	"broker/providers"
)

// errReleased ends the period of a restored cluster: the next one takes over as any other.
var errReleased = errors.New("the restored cluster was released: beginning anew")

// ErrSuspended is what Lead returns after Suspend.
var ErrSuspended = errors.New("the leader's work was suspended")

// Suspend has Lead return ErrSuspended as soon as everything it does has ended, while this node leads on: the state
// is about to be replaced. It returns ErrNotLeader where nothing is led.
func (b *Broker) Suspend() error {
	p := b.period.Load()
	if p == nil {
		return ErrNotLeader
	}
	p.end(ErrSuspended)
	return nil
}

// freezing is the one place that every call of an outside system passes. While the cluster is a restored one
// it lets through what only looks. The state machine refuses the commands that would authorise such a call;
// this is for the call that somebody forgot.
type freezing struct {
	providers.Backend
	p *period
}

// refuse returns an error while nothing may be changed. A period that began with a restored state stays so to
// its end: its backends were opened to look only.
func (f *freezing) refuse() error {
	mark := f.p.restored
	if mark == nil {
		mark = f.p.State.Restored()
	}
	if mark == nil {
		return nil
	}
	return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: errors.New(mark.Refusal().Message)}
}

// Create makes a login.
func (f *freezing) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := f.refuse(); err != nil {
		return nil, err
	}
	return f.Backend.Create(ctx, grant)
}

// Renew extends logins.
func (f *freezing) Renew(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	if err := f.refuse(); err != nil {
		return forAll(logins, err)
	}
	return f.Backend.Renew(ctx, logins)
}

// Revoke removes logins.
func (f *freezing) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	if err := f.refuse(); err != nil {
		return forAll(logins, err)
	}
	return f.Backend.Revoke(ctx, logins)
}

// ConfirmAbsent proves absence by claiming names, which is a change.
func (f *freezing) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	if err := f.refuse(); err != nil {
		return forAll(logins, err)
	}
	return f.Backend.ConfirmAbsent(ctx, logins, notBefore)
}

// CheckOptions looks.
func (f *freezing) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	return providers.CheckOptions(ctx, f.Backend, options)
}

// PlanRotation looks.
func (f *freezing) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	return providers.PlanRotation(ctx, f.Backend, abandoned)
}

// Rotate makes a new root credential good.
func (f *freezing) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	if err := f.refuse(); err != nil {
		return nil, err
	}
	return providers.Rotate(ctx, f.Backend, plan)
}

// Retire has an earlier root credential refused.
func (f *freezing) Retire(ctx context.Context, previous providers.Settings) error {
	if err := f.refuse(); err != nil {
		return err
	}
	return providers.Retire(ctx, f.Backend, previous)
}

func forAll(logins []providers.Login, err error) map[providers.LoginName]error {
	answers := map[providers.LoginName]error{}
	for _, l := range logins {
		answers[l.Name] = err
	}
	return answers
}

// Difference is what differs between a restored ledger and one outside system.
type Difference struct {
	SweepReport
	Over []fsm.LeaseID // active leases whose end has passed; they end with the release unless it puts that off
}

// SnapshotDiff lists every outside system and tells what differs from the ledger. It changes nothing there.
// Errors: *fsm.Refusal when the cluster is no restored one, ErrNotLeader.
func (b *Broker) SnapshotDiff(ctx context.Context, req Request) ([]Difference, error) {
	if b.State.Restored() == nil && b.Leading() {
		return nil, &fsm.Refusal{Code: fsm.CodeNotRestored, Message: "this cluster is not a restored one, or was released already: `brokerctl sweep` shows how it differs from outside systems"}
	}
	reports, err := b.SweepNow(ctx, req, "")
	if err != nil {
		return nil, err
	}
	over, err := b.endingBefore(b.Now())
	if err != nil {
		return nil, err
	}
	list := make([]Difference, len(reports))
	for i, r := range reports {
		list[i] = Difference{SweepReport: r}
		for _, l := range over {
			if l.Connection == r.Connection && l.System == r.System {
				list[i].Over = append(list[i].Over, l.ID)
			}
		}
	}
	return list, nil
}

// endingBefore returns the active leases that end before an instant.
func (b *Broker) endingBefore(end time.Time) (list []fsm.Lease, err error) {
	var from fsm.Due
	for {
		var due []fsm.Due
		err := b.view(func(v *fsm.View) {
			due = v.DueLeases(from, fsm.At(end), pageSize)
			for _, d := range due {
				if l, ok := v.Lease(d.Lease); ok && l.State == fsm.Active {
					list = append(list, l)
				}
			}
		})
		if err != nil || len(due) < pageSize {
			return list, err
		}
		from = due[len(due)-1]
	}
}

// ReleaseSpec says what becomes of what differs.
type ReleaseSpec struct {
	Unknown fsm.UnknownPolicy
	TTL     time.Duration // how long adopted logins live
	Reason  string
}

// Release is what a release did, or would do.
type Release struct {
	Adopted uint64 // unknown logins that got a record
	Kept    uint64 // leases whose end was put off
	Alone   uint64 // unknown logins that are left alone
}

// maxAdoptTTL is the longest time that an unknown login is given: longer is a decision for --unknown report.
const maxAdoptTTL = 7 * 24 * time.Hour

// ReleaseSnapshot ends that a restored cluster changes nothing. First, still changing nothing outside, logins
// that the ledger does not know get their records; then the mark is taken away and the leader begins anew.
// Errors: *fsm.Refusal, *InvalidError, ErrNotLeader, ErrOutcomeUnknown; repeating it is safe.
func (b *Broker) ReleaseSnapshot(ctx context.Context, req Request, spec ReleaseSpec) (Release, error) {
	var done Release
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return done, err
	}
	defer leave()
	var ps problems
	ps.reason("reason", spec.Reason)
	if err := ps.err(); err != nil {
		return done, err
	}
	if adopts := spec.Unknown == fsm.UnknownAdopt; adopts != (spec.TTL > 0) || spec.TTL > maxAdoptTTL {
		return done, invalid("ttl", "adopting needs a length of time, at most %s; the others take none", fsm.FormatTTL(maxAdoptTTL))
	}
	req.Key = nil // what was adopted is not unknown any more, and a mark is taken away once
	body := &fsm.ReleaseRestored{Unknown: spec.Unknown, TTL: spec.TTL, Reason: spec.Reason}
	trial := req
	trial.DryRun = true
	would, _, err := propose[fsm.Released](work, p, trial, body)
	if err != nil {
		return done, err
	}
	if err := p.adoptUnknown(work, req, spec, &done); err != nil {
		return done, err
	}
	if req.DryRun {
		done.Alone = would.Kept - min(would.Kept, done.Adopted)
		return done, nil
	}
	released, _, err := propose[fsm.Released](work, p, req, body)
	if err == nil || errors.Is(err, ErrOutcomeUnknown) {
		p.log.Warn("the restored cluster was released", "unknown", string(spec.Unknown), "adopted", done.Adopted, "left_alone", released.Kept, "error", err)
		p.end(errReleased)
	}
	done.Alone = released.Kept
	return done, err
}

// adoptUnknown gives unknown logins their records, and puts off the ends of leases that may have been renewed
// since the snapshot.
func (p *period) adoptUnknown(ctx context.Context, req Request, spec ReleaseSpec, done *Release) error {
	if spec.Unknown == fsm.UnknownReport {
		return nil
	}
	systems, err := p.systems("")
	if err != nil {
		return err
	}
	for _, s := range systems {
		var unknown []fsm.Orphan
		if err := p.view(func(v *fsm.View) { unknown = v.Orphans(s.Connection, s.Number) }); err != nil {
			return err
		}
		for page := range pages(unknown) {
			body := &fsm.AdoptUnknown{Connection: s.Connection, System: s.Number, TTL: spec.TTL}
			for _, o := range page {
				id, err := p.newID()
				if err != nil {
					return err
				}
				body.Logins = append(body.Logins, fsm.Adoption{ID: fsm.LeaseID(id), Username: o.Username})
			}
			adopted, _, err := propose[[]fsm.Lease](ctx, p, req, body)
			if err != nil {
				return fmt.Errorf("adopting unknown logins of connection %q: %w", s.Connection, err)
			}
			done.Adopted += uint64(len(adopted))
		}
	}
	if spec.Unknown != fsm.UnknownAdopt {
		return nil
	}
	over, err := p.endingBefore(p.Now().Add(spec.TTL))
	if err != nil {
		return err
	}
	for page := range pages(over) {
		body := &fsm.AdoptUnknown{TTL: spec.TTL}
		for _, l := range page {
			body.Leases = append(body.Leases, l.ID)
		}
		kept, _, err := propose[[]fsm.Lease](ctx, p, req, body)
		if err != nil {
			return fmt.Errorf("putting off the ends of leases: %w", err)
		}
		done.Kept += uint64(len(kept))
	}
	return nil
}

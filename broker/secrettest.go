package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"broker/fsm"
	"broker/providers"
)

// TestTTL is how long the lease of a test lives unless it is revoked before, as it is.
const TestTTL = time.Minute

// The patience of a test. All of it together fits into one request.
const (
	testPatience    = 15 * time.Second       // until the lease is to be revoked
	logInPatience   = 5 * time.Second        // until a log-in is accepted: some systems know of a login a little later
	refusalPatience = 8 * time.Second        // until it is refused after the end, likewise
	logInPause      = 250 * time.Millisecond // between two tries
)

// TestLabel marks the leases of tests.
const TestLabel = "broker/test"

// TestStep names a step of a test.
type TestStep string

// The steps, in their order.
const (
	StepIssue   TestStep = "issue"
	StepLogIn   TestStep = "log_in"
	StepRenew   TestStep = "renew"
	StepRevoke  TestStep = "revoke"
	StepRefused TestStep = "log_in_refused"
)

// TestResult is how a step went.
type TestResult string

// The results.
const (
	TestOK      TestResult = "ok"
	TestFailed  TestResult = "failed"
	TestSkipped TestResult = "skipped"
)

// TestFinding is what one step of a test came to.
type TestFinding struct {
	Step    TestStep
	Result  TestResult
	Took    time.Duration
	Message string // what failed, or why it was skipped
	Hint    string // what a person does about it
}

// SecretTest is what a test of a secret found.
type SecretTest struct {
	Lease    fsm.Lease // as it was at the end of the test
	Findings []TestFinding
}

// Passed reports whether no step failed.
func (t SecretTest) Passed() bool {
	for _, f := range t.Findings {
		if f.Result == TestFailed {
			return false
		}
	}
	return true
}

// TestSpec says which secret to test.
type TestSpec struct {
	Secret     fsm.SecretName
	Parameters map[string]any // what the provider takes besides
	MaxTTL     time.Duration  // the longest life that the caller may give a lease; zero: the secret's alone counts
}

// TestSecret tries a secret out with an ordinary short lease: it issues it, logs in with the values, renews and revokes it,
// and makes sure that no log-in is accepted any more. Nobody is given the values. Whatever happens, the lease is revoked,
// or ends by itself in a minute. A step that fails is told in the answer; an error means that there was no lease to test:
// errors as for Issue. An idempotency key means nothing here: the same again is another test.
func (b *Broker) TestSecret(ctx context.Context, req Request, spec TestSpec) (SecretTest, error) {
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return SecretTest{}, err
	}
	defer leave()
	req.Key = nil
	t := &secretTest{period: p, req: req, began: p.Now()}
	values, err := t.issue(work, ctx, spec)
	if err != nil {
		return SecretTest{}, err
	}
	if !req.DryRun {
		t.try(work, values)
	}
	if p.ctx.Err() != nil {
		return SecretTest{}, fmt.Errorf("%w: leadership was lost during the test, whose lease %s ends by itself", ErrOutcomeUnknown, t.lease.ID)
	}
	err = p.peek(func(v *fsm.View) {
		if l, ok := v.Lease(t.lease.ID); ok {
			t.lease = l
		}
	})
	return SecretTest{Lease: t.lease, Findings: t.findings}, err
}

// secretTest is a test under way.
type secretTest struct {
	*period
	req      Request
	began    time.Time
	plan     plan
	lease    fsm.Lease
	findings []TestFinding
}

// issue makes the lease, and returns an error when there is none.
func (t *secretTest) issue(ctx, client context.Context, spec TestSpec) (providers.Values, error) {
	for {
		var err error
		if t.plan, err = t.period.plan(spec.Secret, t.req.Actor.Account); err != nil {
			return nil, err
		}
		_, short := spec.Secret.Split()
		prepare, err := t.prepare(t.req, IssueSpec{
			Secret: spec.Secret, Name: "test of " + short, TTL: t.ttl(spec), MaxTTL: spec.MaxTTL, Parameters: spec.Parameters, Labels: map[string]string{TestLabel: "true"},
		}, t.plan)
		if err != nil {
			return nil, err
		}
		leave, err := t.admit(client, t.req, t.plan)
		if err != nil {
			return nil, err
		}
		began := t.Now()
		t.lease, _, err = propose[fsm.Lease](ctx, t.period, t.req, prepare)
		if isRefusal(err, fsm.CodeSecretChanged) {
			leave()
			continue // plan again with what it was changed to
		}
		if err != nil || t.req.DryRun {
			leave()
			return nil, err
		}
		t.schedule(t.lease)
		values, err := t.make(ctx)
		leave()
		t.add(StepIssue, began, err)
		return values, nil
	}
}

func (t *secretTest) make(ctx context.Context) (providers.Values, error) {
	values, err := t.create(ctx, t.plan, t.lease)
	issued, err := t.activate(ctx, t.req, t.plan, t.lease, values, err)
	if err == nil {
		t.lease = issued.Lease
	}
	return values, err
}

// ttl leaves a second for renewing, where there is one.
func (t *secretTest) ttl(spec TestSpec) time.Duration {
	longest := t.plan.secret.MaxTTL
	if spec.MaxTTL > 0 {
		longest = min(longest, spec.MaxTTL)
	}
	if longest > TestTTL || longest < 2*renewBy || t.plan.provider.Describe().Fixed {
		return min(longest, TestTTL)
	}
	return longest - renewBy
}

// renewBy is by how much the lease is extended: it is only to be seen that it can be.
const renewBy = time.Second

// try goes through the steps after the first.
func (t *secretTest) try(ctx context.Context, values providers.Values) {
	if t.findings[0].Result != TestOK {
		t.giveUp(ctx)
		return
	}
	fixed := t.lease.Fixed
	before, cancel := context.WithDeadline(ctx, t.began.Add(testPatience))
	defer cancel()
	accepted := t.logsIn(before, values)
	t.renew(before, fixed)
	began := t.Now()
	gone, err := t.revoke(ctx)
	t.add(StepRevoke, began, err)
	switch {
	case !accepted:
		t.skip(StepRefused, "no log-in was accepted before, so that a refusal would tell nothing")
	case !gone:
		t.skip(StepRefused, "the login is not gone yet")
	default:
		t.refused(ctx, values, fixed)
	}
}

// giveUp ends a lease that was not issued, in so far as that has not begun.
func (t *secretTest) giveUp(ctx context.Context) {
	for _, step := range []TestStep{StepLogIn, StepRenew} {
		t.skip(step, "the lease was not issued")
	}
	began := t.Now()
	lease, err := t.beginEnd(ctx)
	switch {
	case err != nil:
		t.add(StepRevoke, began, err)
	case lease.State.Live():
		t.skip(StepRevoke, "the end of the lease has begun: the broker makes sure that nothing is left of it")
	default:
		t.skip(StepRevoke, "nothing was made")
	}
	t.skip(StepRefused, "the lease was not issued")
}

// logsIn tries until a log-in is accepted.
func (t *secretTest) logsIn(ctx context.Context, values providers.Values) (accepted bool) {
	began := t.Now()
	err := t.logIn(ctx, values)
	for err != nil && !unsupported(err) && t.Now().Sub(began) < logInPatience && ctx.Err() == nil && t.sleep(logInPause) {
		err = t.logIn(ctx, values)
	}
	if unsupported(err) {
		t.skip(StepLogIn, err.Error())
		return false
	}
	t.add(StepLogIn, began, err)
	return err == nil
}

func (t *secretTest) logIn(ctx context.Context, values providers.Values) error {
	backend, release, err := t.backends.use(systemOf(t.lease))
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, logInPatience)
	defer cancel()
	return providers.LogIn(ctx, backend, values)
}

func (t *secretTest) renew(ctx context.Context, fixed bool) {
	began := t.Now()
	switch {
	case fixed:
		t.skip(StepRenew, "the end of what this provider makes is fixed as it is made")
		return
	case t.lease.RenewableTTL() < renewBy:
		t.skip(StepRenew, fmt.Sprintf("max_ttl of %s leaves no time to renew", fsm.FormatTTL(t.plan.secret.MaxTTL)))
		return
	}
	release, err := t.renewAlone(ctx, t.lease.ID)
	if err == nil {
		_, err = t.period.renew(ctx, t.req, RenewSpec{Lease: t.lease.ID, TTL: renewBy})
		release()
	}
	t.add(StepRenew, began, err)
}

// revoke ends the lease, and waits a few seconds for it.
func (t *secretTest) revoke(ctx context.Context) (gone bool, err error) {
	lease, err := t.beginEnd(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timing.RevokeWait)
	defer cancel()
	lease = t.awaitEnd(ctx, lease)
	switch {
	case !lease.State.Live():
		return true, nil
	case lease.LastError != "":
		return false, fmt.Errorf("the login is not removed yet, and the broker goes on trying: %s", lease.LastError)
	}
	return false, fmt.Errorf("the login is not removed after %s; the broker goes on until it is", fsm.FormatTTL(t.Timing.RevokeWait))
}

// beginEnd has the lease's end begin, unless it has.
func (t *secretTest) beginEnd(ctx context.Context) (fsm.Lease, error) {
	lease, err := t.beginRevoke(ctx, t.req, &fsm.BeginRevoke{ID: t.lease.ID, Cause: fsm.CauseRevoke, Reason: "end of the test"})
	if err == nil && lease.State == fsm.Revoking {
		t.drive(lease)
	}
	return lease, err
}

// refused makes sure that no log-in is accepted any more.
func (t *secretTest) refused(ctx context.Context, values providers.Values, fixed bool) {
	began := t.Now()
	err := t.logIn(ctx, values)
	for !rejected(err) && !fixed && t.Now().Sub(began) < refusalPatience && t.sleep(logInPause) {
		err = t.logIn(ctx, values)
	}
	switch {
	case rejected(err):
		t.add(StepRefused, began, nil)
	case err == nil && fixed:
		t.skip(StepRefused, "what this provider makes is good until its own end for whoever does not look at what was revoked")
	case err == nil:
		t.add(StepRefused, began, errors.New("a log-in is still accepted although the login was removed"))
	default:
		t.add(StepRefused, began, fmt.Errorf("whether a log-in is refused could not be seen: %w", err))
	}
}

func (t *secretTest) skip(step TestStep, why string) {
	t.findings = append(t.findings, TestFinding{Step: step, Result: TestSkipped, Message: why})
}

// add tells how a step went that began then.
func (t *secretTest) add(step TestStep, began time.Time, err error) {
	f := TestFinding{Step: step, Result: TestOK, Took: t.Now().Sub(began)}
	if err != nil {
		f.Result, f.Message, f.Hint = TestFailed, err.Error(), hintOf(err)
	}
	t.findings = append(t.findings, f)
}

// hintOf returns what an error says that a person does about it.
func hintOf(err error) string {
	var refusal *fsm.Refusal
	var provider *providers.Error
	switch {
	case errors.As(err, &refusal):
		return refusal.Details["hint"]
	case errors.As(err, &provider):
		return provider.Hint
	}
	return ""
}

func unsupported(err error) bool {
	return err != nil && classify(err).Kind == providers.KindUnsupported
}
func rejected(err error) bool { return err != nil && classify(err).Kind == providers.KindRejected }

// CallLogIn is the call by which a test logs in.
const CallLogIn Call = "log_in"

// LogIn logs in as a test does.
func (w *watched) LogIn(ctx context.Context, values providers.Values) error {
	ctx, done := w.begin(ctx, CallLogIn, 1, func() []providers.LoginName {
		return []providers.LoginName{providers.LoginName(values["username"].Reveal())}
	})
	err := providers.LogIn(ctx, w.backend, values)
	done(answered(err))
	return err
}

// LogIn changes nothing.
func (f *freezing) LogIn(ctx context.Context, values providers.Values) error {
	return providers.LogIn(ctx, f.Backend, values)
}

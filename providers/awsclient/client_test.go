package awsclient

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"broker/providers"
	"broker/providers/awsclient/awstest"
)

func clientAt(t *testing.T, fake *awstest.Fake, overrides map[string]any, env providers.Env) *Client {
	t.Helper()
	connection := fake.Connection(fake.Root)
	for name, value := range overrides {
		connection[name] = value
	}
	validated, problems := providers.Description{Name: "aws", Connection: Fields()}.ValidateConnection(connection)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c, err := New(validated, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A role of the connection is assumed with its external id, and named after the cluster.
func TestAssumedRole(t *testing.T) {
	fake := awstest.StartFake(t)
	role := fake.PutRole("broker", "arn:aws:iam::123456789012:user/*", "agreed", awstest.RootPolicy)
	c := clientAt(t, fake, map[string]any{"role_arn": role, "external_id": "agreed"}, providers.Env{ClusterID: "01J0CLUSTER"})
	caller, err := c.Prove(t.Context())
	if err != nil || caller.ARN != "arn:aws:sts::123456789012:assumed-role/broker/broker-01J0CLUSTER" || caller.SystemID() != "aws:123456789012" {
		t.Errorf("got %v, %v", caller, err)
	}
	if _, err := c.IAM.ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
		t.Errorf("using the role: %v", err)
	}
	_, err = clientAt(t, fake, map[string]any{"role_arn": role, "external_id": "wrong"}, providers.Env{}).Prove(t.Context())
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != providers.KindRejected || !e.NotSent || !strings.Contains(e.Hint, "Allow sts:AssumeRole on "+role) || !strings.Contains(e.Error(), "getting credentials of role") {
		t.Errorf("got %v, hint %q", err, e.Hint)
	}
}

// Each key is asked once whose it is, and AWS's clock is known from then on.
func TestProveOnceAndClock(t *testing.T) {
	fake := awstest.StartFake(t)
	fake.Behave(func(b *awstest.Behaviour) { b.Clock = 3 * time.Minute })
	c := clientAt(t, fake, nil, providers.Env{})
	if ahead := time.Until(c.Now()); ahead > time.Second {
		t.Errorf("the clock is %s ahead before anything was answered", ahead)
	}
	for range 3 {
		if _, err := c.Prove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := fake.Calls("GetCallerIdentity"); n != 1 {
		t.Errorf("asked %d times who signs, want once", n)
	}
	if ahead := time.Until(c.Now()); ahead < 3*time.Minute-2*time.Second || ahead > 3*time.Minute {
		t.Errorf("the clock is %s ahead, want 3 minutes less up to a second", ahead)
	}
}

// What must not happen twice is sent once, and again only after a refusal; everything else is tried again.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		fault awstest.Fault
		once  bool
		calls int
	}{
		{awstest.Fault{Lost: true}, false, 3},
		{awstest.Fault{Lost: true}, true, 1},
		{awstest.Fault{Code: "Throttling"}, true, 3},
		{awstest.Fault{Code: "ConcurrentModification"}, true, 3},
		{awstest.Fault{Code: "AccessDenied"}, false, 1},
	} {
		fake := awstest.StartFake(t)
		var sent atomic.Int32
		fake.Before(func(string, url.Values) awstest.Fault { sent.Add(1); return test.fault })
		c := clientAt(t, fake, nil, providers.Env{})
		var options []func(*iam.Options)
		if test.once {
			options = append(options, Once)
		}
		if _, err := c.IAM.ListUsers(t.Context(), &iam.ListUsersInput{}, options...); err == nil || int(sent.Load()) != test.calls {
			t.Errorf("%+v, once %t: %d calls, %v, want %d", test.fault, test.once, sent.Load(), err, test.calls)
		}
	}
}

func TestClassify(t *testing.T) {
	answered := func(code, message string) error {
		return &smithy.OperationError{ServiceID: "IAM", OperationName: "DeleteUser", Err: &smithy.GenericAPIError{Code: code, Message: message}}
	}
	for _, test := range []struct {
		err           error
		kind          providers.Kind
		busy, blocked bool
		hint          string
	}{
		{answered("Throttling", "Rate exceeded"), providers.KindUnavailable, true, false, "limits"},
		{answered("AccessDenied", "User: arn:aws:iam::1:user/b is not authorized to perform: iam:DeleteUser on resource: user brk_x because no identity-based policy allows"), providers.KindRejected, false, false, "Allow iam:DeleteUser on user to the root account"},
		{answered("AccessDenied", "no"), providers.KindRejected, false, false, "Allow iam:DeleteUser to the root account"},
		{answered("AccessDenied", "not authorized to perform: iam:DeleteUser on resource: x with an explicit deny in a service control policy"), providers.KindRejected, false, false, "denies iam:DeleteUser on x explicitly"},
		{answered("DeleteConflict", "must detach"), providers.KindRejected, false, true, ""},
		{answered("LimitExceeded", "quota"), providers.KindRejected, false, true, "quota"},
		{answered("EntityAlreadyExists", "there"), providers.KindExists, false, false, ""},
		{answered("SignatureDoesNotMatch", "Signature expired: x is now earlier"), providers.KindRejected, false, false, "clock"},
		{answered("SignatureDoesNotMatch", "does not match"), providers.KindRejected, false, false, "access key and secret"},
		{answered("ExpiredToken", "x"), providers.KindRejected, false, false, "temporary"},
		{context.DeadlineExceeded, providers.KindUnknown, false, false, ""},
		{fmt.Errorf("connection reset"), providers.KindUnknown, false, false, ""},
		{fmt.Errorf("dialing: %w", providers.ErrAddressRefused), providers.KindUnavailable, false, false, ""},
	} {
		e := Classify(test.err, "doing")
		if e.Kind != test.kind || e.Busy != test.busy || e.Blocked != test.blocked || !strings.Contains(e.Hint, test.hint) || (test.hint == "") != (e.Hint == "") {
			t.Errorf("%v: got %s, busy %t, blocked %t, hint %q", test.err, e.Kind, e.Busy, e.Blocked, e.Hint)
		}
	}
}

// A rotation meets a second key, a key that is no user's, and one that somebody else made meanwhile.
func TestRotationRefused(t *testing.T) {
	fake := awstest.StartFake(t)
	key := fake.NewRoot("broker", awstest.RootPolicy)
	own := map[string]any{"access_key_id": key.ID, "secret_access_key": key.Secret}
	c := clientAt(t, fake, own, providers.Env{})
	if _, err := c.IAM.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("broker")}); err != nil {
		t.Fatal(err)
	}
	_, err := c.PlanRotation(t.Context(), nil)
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != providers.KindRejected || !strings.Contains(e.Hint, "aws iam delete-access-key --user-name broker --access-key-id AKIA") || strings.Contains(e.Hint, key.ID) {
		t.Errorf("planning beside a second key: got %v, hint %q", err, e.Hint)
	}
	session := fake.OwnSession("broker")
	_, err = clientAt(t, fake, fake.Connection(session), providers.Env{}).PlanRotation(t.Context(), nil)
	if !errors.As(err, &e) || e.Kind != providers.KindUnsupported {
		t.Errorf("planning for a temporary key: got %v", err)
	}
	if err := c.Retire(t.Context(), providers.Settings{"access_key_id": key.ID, "secret_access_key": key.Secret}); err != nil {
		t.Errorf("retiring the present key: %v", err)
	}
	if _, err := c.Fresh(t.Context()); err != nil {
		t.Errorf("retiring the present key did harm: %v", err)
	}
}

// A rotation where AWS needs time to know keys, and forget them, ends when it does.
func TestRotationWaits(t *testing.T) {
	fake := awstest.StartFake(t)
	key := fake.NewRoot("broker", awstest.RootPolicy)
	before := map[string]any{"access_key_id": key.ID, "secret_access_key": key.Secret}
	c := clientAt(t, fake, before, providers.Env{})
	plan, err := c.PlanRotation(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Prove(t.Context()); err != nil {
		t.Fatal(err)
	}
	fake.Behave(func(b *awstest.Behaviour) { b.KeyDelay = 400 * time.Millisecond })
	changed, err := c.Rotate(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	after := clientAt(t, fake, changed, providers.Env{})
	if _, err := after.Prove(t.Context()); err != nil {
		t.Errorf("the new key is not accepted when Rotate returns: %v", err)
	}
	if again, err := after.Rotate(t.Context(), plan); err != nil || again.String(FieldAccessKeyID) != changed.String(FieldAccessKeyID) {
		t.Errorf("rotating with the new key makes another: %v", err)
	}
	if err := after.Retire(t.Context(), before); err != nil {
		t.Errorf("retiring: %v", err)
	}
	if keys := fake.Keys("broker"); len(keys) != 1 || keys[0] != changed.String(FieldAccessKeyID) {
		t.Errorf("keys are %v, want the new one", keys)
	}
}

// A process that stood still may rotate late, when another one's key is in the ledger already: it takes nothing away.
func TestRotationLate(t *testing.T) {
	fake := awstest.StartFake(t)
	key := fake.NewRoot("broker", awstest.RootPolicy)
	old := map[string]any{"access_key_id": key.ID, "secret_access_key": key.Secret}
	c := clientAt(t, fake, old, providers.Env{})
	plan, err := c.PlanRotation(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := c.Rotate(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Rotate(t.Context(), plan)
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != providers.KindTooEarly {
		t.Errorf("rotating late: got %v, want too early", err)
	}
	if _, err := clientAt(t, fake, changed, providers.Env{}).Prove(t.Context()); err != nil {
		t.Errorf("the key in the ledger is good no more: %v", err)
	}
	// Two minutes later no call of then can come any more, and whoever rotates has not got the key.
	fake.Behave(func(b *awstest.Behaviour) { b.Clock = 3 * time.Minute })
	if _, err := c.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := c.Rotate(t.Context(), plan)
	if err != nil || again.String(FieldAccessKeyID) == changed.String(FieldAccessKeyID) {
		t.Errorf("rotating when the lost key is old: %v", err)
	}
	// A plan that covers one that was given up is made though there are two keys.
	if plan, err = c.PlanRotation(t.Context(), plan); err != nil || len(plan.List(existingKeys)) != 1 {
		t.Errorf("planning after a rotation that was given up: %v, %v", plan, err)
	}
	if err := clientAt(t, fake, again, providers.Env{}).Retire(t.Context(), providers.Settings{FieldAccessKeyID: key.ID, FieldSecretAccessKey: key.Secret}); err != nil {
		t.Fatal(err)
	}
	// That an old key is refused is no word on what a rotation made.
	if _, err = clientAt(t, fake, old, providers.Env{}).Rotate(t.Context(), plan); !errors.As(err, &e) || e.Kind != providers.KindUnavailable {
		t.Errorf("rotating with a retired key: got %v, want unavailable", err)
	}
}

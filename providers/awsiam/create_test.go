package awsiam_test

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/awsclient/awstest"
)

// Until the key, which comes last, nobody can do anything with a user.
func TestCreateMakesTheKeyLast(t *testing.T) {
	t.Parallel()
	k := open(t)
	var mu sync.Mutex
	var order []string
	k.fake.Before(func(action string, _ url.Values) awstest.Fault {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, action)
		return awstest.Fault{}
	})
	k.create(map[string]any{"policy_arns": "arn:aws:iam::aws:policy/ReadOnlyAccess", "inline_policy": awstest.ReadPolicy})
	mu.Lock()
	defer mu.Unlock()
	got := strings.Join(order[1:len(order)-1], " ") // between the question who we are and the log-in
	if want := "CreateUser AddUserToGroup AttachUserPolicy PutUserPolicy CreateAccessKey"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A create that fails or is cut short at any step leaves what a revoke removes.
func TestCreateCutShort(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"CreateUser", "AddUserToGroup", "AttachUserPolicy", "PutUserPolicy", "CreateAccessKey"} {
		for name, fault := range map[string]awstest.Fault{"lost": {Lost: true}, "failing": {Code: "ServiceFailure", Text: "x"}, "refused": {Code: "AccessDenied", Text: "no"}} {
			k := open(t)
			k.fake.Before(func(called string, _ url.Values) awstest.Fault {
				if called == action {
					return fault
				}
				return awstest.Fault{}
			})
			grant := k.grant(map[string]any{"policy_arns": "arn:aws:iam::aws:policy/ReadOnlyAccess", "inline_policy": awstest.ReadPolicy})
			_, err := k.Create(k.ctx(), grant)
			if name == "lost" {
				classified(t, err, providers.KindUnknown)
			}
			if err == nil {
				t.Errorf("%s is %s: no error", action, name)
			}
			k.fake.Before(nil)
			if err := k.revoke(k.again(), grant.Login); err != nil {
				t.Errorf("%s is %s: revoking: %v", action, name, err)
			}
			if err := k.ConfirmAbsent(k.ctx(), []providers.Login{grant.Login}, time.Now().Add(-time.Second))[grant.Name]; err != nil {
				t.Errorf("%s is %s: confirming absence: %v", action, name, err)
			}
			k.want()
		}
	}
}

// A user that IAM does not know yet a moment after it was made is waited for; what is missing otherwise is not.
func TestCreateWaitsForItsUser(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.fake.Behave(func(b *awstest.Behaviour) { b.Unknown = 400 * time.Millisecond })
	k.create(nil)
	grant := k.grant(map[string]any{"groups": "no_such_group"})
	_, err := k.Create(k.ctx(), grant)
	if e := classified(t, err, providers.KindRejected); !strings.Contains(e.Error(), "no_such_group") {
		t.Errorf("the error does not name what is missing: %v", e)
	}
}

func TestCreateWaitsForTheKey(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.fake.Behave(func(b *awstest.Behaviour) { b.KeyDelay = 300 * time.Millisecond })
	k.create(map[string]any{"wait_ready": true}) // logs in at once
	values, err := k.Create(k.ctx(), k.grant(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.fake.LogIn(k.ctx(), plain(values)); err == nil {
		t.Error("a key is accepted at once, so that the test shows nothing")
	}
	// A key that is not known in time is handed out nevertheless.
	k.fake.Behave(func(b *awstest.Behaviour) { b.KeyDelay = time.Hour })
	grant := k.grant(map[string]any{"wait_ready": true})
	grant.Deadline = time.Now().Add(3 * time.Second)
	if _, err := k.with(k.fake.Root, "").Create(k.ctx(), grant); err != nil {
		t.Errorf("creating a key that AWS does not know in time: %v", err)
	}
}

func TestCreateThrottled(t *testing.T) {
	t.Parallel()
	k := open(t)
	var refused atomic.Int32
	k.fake.Before(func(string, url.Values) awstest.Fault {
		if refused.Add(1)%2 != 0 {
			return awstest.Fault{Code: "Throttling", Text: "Rate exceeded"}
		}
		return awstest.Fault{}
	})
	grant := k.grant(nil)
	if _, err := k.Create(k.ctx(), grant); err != nil {
		t.Errorf("creating while every call is refused once: %v", err)
	}
	k.fake.Before(func(action string, _ url.Values) awstest.Fault {
		if action != "GetCallerIdentity" {
			return awstest.Fault{Code: "Throttling", Text: "Rate exceeded"}
		}
		return awstest.Fault{}
	})
	_, err := k.Create(k.ctx(), k.grant(nil))
	if e := classified(t, err, providers.KindUnavailable); !e.Busy || !e.NotSent {
		t.Errorf("got busy %t, not sent %t, want both: %v", e.Busy, e.NotSent, e)
	}
	if e := classified(t, k.revoke(k.Backend, grant.Login), providers.KindUnavailable); !e.Busy {
		t.Errorf("a revoke that was throttled is not busy: %v", e)
	}
}

// The deadline is by AWS's clock, and AWS keeps it: a call that is held up is refused when it arrives.
func TestCreateDeadline(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.fake.Behave(func(b *awstest.Behaviour) { b.Clock = 2 * time.Minute })
	_, err := k.Create(k.ctx(), k.grant(nil))
	classified(t, err, providers.KindRejected)
	k.fake.Behave(func(b *awstest.Behaviour) { b.Clock = 0 })

	for _, action := range []string{"CreateUser", "CreateAccessKey"} {
		k := open(t)
		grant := k.grant(nil)
		grant.Deadline = time.Now().Add(1500 * time.Millisecond)
		done := make(chan error, 1)
		// Everything after the step before is held up until the deadline is over.
		k.fake.Hold(action, grant.Deadline)
		go func() {
			_, err := k.Create(k.ctx(), grant)
			done <- err
		}()
		if e := classified(t, <-done, providers.KindRejected); !strings.Contains(e.Error(), "Signature expired") {
			t.Errorf("%s held up: got %v, want a signature that expired", action, e)
		}
		if keys := k.fake.Keys(string(grant.Name)); len(keys) > 0 {
			t.Errorf("%s held up: there is a key", action)
		}
	}
}

// An account that is not meant is left alone, whatever it says about users.
func TestAnotherAccount(t *testing.T) {
	t.Parallel()
	k := open(t)
	login, values := k.create(nil)
	meant, err := k.Check(k.ctx())
	if err != nil || meant != "aws:"+awstest.Account {
		t.Fatalf("checking: got %q, %v", meant, err)
	}
	k.fake.Behave(func(b *awstest.Behaviour) { b.AccountID = "999999999999" })
	b := k.with(k.root, meant)
	got, err := b.Check(k.ctx())
	if err != nil || got == meant {
		t.Errorf("checking another account: got %q, %v, want its own id", got, err)
	}
	never := k.grant(nil)
	_, err = b.Create(k.ctx(), never)
	for what, err := range map[string]error{
		"create": err, "revoke": k.revoke(b, login), "revoke of what is not there": k.revoke(b, never.Login),
		"confirm absent": b.ConfirmAbsent(k.ctx(), []providers.Login{never.Login}, time.Now().Add(-time.Second))[never.Name],
	} {
		if e := classified(t, err, providers.KindUnavailable); !e.NotSent || !strings.Contains(e.Error(), string(meant)) {
			t.Errorf("%s: got %v, want one that was not sent and names %s", what, err, meant)
		}
	}
	for found, err := range b.List(k.ctx(), k.prefix) {
		if err == nil {
			t.Errorf("listing another account yields %v", found)
		}
	}
	k.want(string(login.Name))
	k.fake.Behave(func(b *awstest.Behaviour) { b.AccountID = "" })
	if err := k.fake.LogIn(k.ctx(), plain(values)); err != nil {
		t.Errorf("the login was touched: %v", err)
	}
}

// A root account that lacks something is told what, and by which statement it gets it.
func TestMissingPrivileges(t *testing.T) {
	t.Parallel()
	k := open(t)
	policy := strings.NewReplacer(`, "iam:DeleteUser"`, "", `"iam:ListSSHPublicKeys", `, "").Replace(awstest.RootPolicy)
	b := k.with(k.fake.NewRoot("lesser", policy), "")
	_, err := b.Check(k.ctx())
	e := classified(t, err, providers.KindRejected)
	for _, action := range []string{"iam:DeleteUser", "iam:ListSSHPublicKeys"} {
		if !strings.Contains(e.Error(), action) || !strings.Contains(e.Hint, `"`+action+`"`) {
			t.Errorf("%s is not named: %v, hint %q", action, e, e.Hint)
		}
	}
	_, err = k.with(k.fake.NewRoot("none", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*"}}`), "").Create(k.ctx(), k.grant(nil))
	if e := classified(t, err, providers.KindRejected); !strings.Contains(e.Hint, "Allow iam:CreateUser on arn:aws:iam::"+awstest.Account+":user/"+k.prefix) {
		t.Errorf("the hint does not name the action: %q", e.Hint)
	}
	k.want()
}

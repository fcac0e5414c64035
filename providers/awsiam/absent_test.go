package awsiam_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/awsclient/awstest"
)

// A user that IAM denies to have when asked is found by claiming its name.
func TestConfirmAbsentIsNotFooled(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.fake.Behave(func(b *awstest.Behaviour) { b.Unknown = time.Hour })
	grant := k.grant(nil)
	ctx, cancel := context.WithTimeout(k.ctx(), 300*time.Millisecond)
	defer cancel()
	if _, err := k.Create(ctx, grant); err == nil {
		t.Fatal("a user that is not known was given a group")
	}
	if err := k.revoke(k.Backend, grant.Login); err != nil {
		t.Fatalf("the test shows nothing: revoking a user that is not known: %v", err)
	}
	confirm := func() error {
		return k.ConfirmAbsent(k.ctx(), []providers.Login{grant.Login}, time.Now().Add(-time.Second))[grant.Name]
	}
	classified(t, confirm(), providers.KindExists)
	k.fake.Behave(func(b *awstest.Behaviour) { b.Unknown = 0 })
	if err := k.revoke(k.Backend, grant.Login); err != nil {
		t.Errorf("revoking: %v", err)
	}
	if err := confirm(); err != nil {
		t.Errorf("confirming: %v", err)
	}
	k.want()
}

// What a claim made is ours to find and to remove, should it be cut short.
func TestConfirmAbsentCutShort(t *testing.T) {
	t.Parallel()
	k := open(t)
	login := k.grant(map[string]any{"iam_path": "/broker/", "permission_boundary_arn": k.fake.PutPolicy("leased", awstest.ReadPolicy)}).Login
	k.fake.Before(func(action string, _ url.Values) awstest.Fault {
		if action == "DeleteUser" {
			return awstest.Fault{Code: "ServiceFailure", Text: "x"}
		}
		return awstest.Fault{}
	})
	if err := k.ConfirmAbsent(k.ctx(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name]; err == nil {
		t.Error("absence was confirmed with a user left behind")
	}
	k.fake.Before(nil)
	k.want(string(login.Name))
	for found, err := range k.again().List(k.ctx(), k.prefix) {
		if err != nil || found.Name != login.Name || !found.Ours {
			t.Errorf("listing: got %v, %v", found, err)
		}
	}
	if err := k.revoke(k.again(), login); err != nil {
		t.Errorf("revoking: %v", err)
	}
	k.want()
}

// A boundary that was deleted since does not keep a lease from ending.
func TestConfirmAbsentWithoutItsBoundary(t *testing.T) {
	t.Parallel()
	k := open(t)
	login := k.grant(map[string]any{"permission_boundary_arn": noPolicy}).Login
	if err := k.ConfirmAbsent(k.ctx(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name]; err != nil {
		t.Errorf("confirming: %v", err)
	}
	k.want()
}

// Users come in pages, and whose they are is asked once.
func TestList(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.fake.Behave(func(b *awstest.Behaviour) { b.PageSize = 7 })
	for range 30 {
		k.create(nil)
	}
	k.fake.NewRoot(k.prefix+"foreign", awstest.ReadPolicy)
	b := k.again()
	for range 2 {
		count, ours := 0, 0
		for found, err := range b.List(k.ctx(), k.prefix) {
			if err != nil {
				t.Fatal(err)
			}
			count++
			if found.Ours {
				ours++
			}
		}
		if count != 31 || ours != 30 {
			t.Errorf("listing: got %d, %d ours, want 31 and 30", count, ours)
		}
	}
	if asked := k.fake.Calls("GetUser"); asked != 32 {
		t.Errorf("asked %d times whose a user is, want 30 times once and twice for the foreign one", asked)
	}
}

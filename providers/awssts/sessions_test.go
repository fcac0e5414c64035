package awssts_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/awsclient/awstest"
	"broker/providers/awssts"
)

// AWS makes no session for less than 15 minutes; the session's own policy ends it with the lease. Until then a revoke
// says that it goes on, and nothing else.
func TestSessionEndsWithItsLease(t *testing.T) {
	t.Parallel()
	k := open(t)
	login, values := k.create(time.Minute, nil)
	if err := k.logIn(values); err != nil {
		t.Fatal(err)
	}
	if e := classified(t, k.revoke(login), providers.KindRejected); !e.Blocked || !strings.Contains(e.Error(), "AWS cannot end a single session") {
		t.Errorf("got %v, blocked %t", e, e.Blocked)
	}
	if err := k.logIn(values); err != nil {
		t.Errorf("the test shows nothing: %v", err)
	}
	k.fake.Behave(func(b *awstest.Behaviour) { b.Clock = time.Minute + time.Second })
	if err := k.logIn(values); err == nil {
		t.Error("a session outlived its lease")
	}
	if err := k.revoke(login); err != nil {
		t.Errorf("revoking after the end: %v", err)
	}
}

// The denial after the end does not widen what a session may do.
func TestSessionPolicyLimits(t *testing.T) {
	t.Parallel()
	k := open(t)
	nothing := k.fake.PutPolicy("nothing", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*"}}`)
	for _, test := range []struct {
		options map[string]any
		may     bool
	}{
		{map[string]any{}, true},
		{map[string]any{"session_policy": `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`}, true},
		{map[string]any{"session_policy": `{"Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}`}, false},
		{map[string]any{"policy_arns": nothing}, false},
		{map[string]any{"policy_arns": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, true},
		{map[string]any{"policy_arns": nothing, "session_policy": awstest.ReadPolicy}, true},
	} {
		_, values := k.create(time.Hour, test.options)
		if err := k.logIn(values); (err == nil) != test.may {
			t.Errorf("%v: got %v, want allowed %t", test.options, err, test.may)
		}
	}
}

// With revocation=deny one session is ended and no other, and its denial goes when it is needed no more.
func TestRevocationDeny(t *testing.T) {
	t.Parallel()
	k := open(t, awstest.STSDenyPolicy)
	deny := map[string]any{"revocation": "deny"}
	first, values := k.create(10*time.Minute, deny)
	other, others := k.create(30*time.Minute, deny)
	for range 2 {
		if err := k.revoke(first); err != nil {
			t.Fatalf("revoking: %v", err)
		}
	}
	if err := k.logIn(values); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
	if err := k.logIn(others); err != nil {
		t.Errorf("another session was ended: %v", err)
	}
	if got := k.fake.RolePolicies("reader"); len(got) != 2 {
		t.Errorf("the role's policies are %v, want the given one and a denial", got)
	}
	k.fake.Behave(func(b *awstest.Behaviour) { b.Clock = 31 * time.Minute })
	if err := k.revoke(other); err != nil {
		t.Errorf("revoking after the end: %v", err)
	}
	if got := k.fake.RolePolicies("reader"); len(got) != 1 || got[0] != "given" {
		t.Errorf("the role's policies are %v, want the given one", got)
	}
}

// A role that has no room for another denial makes room of old ones, or says so.
func TestRevocationDenyWithoutRoom(t *testing.T) {
	t.Parallel()
	k := open(t, awstest.STSDenyPolicy)
	deny := map[string]any{"revocation": "deny"}
	var full error
	var login providers.Login
	for range 200 {
		login, _ = k.create(20*time.Minute, deny)
		if full = k.revoke(login); full != nil {
			break
		}
	}
	if e := classified(t, full, providers.KindRejected); !e.Blocked || !strings.Contains(e.Error(), "no room") {
		t.Errorf("got %v", e)
	}
	later, _ := k.create(50*time.Minute, deny)
	k.fake.Behave(func(b *awstest.Behaviour) { b.Clock = 21 * time.Minute })
	if err := k.revoke(later); err != nil {
		t.Errorf("revoking with room made: %v", err)
	}
	if got := k.fake.RolePolicies("reader"); len(got) != 2 {
		t.Errorf("the role's policies are %v, want the given one and one denial", got)
	}
}

// Where the root account lacks the right, the lease goes on revoking and says which.
func TestRevocationDenyForbidden(t *testing.T) {
	t.Parallel()
	k := open(t)
	login, values := k.create(time.Hour, map[string]any{"revocation": "deny"})
	if e := classified(t, k.revoke(login), providers.KindRejected); !strings.Contains(e.Hint, "iam:PutRolePolicy on "+k.role) {
		t.Errorf("the hint does not name the right: %q", e.Hint)
	}
	if err := k.logIn(values); err != nil {
		t.Error(err)
	}
	for _, test := range []struct{ role, says string }{
		{k.role, "Allow iam:ListRolePolicies"}, {"arn:aws:iam::999999999999:role/reader", "of the connection's account"}, {"arn:aws-cn:iam::123456789012:role/x", "partition aws-cn"},
	} {
		problems, err := providers.CheckOptions(k.ctx(), k.Backend, k.grant(time.Hour, map[string]any{"role_arn": test.role, "revocation": "deny"}).Options)
		if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Message, test.says) {
			t.Errorf("%s: got %v, %v, want %q", test.role, problems, err, test.says)
		}
	}
}

// A role of another account is never denied at the one of the same name here.
func TestRevocationDenyElsewhere(t *testing.T) {
	t.Parallel()
	k := open(t, awstest.STSDenyPolicy)
	login := k.grant(time.Hour, map[string]any{"role_arn": "arn:aws:iam::999999999999:role/reader", "revocation": "deny"}).Login
	if e := classified(t, k.revoke(login), providers.KindRejected); !e.Blocked {
		t.Errorf("got %v, want blocked", e)
	}
	if got := k.fake.RolePolicies("reader"); len(got) != 1 {
		t.Errorf("the role's policies are %v", got)
	}
}

func TestCreateRefused(t *testing.T) {
	t.Parallel()
	k := open(t)
	for _, test := range []struct {
		name    string
		ttl     time.Duration
		options map[string]any
		hint    string
	}{
		{"a wrong external id", time.Hour, map[string]any{"external_id": "x"}, "trust policy"},
		{"another role", time.Hour, map[string]any{"role_arn": noRole}, "Allow sts:AssumeRole"},
		{"too long for the role", 2 * time.Hour, nil, "max-session-duration"},
		{"too long for AWS", 13 * time.Hour, nil, ""},
	} {
		grant := k.grant(test.ttl, test.options)
		_, err := k.Create(k.ctx(), grant)
		if e := classified(t, err, providers.KindRejected); !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%s: hint %q, want %q", test.name, e.Hint, test.hint)
		}
		// What AWS refused need not be waited for.
		if err := k.revoke(grant.Login); err != nil && test.ttl < 12*time.Hour {
			t.Errorf("%s: revoking: %v", test.name, err)
		}
	}
	// An answer that is lost is another matter.
	k.fake.Before(func(action string, _ url.Values) awstest.Fault { return awstest.Fault{Lost: action == "AssumeRole"} })
	grant := k.grant(time.Hour, nil)
	_, err := k.Create(k.ctx(), grant)
	classified(t, err, providers.KindUnknown)
	classified(t, k.revoke(grant.Login), providers.KindRejected)
	if k.fake.Calls("AssumeRole") != 4 {
		t.Errorf("AssumeRole was carried out or refused %d times, want 4", k.fake.Calls("AssumeRole"))
	}
}

// A create that is held up beyond its deadline makes nothing.
func TestCreateHeldUp(t *testing.T) {
	t.Parallel()
	k := open(t)
	grant := k.grant(time.Hour, nil)
	grant.Deadline = time.Now().Add(1500 * time.Millisecond)
	k.fake.Hold("AssumeRole", grant.Deadline)
	_, err := k.Create(k.ctx(), grant)
	if e := classified(t, err, providers.KindRejected); !strings.Contains(e.Error(), "Signature expired") {
		t.Errorf("got %v", e)
	}
}

func TestAnotherAccount(t *testing.T) {
	t.Parallel()
	k := open(t)
	b := k.with(k.fake.Root, "aws:999999999999")
	login := k.grant(-time.Hour, nil).Login
	for what, err := range map[string]error{
		"revoke":         b.Revoke(k.ctx(), []providers.Login{login})[login.Name],
		"confirm absent": b.ConfirmAbsent(k.ctx(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name],
	} {
		if e := classified(t, err, providers.KindUnavailable); !e.NotSent {
			t.Errorf("%s: %v", what, e)
		}
	}
}

// Somebody else's server takes what we send, and its sessions read.
func TestMoto(t *testing.T) {
	t.Parallel()
	root, err := server.NewRoot(t.Context(), fmt.Sprintf("sts%d", time.Now().UnixNano()), awstest.STSRootPolicy)
	if err != nil {
		t.Fatal(err)
	}
	connection := server.Connection()
	connection["access_key_id"], connection["secret_access_key"] = root.ID, root.Secret
	b := backendAt(t, connection, providers.Env{ClusterID: "x", Prefix: "brk_moto_"})
	if id, err := b.Check(t.Context()); err != nil || id != "aws:"+awstest.Account {
		t.Fatalf("checking: %q, %v", id, err)
	}
	options, problems := awssts.Provider{}.Describe().ValidateOptions(server.RoleOptions())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	login := providers.Login{Name: "brk_moto_test", ExpiresAt: time.Now().Add(time.Hour), Options: options}
	values, err := b.Create(t.Context(), providers.Grant{Login: login, Deadline: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.LogIn(t.Context(), plain(values)); err != nil {
		t.Errorf("reading the object: %v", err)
	}
	if err := providers.LogIn(t.Context(), b, values); err != nil {
		t.Errorf("trying the log-in: %v", err)
	}
}

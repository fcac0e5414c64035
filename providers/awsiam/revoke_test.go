package awsiam_test

import (
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"broker/providers"
	"broker/providers/awsclient/awstest"
)

// Whatever a user was given meanwhile goes with it, however many pages that fills.
func TestRevokeTakesEverything(t *testing.T) {
	t.Parallel()
	k := open(t)
	login, values := k.create(nil)
	k.fake.Behave(func(b *awstest.Behaviour) { b.PageSize = 5 })
	k.fake.Belongings(string(login.Name), 16)
	for _, missing := range []error{k.revoke(k.again(), login)} {
		// The root account may leave only the group that its policy names.
		e := classified(t, missing, providers.KindRejected)
		if !strings.Contains(e.Error(), "RemoveUserFromGroup") || !strings.Contains(e.Hint, "iam:RemoveUserFromGroup on arn:aws:iam::") {
			t.Errorf("the error does not tell what is missing: %v, hint %q", e, e.Hint)
		}
	}
	if err := k.fake.LogIn(k.ctx(), plain(values)); err == nil {
		t.Error("a log-in was accepted while the user could not be removed")
	}
	all := k.with(k.fake.NewRoot("broker2", strings.ReplaceAll(awstest.RootPolicy, ":group/readers", ":group/*")), "")
	if err := k.revoke(all, login); err != nil {
		t.Errorf("revoking: %v", err)
	}
	k.want()
}

// A temporary credential that a user made of its key ends with it, and also when the user itself cannot be removed.
func TestRevokeEndsSessions(t *testing.T) {
	t.Parallel()
	k := open(t)
	login, _ := k.create(nil)
	session := k.fake.OwnSession(string(login.Name))
	logIn := func() error {
		return k.fake.LogIn(k.ctx(), map[string]string{"access_key_id": session.ID, "secret_access_key": session.Secret, "session_token": session.Token})
	}
	if err := logIn(); err != nil {
		t.Fatalf("a session that was just made: %v", err)
	}
	// A list that fails leaves the user what it has, and denied.
	k.fake.Before(func(action string, _ url.Values) awstest.Fault {
		if action == "ListGroupsForUser" {
			return awstest.Fault{Code: "AccessDenied", Text: "User: x is not authorized to perform: iam:ListGroupsForUser"}
		}
		return awstest.Fault{}
	})
	classified(t, k.revoke(k.Backend, login), providers.KindRejected)
	k.want(string(login.Name))
	if err := logIn(); err == nil {
		t.Error("a session outlived the revoke that could not remove its user")
	}
	k.fake.Before(nil)
	if err := k.revoke(k.Backend, login); err != nil {
		t.Errorf("revoking: %v", err)
	}
	if err := logIn(); err == nil {
		t.Error("a session outlived its user")
	}
}

// An answer that a user does not exist may be an old one: it counts when it came twice.
func TestRevokeLooksTwice(t *testing.T) {
	t.Parallel()
	k := open(t)
	login, _ := k.create(nil)
	var looks atomic.Int32
	k.fake.Before(func(action string, _ url.Values) awstest.Fault {
		if (action == "PutUserPolicy" || action == "DeleteUser") && looks.Add(1) <= 2 {
			return awstest.Fault{Code: "NoSuchEntity", Text: "The user with name " + string(login.Name) + " cannot be found."}
		}
		return awstest.Fault{}
	})
	if err := k.revoke(k.Backend, login); err != nil {
		t.Errorf("revoking: %v", err)
	}
	k.want()
}

// One "not found" among the steps ends none of the others.
func TestRevokeIgnoresWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"ListAccessKeys", "DeleteAccessKey", "ListGroupsForUser", "RemoveUserFromGroup", "ListUserPolicies", "DeleteUserPolicy", "ListAttachedUserPolicies", "PutUserPolicy"} {
		k := open(t)
		login, _ := k.create(map[string]any{"inline_policy": awstest.ReadPolicy})
		var told atomic.Bool
		k.fake.Before(func(called string, _ url.Values) awstest.Fault {
			if called == action && !told.Swap(true) {
				return awstest.Fault{Code: "NoSuchEntity", Text: "not here"}
			}
			return awstest.Fault{}
		})
		if err := k.revoke(k.Backend, login); err != nil {
			t.Errorf("%s: revoking: %v", action, err)
		}
		if !told.Load() {
			t.Errorf("%s: was not called", action)
		}
		k.want()
	}
}

// A revoke that is cut short anywhere is finished by another Backend.
func TestRevokeGoesOn(t *testing.T) {
	t.Parallel()
	for cut := int32(0); ; cut++ {
		k := open(t)
		login, values := k.create(map[string]any{"policy_arns": "arn:aws:iam::aws:policy/ReadOnlyAccess"})
		var calls atomic.Int32
		k.fake.Before(func(string, url.Values) awstest.Fault {
			if calls.Add(1) > cut {
				return awstest.Fault{Code: "InternalFailure", Text: "cut"}
			}
			return awstest.Fault{}
		})
		first := k.revoke(k.again(), login)
		k.fake.Before(nil)
		if err := k.revoke(k.again(), login); err != nil {
			t.Errorf("after %d calls: revoking again: %v", cut, err)
		}
		if err := k.fake.LogIn(k.ctx(), plain(values)); err == nil {
			t.Errorf("after %d calls: a log-in was accepted", cut)
		}
		k.want()
		if first == nil {
			if cut < 8 {
				t.Errorf("a revoke took %d calls only", cut)
			}
			return
		}
	}
}

// A lost answer to the deletion is no success by itself, and no trouble.
func TestRevokeLosesAnAnswer(t *testing.T) {
	t.Parallel()
	k := open(t)
	login, _ := k.create(nil)
	var lost atomic.Bool
	k.fake.Before(func(action string, _ url.Values) awstest.Fault {
		return awstest.Fault{Lost: action == "DeleteUser" && !lost.Swap(true)}
	})
	if err := k.revoke(k.Backend, login); err != nil {
		t.Errorf("revoking: %v", err)
	}
	k.want()
}

// A user whose keys somebody switched off is removed like any other.
func TestRevokeInactiveKeys(t *testing.T) {
	t.Parallel()
	k := open(t)
	login, values := k.create(nil)
	k.fake.Deactivate(string(login.Name))
	if err := k.fake.LogIn(k.ctx(), plain(values)); err == nil {
		t.Error("an inactive key was accepted")
	}
	if err := k.revoke(k.Backend, login); err != nil {
		t.Errorf("revoking: %v", err)
	}
	k.want()
}

// A whole batch goes at once, and one whose name is not ours fails alone.
func TestRevokeMany(t *testing.T) {
	t.Parallel()
	k := open(t)
	var logins []providers.Login
	for range 40 {
		login, _ := k.create(nil)
		logins = append(logins, login)
	}
	logins = append(logins, providers.Login{Name: "administrator"}, logins[0])
	answers := k.Revoke(k.ctx(), logins)
	for name, err := range answers {
		if name == "administrator" {
			classified(t, err, providers.KindRejected)
		} else if err != nil {
			t.Errorf("revoking %s: %v", name, err)
		}
	}
	if len(answers) != 41 {
		t.Errorf("got %d answers, want 41", len(answers))
	}
	k.want()
}

package console_test

import (
	"testing"

	"broker/api/client"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// Two people change one thing: whoever is second is told by whom it was changed, keeps what was typed, and can load what it is now.
func TestTwoPeopleAtOneForm(t *testing.T) {
	h := consoletest.Start(t)
	c, ctx := h.Client(), t.Context()
	quicker, token := h.Person("admin", "*")
	other := h.ClientOf(token)
	theirs := "Theirs"

	must(t, nil, second(c.CreateConnection(ctx, types.ConnectionSpec{Name: "two-people", Provider: "webhook", SkipCheck: true, Settings: map[string]any{"url": "http://127.0.0.1:1/", "secret": "0123456789abcdef0123456789abcdef"}})))
	must(t, nil, second(c.CreateAccount(ctx, types.AccountSpec{Name: "two-people", Kind: "service"})))
	must(t, nil, second(c.CreatePolicy(ctx, types.PolicySpec{Name: "two-people", Text: `forbid (principal, action == Action::"lease:issue", resource in App::"two-people");`})))
	locked, err := c.CreateLock(ctx, types.LockSpec{Scope: types.LockScope{Environment: "two-people/*"}, Reason: "for two people"})
	must(t, locked, err)

	b := h.Browser(1, h.Token())
	for _, form := range []struct {
		path, open string // where the form is, and what opens it
		field      string
		save       string
		change     func() error // what the other does meanwhile
	}{
		{"/ui/connections/two-people", "Configure", "Description", "Check and save", func() error {
			return second(other.UpdateConnection(ctx, "two-people", types.ConnectionChange{Description: &theirs}))
		}},
		{"/ui/accounts/two-people", "Change", "Description", "Save", func() error {
			return second(other.UpdateAccount(ctx, "two-people", types.AccountChange{Description: &theirs}))
		}},
		{"/ui/policies/two-people", "Change", "Description", "Save", func() error {
			return second(other.UpdatePolicy(ctx, "two-people", types.PolicyChange{Description: &theirs}))
		}},
		{"/ui/locks", "Change the lock of environment two-people/*", "Reason", "Save", func() error {
			return second(other.UpdateLock(ctx, locked.Lock.ID, types.LockChange{Reason: &theirs}))
		}},
	} {
		b.Open(form.path)
		b.Click(form.open)
		b.Fill(form.field, "Mine")
		must(t, nil, form.change())
		b.Click(form.save)
		b.See("It was changed meanwhile")
		b.See("By " + quicker)
		if got := b.Value(form.field); got != "Mine" {
			t.Errorf("%s keeps %q", form.path, got)
		}
		b.Click("Load what it is now")
		b.Gone("It was changed meanwhile")
		if got := b.Value(form.field); got != theirs {
			t.Errorf("%s loads %q", form.path, got)
		}
		b.Fill(form.field, "Mine")
		b.Click(form.save)
		b.Gone("Cancel")
	}
}

// A role that two people take away is gone for the second, who is told.
func TestTwoPeopleTakeARole(t *testing.T) {
	h := consoletest.Start(t)
	c, ctx := h.Client(), t.Context()
	holder, _ := h.Person("auditor", "*")
	found, err := c.ListRoleBindings(ctx, client.BindingFilter{Account: holder}, client.ListOptions{})
	must(t, found, err)
	b := h.Browser(1, h.Token())
	b.Expect("status of 404")
	b.Open("/ui/accounts/" + holder)
	b.Click("Take away auditor on *")
	b.See("It holds no more")
	must(t, nil, c.DeleteRoleBinding(ctx, found.Items[0].ID))
	b.Click("Take away")
	b.See("It is not there")
}

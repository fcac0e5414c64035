package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// A person generates a lease by clicks, uses the values once, renews, looks at its history and revokes it.
func TestLeaseLife(t *testing.T) {
	h := consoletest.Start(t)
	b := h.Browser(1, h.Token())
	b.Open("/ui/environments/payments/production/secrets/orders-ro/leases?account=nobody-has-this")
	b.See("No lease is like this")
	b.Axe()
	b.Open("/ui/environments/payments/production/secrets/orders-ro/leases")
	b.Click("Generate")
	b.Fill("Name", "life-of-one")
	b.Fill("TTL", "90d")
	b.Click("Generate")
	b.See("24h") // the most that may be
	b.Axe()
	b.Shot("generate-wrong")
	b.Click("1 h")
	b.Fill("Labels", "ticket=OPS-17")
	b.Click("Generate")
	b.See("they are not shown again")
	b.Axe()
	b.Shot("generated")
	password := b.Eval(`document.querySelector("[aria-label=DB_PASSWORD]").value`)
	if len(password) < 16 || b.Eval(`document.querySelector("[aria-label=DB_PASSWORD]").type`) != "password" {
		t.Error("the password is not there, or to be read by everybody")
	}
	b.Click("Show DB_PASSWORD")
	if got := b.Eval(`document.querySelector("[aria-label=DB_PASSWORD]").type`); got != "text" {
		t.Errorf("shown, the input is %s", got)
	}
	if env := b.Eval(`document.querySelector("#all-env").value`); !strings.Contains(env, "DB_PASSWORD='"+password+"'") {
		t.Error("the lines of a .env file do not hold the password")
	}
	b.Click("I have copied them")
	if left := b.Eval(`[document.documentElement.outerHTML, JSON.stringify({...localStorage, ...sessionStorage}), location.href, JSON.stringify(history.state)].join(" ")`); strings.Contains(left, password) {
		t.Error("the password is still in the page, in storage or in the address")
	}

	b.See("life-of-one")
	b.Shot("leases-of-secret")
	b.Click("Renew life-of-one")
	b.See("never")
	b.Axe()
	b.Shot("lease-renew")
	b.Fill("How much longer", "3d")
	b.Click("Renew")
	b.See("is not possible")
	b.Click("1 h")
	b.Click("Renew")
	b.See("Renewed: it ends in 1 h 59 min")
	b.Click("Renew life-of-one")
	b.See("1 time")
	b.Click("Max")
	b.Click("Renew")
	b.See("Renewed: it ends in 23 h")
	b.Click("life-of-one")
	b.See("nothing left to renew")
	b.See("Expires")
	b.See("Issued")
	b.Axe()
	b.Shot("lease")
	b.Live()
	b.Click("Revoke life-of-one")
	b.Click("Revoke lease")
	b.See("Revoked")
	b.Gone("Expires in")
}

// Several leases are chosen and revoked together; the list tells how far that is.
func TestRevokeChosen(t *testing.T) {
	h := consoletest.Start(t)
	for i := range 3 {
		h.Lease(fmt.Sprintf("chosen-%d", i), time.Hour)
	}
	b := h.Browser(1, h.Token())
	b.Open("/ui/leases?account=admin")
	b.See("chosen-2")
	for i := range 2 {
		b.Eval(fmt.Sprintf(`document.querySelector('[aria-label^="Choose chosen-%d "]').click()`, i))
	}
	b.See("2 chosen")
	b.Axe()
	b.Shot("leases-chosen")
	b.Click("Revoke them")
	b.See("Revoke 2 leases")
	b.Axe()
	b.Shot("leases-revoke")
	b.Fill("Reason", "cleaning up")
	b.Click("Revoke 2 leases")
	b.See("2 leases are being revoked")
	b.Gone("chosen-0")
	b.Gone("chosen-1")
	b.See("chosen-2")
	b.Gone("2 chosen")
}

// What cannot be revoked says why, is tried again, and is given up only by who types it.
func TestStuckLease(t *testing.T) {
	h := consoletest.Start(t)
	outside, secret := newService(t, h, "stubborn")
	outside.say("the login owns the table “orders”: reassign it first")
	c, ctx := h.Client(), t.Context()
	issued, err := c.IssueLease(ctx, secret, types.IssueSpec{Name: "stuck-one"})
	if err != nil {
		t.Fatal(err)
	}
	lease := issued.Lease
	b := h.Browser(2, h.Token())
	b.Open("/ui/leases/" + lease.ID)
	b.Click("Revoke stuck-one")
	b.Click("Revoke lease")
	b.See("Its login is not gone")
	deadline := time.Now().Add(2 * time.Minute)
	for {
		got, err := c.GetLease(ctx, lease.ID)
		if err == nil && got.State == "stuck" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lease is %s: %v", got.State, err)
		}
		if got.Attempts > 0 {
			_, _ = c.RetryLease(ctx, lease.ID)
		}
	}
	b.See("stuck")
	b.Axe()
	b.Shot("lease-stuck")
	b.Open("/ui/leases?state=stuck")
	b.See("stuck-one")
	b.Shot("leases-stuck")
	b.Click("Retry stuck-one")
	b.Axe()
	b.Shot("lease-retry")
	b.Click("Try now")
	b.See("not gone yet")
	b.Click("Forget stuck-one")
	b.Fill("Reason", "the test is over")
	b.Fill("Type forget to go on", "yes")
	b.Click("Forget lease")
	b.See("Type the word forget.")
	b.Axe()
	b.Shot("lease-forget")
	b.Fill("Type forget to go on", "forget")
	b.Click("Forget lease")
	b.See("The lease is forgotten")
	if got, err := c.ListLeases(ctx, client.LeaseSelector{IDs: []string{lease.ID}}, client.ListOptions{}); err != nil || len(got.Items) != 1 || !got.Items[0].Forgotten {
		t.Errorf("the lease: %+v %v", got, err)
	}
}

package e2e

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// service makes a service account that may issue leases of the examples, and signs it in at a node.
func (h *house) service(name string, node int) types.Token {
	h.t.Helper()
	c, ctx := h.client(), h.t.Context()
	must(h.t)(c.CreateAccount(ctx, types.AccountSpec{Name: name, Kind: "service"}))
	must(h.t)(c.CreateRoleBinding(ctx, types.RoleBindingSpec{Role: "service", Account: name, Scope: "payments/*"}))
	secret, err := c.CreateClientSecret(ctx, name, types.ClientSecretSpec{})
	if err != nil {
		h.t.Fatal(err)
	}
	token, err := h.as("", node).SignInClient(ctx, types.ClientSignIn{ClientID: secret.ClientID, ClientSecret: secret.ClientSecret})
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// An account that is disabled is refused at once, at every node, and its leases end; the history says who did it.
func TestDisabledAccount(t *testing.T) {
	t.Parallel()
	const many, workers = 1000, 16
	h := newHouse(t)
	c := h.client()
	must(t)(c.UpdateSecret(t.Context(), secretName, types.SecretChange{Options: map[string]any{"scram_iterations": 64}}))
	token := h.service("ci", 2)

	var group sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		own := h.as(token.Token)
		group.Go(func() {
			for range (many + workers - 1) / workers {
				if _, err := h.issue(own, time.Hour); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	if n := len(h.leases(h.as(token.Token, 3), "active")); n < many {
		t.Fatalf("the account sees %d leases of its own, want %d", n, many)
	}
	one := h.leases(h.as(token.Token, 1), "active")[0]

	yes := true
	must(t)(c.UpdateAccount(t.Context(), "ci", types.AccountChange{Disabled: &yes}))
	disabled := time.Now()
	const bound = 2 * slow * time.Second // the nodes are busy with ends of leases
	for n := 1; n <= 3; n++ {
		own := h.as(token.Token, n)
		eventually(t, bound-time.Since(disabled), "the token to be refused at every node", func() bool {
			_, err := own.ListLeases(t.Context(), client.LeaseSelector{}, client.ListOptions{}, client.WithConsistency(types.Stale))
			var problem *types.Problem
			return errors.As(err, &problem) && problem.Status == http.StatusUnauthorized
		})
	}
	t.Logf("refused at every node %s after the answer", time.Since(disabled).Round(time.Millisecond))
	eventually(t, 2*time.Minute, "every lease to end", func() bool { return len(h.leases(c, "pending", "active", "revoking")) == 0 })
	t.Logf("%d leases ended within %s", many, time.Since(disabled).Round(time.Millisecond))
	if left := h.logins(); len(left) != 0 {
		t.Errorf("%d logins are left", len(left))
	}
	events, err := c.LeaseEvents(t.Context(), one.ID)
	if err != nil {
		t.Fatal(err)
	}
	told := toText(t, events)
	if !strings.Contains(told, `"lease.revoking"`) || !strings.Contains(told, "the account is disabled") || !strings.Contains(told, `"actor":"admin"`) {
		t.Errorf("the lease's history does not say who did it and why: %s", told)
	}
}

// What roles give and take away holds at every node, whichever leads: in one scope and not in another, for reading and for
// issuing.
func TestRolesAtEveryNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	must(t)(c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "other/production"}))
	token := h.service("web", 1)
	issued := h.mustIssue(c, time.Hour)
	for n := 1; n <= 3; n++ {
		own := h.as(token.Token, n)
		mine := h.mustIssue(own, time.Hour)
		if err := h.logIn(mine); err != nil {
			t.Errorf("node %d: %v", n, err)
		}
		page, err := own.ListLeases(t.Context(), client.LeaseSelector{}, client.ListOptions{})
		if err != nil || len(page.Items) != n {
			t.Errorf("node %d shows %d leases, %v; want the account's own %d", n, len(page.Items), err, n)
		}
		for what, want := range map[string]struct {
			err    error
			status int
		}{
			"another's lease":     {second(own.GetLease(t.Context(), issued.Lease.ID)), http.StatusNotFound},
			"revoking it":         {second(own.RevokeLease(t.Context(), issued.Lease.ID, types.RevokeSpec{})), http.StatusNotFound},
			"another environment": {second(own.GetEnvironment(t.Context(), "other/production")), http.StatusForbidden},
			"a connection":        {second(own.GetConnection(t.Context(), "orders-db")), http.StatusForbidden},
			"a token for admin":   {second(own.CreateToken(t.Context(), types.TokenSpec{Account: "admin"})), http.StatusForbidden},
			"a role":              {second(own.CreateRoleBinding(t.Context(), types.RoleBindingSpec{Role: "admin", Account: "web", Scope: "*"})), http.StatusForbidden},
		} {
			var problem *types.Problem
			if !errors.As(want.err, &problem) || problem.Status != want.status {
				t.Errorf("node %d, %s: %v, want status %d", n, what, want.err, want.status)
			}
		}
	}
	bindings, err := c.ListRoleBindings(t.Context(), client.BindingFilter{Account: "web"}, client.ListOptions{})
	if err != nil || len(bindings.Items) != 1 {
		t.Fatalf("%v, %v", bindings, err)
	}
	mine := h.leases(h.as(token.Token), "active")
	if err := c.DeleteRoleBinding(t.Context(), bindings.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		own := h.as(token.Token, n)
		for what, err := range map[string]error{
			"issuing":            second(h.issue(own, time.Hour)),
			"renewing its own":   second(own.RenewLease(t.Context(), mine[0].ID, types.RenewSpec{Until: types.UntilMax})),
			"reading the secret": second(own.GetSecret(t.Context(), secretName)),
		} {
			var problem *types.Problem
			if !errors.As(err, &problem) || problem.Status != http.StatusForbidden {
				t.Errorf("node %d, %s without the role: %v", n, what, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

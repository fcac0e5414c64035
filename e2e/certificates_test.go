package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"broker/api/types"
	"broker/providers/ssh/sshtest"
	"broker/providers/x509/x509test"
)

// certifiers starts the servers that check certificates by what the house's nodes publish, which they fetch before each
// log-in, without a token and from whichever node answers.
func certifiers(t *testing.T, h *house) []*foreign {
	fetch := func(connection string) func(context.Context, string) ([]byte, error) {
		return func(ctx context.Context, document string) ([]byte, error) {
			return h.client().GetDocument(ctx, connection, document)
		}
	}
	host := sshtest.Start(t, sshtest.Config{Fetch: fetch("ssh")})
	server := x509test.Start(t, x509test.Config{Fetch: fetch("x509")})
	return []*foreign{{name: "ssh", provider: "ssh", kit: host}, {name: "x509", provider: "x509", kit: server}}
}

// Certificates need no outside system: sshd and a TLS server let in whom an authority certified that the broker made, and
// refuse whose lease was revoked, by lists that every node makes, also when the leader is killed.
func TestCertificates(t *testing.T) {
	t.Parallel()
	h := newCluster(t)
	c := h.client()
	must(t)(c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "payments/production"}))
	systems := certifiers(t, h)
	good, revoked := map[string]types.Issued{}, map[string]types.Issued{}
	for _, f := range systems {
		h.add(f)
		for _, into := range []map[string]types.Issued{good, revoked} {
			issued, err := c.IssueLease(t.Context(), f.secret(), types.IssueSpec{})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.LogIn(t.Context(), f.values(issued)); err != nil {
				t.Fatalf("%s: a lease does not log in: %v", f.name, err)
			}
			into[f.name] = issued
		}
	}
	ttl := types.Duration(time.Minute)
	for _, f := range systems {
		id := revoked[f.name].Lease.ID
		if _, err := c.RenewLease(t.Context(), id, types.RenewSpec{TTL: &ttl}); err == nil {
			t.Errorf("%s: a certificate was renewed", f.name)
		}
		if ended, err := c.RevokeLease(t.Context(), id, types.RevokeSpec{}); err != nil || ended.State != "revoked" {
			t.Fatalf("%s: revoking: %s, %v", f.name, ended.State, err)
		}
	}
	hold := func(when string) {
		t.Helper()
		for _, f := range systems {
			// Nodes look at the state anew every ten seconds.
			eventually(t, time.Minute, f.name+" refuses what was revoked "+when, func() bool { return f.LogIn(t.Context(), f.values(revoked[f.name])) != nil })
			if err := f.LogIn(t.Context(), f.values(good[f.name])); err != nil {
				t.Errorf("%s: another lease does not log in %s: %v", f.name, when, err)
			}
		}
	}
	hold("while all nodes run")
	leader, _ := h.leader()
	h.mustDevcluster("kill", fmt.Sprint(leader))
	hold("after the leader was killed")
	for _, f := range systems {
		if issued, err := c.IssueLease(t.Context(), f.secret(), types.IssueSpec{}); err != nil {
			t.Errorf("%s: issuing by the next leader: %v", f.name, err)
		} else if err := f.LogIn(t.Context(), f.values(issued)); err != nil {
			t.Errorf("%s: a lease of the next leader does not log in: %v", f.name, err)
		}
	}
}

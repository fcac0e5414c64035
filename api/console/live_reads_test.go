package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"broker/api/apitest"
	"broker/api/console"
	"broker/api/types"
)

// reads counts the calls of an API.
type reads struct {
	api http.Handler

	mu   sync.Mutex
	seen []string
}

func (r *reads) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if strings.HasPrefix(request.URL.Path, "/api/v1/") {
		r.mu.Lock()
		r.seen = append(r.seen, strings.TrimPrefix(request.URL.Path, "/api/v1"))
		r.mu.Unlock()
	}
	r.api.ServeHTTP(w, request)
}

// take returns what was asked for since the last time.
func (r *reads) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// What nobody asked for costs little: a live refresh reads once what it shows, and asks once what may be done with that.
func TestLiveRefreshReadsLittle(t *testing.T) {
	d := furnished(t)
	c, ctx := d.client(apitest.Token), t.Context()
	const secret, inside = "payments/production/orders-ro", "/ui/environments/payments/production"
	var lease string
	for i := range 50 {
		issued, err := c.IssueLease(ctx, secret, types.IssueSpec{Name: fmt.Sprintf("lease-%d", i)})
		d.must2(issued, err)
		lease = issued.Lease.ID
	}
	for i := range 20 {
		d.must2(c.CreateSecret(ctx, "payments/production", types.SecretSpec{
			Name: fmt.Sprintf("secret-%d", i), Connection: "orders-db", Outputs: []types.Output{{Key: fmt.Sprintf("USER_%d", i), Source: "username"}},
		}))
		d.person(fmt.Sprintf("person-%d", i), "viewer", "*")
	}
	counted := &reads{api: d.kit.Server}
	pages, err := console.New(console.Config{API: counted, ClusterID: func() string { return "01TESTCLUSTER" }})
	d.must2(pages, err)
	server := httptest.NewServer(pages.Handler())
	t.Cleanup(func() { pages.Close(); server.Close() })
	d.url = server.URL
	d.signIn(apitest.Token)

	for _, row := range []struct{ path, parts, want string }{
		{"/ui/leases", "leases", "/leases /access/can"},
		{"/ui/leases", "leases,revoking", "/leases /access/can /operations"},
		{"/ui/leases?state=ended", "leases", "/leases"},
		{inside + "/secrets/orders-ro/leases", "leases", "/leases /access/can"},
		{"/ui/leases/" + lease, "lease,lease-head,history", "/leases/" + lease + "/events /leases/" + lease + " /access/can"},
		{"/ui/", "everything", "/secrets /environments /providers /access/can"},
		{"/ui/", "glance", "/access/can /cluster /cluster/activity /health/connections /locks /operations"},
		{inside, "secrets", "/environments/payments/production /environments/payments/production/secrets /providers /access/can"},
		{inside + "/secrets/orders-ro", "secret", "/environments/payments/production/secrets/orders-ro /providers /access/can"},
		{"/ui/accounts", "accounts", "/access/can /accounts"},
		{"/ui/accounts/alice", "account-leases", "/accounts/alice /access/can /leases"},
		{"/ui/tokens", "tokens", "/tokens /access/can"},
		{"/ui/connections", "connections", "/connections /access/can /providers /secrets /health/connections"},
		{"/ui/connections/orders-db", "connection-secrets", "/connections/orders-db /access/can /providers/fake /secrets"},
		{"/ui/cluster", "cluster,cluster-facts", "/cluster /access/can"},
		{"/ui/history", "history", "/events"},
	} {
		if got := d.get(row.path); got.StatusCode != 200 { // which nobody counts
			t.Errorf("%s: %d %s", row.path, got.StatusCode, got.text)
		}
		counted.take()
		got := d.get(row.path, "Console-Part", "content", "Console-Live", "1", "Console-Parts", row.parts)
		if asked := strings.Join(counted.take(), " "); got.StatusCode != 200 || asked != row.want {
			t.Errorf("%s for %s: %d, read %s, want %s", row.path, row.parts, got.StatusCode, asked, row.want)
		}
	}
}

// Names may be so long that what a page has to ask does not fit into one address.
func TestManyLongNames(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	c, ctx := d.client(apitest.Token), t.Context()
	long := strings.Repeat("a-long-name-", 5)
	for i := range 40 {
		d.must2(c.CreateSecret(ctx, "payments/production", types.SecretSpec{
			Name: fmt.Sprintf("%s%d", long, i), Connection: "orders-db", Outputs: []types.Output{{Key: fmt.Sprintf("USER_%d", i), Source: "username"}},
		}))
	}
	if got := d.get("/ui/"); got.StatusCode != 200 || !strings.Contains(got.text, long+"39/generate") {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
}

package console_test

import (
	"strings"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/api/types"
)

// The first page says what is going on, to each what he may know.
func TestGlance(t *testing.T) {
	d := furnished(t)
	c, ctx := d.client(apitest.Token), t.Context()
	ttl := types.Duration(10 * time.Minute)
	d.must2(c.IssueLease(ctx, "payments/production/orders-ro", types.IssueSpec{TTL: &ttl}))
	d.must2(c.CreateLock(ctx, types.LockSpec{Scope: types.LockScope{Environment: "payments/staging"}, Reason: "maintenance"}))
	d.signIn(apitest.Token)
	text := d.get("/ui/").text
	for _, one := range []string{
		`href="/ui/leases?state=active&amp;expires=1h"><span class="number-count">1</span>`, `href="/ui/locks"><span class="number-count">1</span>`,
		"Need a look", "Silent nodes", "Connections away", "Operations running",
	} {
		if !strings.Contains(text, one) {
			t.Errorf("%s is not told: %s", one, text)
		}
	}
	if text := d.get("/ui/?q=nothing").text; strings.Contains(text, "Need a look") {
		t.Error("who searches is told besides")
	}
	other := furnished(t)
	other.signIn(other.person("eve", "service", "payments/*"))
	if text := other.get("/ui/").text; !strings.Contains(text, "orders-ro") || strings.Contains(text, "Locks in force") {
		t.Errorf("a service's page: %s", text)
	}
}

package console

import "net/http"

// styleguideRoutes has the page that shows every part, for those who build screens and for tests. It is linked from nowhere.
func (c *Console) styleguideRoutes() {
	c.get("/ui/styleguide", func(p *page) error {
		f := p.form(map[string][]string{"name": {"orders-ro"}, "ttl": {"1h"}, "token": {"x"}})
		f.Errors["ttl"] = "at most 24 h"
		f.Problem = &problemView{Status: http.StatusConflict, Title: "The secret has active leases", Detail: "Revoke them first, or let them end.", Hint: "Turn on “revoke all active leases”.", Request: "01J…"}
		return p.show(screen{Title: "Style guide", Template: "styleguide", Crumbs: []crumb{{"Secrets", "/ui/"}}, Data: map[string]any{
			"Form": f, "States": []string{"pending", "active", "revoking", "revoked", "expired", "failed", "overdue", "stuck", "missing", "forgotten"},
			"Presets": ttlPresets(0), "Options": []choice{{"a", "One"}, {"b", "Another"}}, "Soon": p.Now().Add(95 * 1e9),
			"Tabs": []tab{{"Accounts", "/ui/styleguide", true}, {"Groups", "/ui/styleguide?x", false}}, "Bars": []int{0, 30, 80, 100},
		}})
	})
}

package console

import (
	"fmt"
	"net/url"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// leaseForm is a form about one lease.
type leaseForm struct {
	Lease types.Lease
	Form  *form
}

// leaseDialog shows a form about a lease.
func (p *page) leaseDialog(title, template string, lease types.Lease, f *form, data any) error {
	return p.dialog(screen{
		Title: title, Section: "leases", Crumbs: []crumb{{"Leases", "/ui/leases"}, {lease.Name, "/ui/leases/" + lease.ID}}, Template: template,
		Data: data, Status: f.Status,
	})
}

func (c *Console) revokeLease(p *page) error {
	lease, err := p.Client.GetLease(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		done, err := p.Client.RevokeLease(p.ctx, lease.ID, types.RevokeSpec{Reason: f.get("reason")}, f.once())
		if err == nil {
			message := "The lease is revoked: its login is gone."
			if !done.Ended() {
				message = "The lease is being revoked; that goes on by itself."
			}
			return p.done(message, "/ui/leases/"+lease.ID)
		}
		if !f.refused(err) {
			return err
		}
	}
	return p.leaseDialog("Revoke lease", "lease-revoke", lease, f, leaseForm{lease, f})
}

// renewing is what the form to renew shows.
type renewing struct {
	leaseForm
	Used, Max types.Duration // of the time that it may live
	Percent   int
	Left      types.Duration // by which it can still be extended
	Presets   []choice
}

func (c *Console) renewLease(p *page) error {
	lease, err := p.Client.GetLease(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		spec := types.RenewSpec{}
		if text := strings.TrimSpace(f.get("ttl")); strings.EqualFold(text, types.UntilMax) {
			spec.Until = types.UntilMax
		} else if spec.TTL = f.duration("ttl"); spec.TTL == nil && f.valid() {
			f.Errors["ttl"] = "Say how much longer: a length of time, or max."
		}
		if f.valid() {
			renewed, err := p.Client.RenewLease(p.ctx, lease.ID, spec, f.once())
			if err == nil {
				return p.done("Renewed: it ends "+timeOf(p.Now(), renewed.ExpiresAt).Relative+", at "+timeOf(p.Now(), renewed.ExpiresAt).Full+".", "/ui/leases/"+lease.ID)
			}
			if !f.refused(err) {
				return err
			}
			if problem := problemOf(err); problem.Field == "until" {
				f.Errors["ttl"] = f.Errors["until"]
			}
		}
	}
	v := renewing{leaseForm: leaseForm{lease, f}, Left: lease.RenewableTTL}
	v.Used = types.Duration(lease.ExpiresAt.Sub(lease.CreatedAt))
	v.Max = types.Duration(lease.MaxExpiresAt.Sub(lease.CreatedAt))
	if v.Max > 0 {
		v.Percent = int(min(100, 100*v.Used/v.Max))
	}
	if v.Left > 0 {
		v.Presets = append(ttlPresets(v.Left), choice{types.UntilMax, "Max"})
	}
	return p.leaseDialog("Renew lease", "lease-renew", lease, f, v)
}

func (c *Console) retryLease(p *page) error {
	lease, err := p.Client.GetLease(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		done, err := p.Client.RetryLease(p.ctx, lease.ID, f.once())
		if err == nil {
			message := "The login is gone."
			if !done.Ended() {
				message = "It was tried again; the login is not gone yet. The lease shows why."
			}
			return p.done(message, "/ui/leases/"+lease.ID)
		}
		if !f.refused(err) {
			return err
		}
	}
	return p.leaseDialog("Retry revoking", "lease-retry", lease, f, leaseForm{lease, f})
}

// forgetWord is what has to be typed before a login is given up.
const forgetWord = "forget"

func (c *Console) forgetLease(p *page) error {
	lease, err := p.Client.GetLease(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		f.need("reason", "Say why: others will wonder.")
		if strings.TrimSpace(f.get("confirm")) != forgetWord {
			f.Errors["confirm"] = "Type the word " + forgetWord + "."
		}
		if f.valid() {
			_, err := p.Client.ForgetLease(p.ctx, lease.ID, types.ForgetSpec{Reason: f.get("reason")}, f.once())
			if err == nil {
				return p.done("The lease is forgotten; its login may still exist.", "/ui/leases/"+lease.ID)
			}
			if !f.refused(err) {
				return err
			}
		}
	}
	return p.leaseDialog("Forget lease", "lease-forget", lease, f, leaseForm{lease, f})
}

// bulkRevoke is what the form that revokes several leases shows.
type bulkRevoke struct {
	Form   *form
	IDs    []string
	Total  uint64
	First  []types.Lease
	Chosen string // by which conditions
	Action string // where the form is sent
}

// revokeLeases ends the leases that are named, or all that conditions choose.
func (c *Console) revokeLeases(p *page) error {
	f := p.form(url.Values{})
	query := p.form(p.r.URL.Query())
	query.Values = p.r.URL.Query()
	selector := query.leaseSelector()
	selector.IDs = query.Values["id"]
	if len(selector.IDs) > 0 {
		selector = client.LeaseSelector{IDs: selector.IDs}
	}
	if len(query.Errors) > 0 {
		return errNoPage
	}
	if selector.States = []string{"pending", "active"}; query.get("state") == "active" {
		selector.States = []string{"active"}
	}
	spec := types.BulkSpec{Selector: selector.Wire(), Reason: f.get("reason")}
	back := "/ui/leases"
	if p.posted() {
		// Not more than were seen.
		if _, err := fmt.Sscan(f.get("total"), &spec.Max); err != nil || spec.Max == 0 {
			return errNoPage
		}
		op, err := p.Client.StartOperation(p.ctx, types.OperationRevoke, spec, f.once())
		if err == nil {
			return p.done(count(op.Total, "lease is", "leases are")+" being revoked; that goes on by itself.", back)
		}
		if !f.refused(err) {
			return err
		}
		spec.Max = 0
	}
	counted, err := p.Client.StartOperation(p.ctx, types.OperationRevoke, spec, client.DryRun())
	if err != nil {
		return err
	}
	first, err := p.Client.ListLeases(p.ctx, selector, client.ListOptions{Limit: 5})
	if err != nil {
		return err
	}
	v := bulkRevoke{Form: f, IDs: selector.IDs, Total: counted.Total, First: first.Items, Action: p.URI()}
	if len(selector.IDs) == 0 {
		v.Chosen = selectorText(counted.Selector)
	}
	return p.dialog(screen{
		Title: "Revoke " + count(counted.Total, "lease", "leases"), Section: "leases", Crumbs: []crumb{{"Leases", "/ui/leases"}}, Template: "leases-revoke", Data: v, Status: f.Status,
	})
}

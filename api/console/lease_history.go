package console

import (
	"maps"
	"slices"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// leaseView is what the page of a lease shows.
type leaseView struct {
	Lease  types.Lease
	Acts   leaseActs
	Labels []fact
	Asked  []fact // what it was asked for with
	Events []happened
	Gone   bool // the lease itself is forgotten, and its history is left
	Used   int  // per cent of the time that it may live
}

func (c *Console) showLease(p *page) error {
	id := p.param("id")
	events, err := p.Client.LeaseEvents(p.ctx, id)
	if err != nil {
		return err
	}
	v := leaseView{}
	if v.Lease, err = p.Client.GetLease(p.ctx, id); client.Code(err) == "not_found" {
		v.Lease, v.Gone = types.Lease{ID: id, Name: "…" + short(id)}, true
	} else if err != nil {
		return err
	}
	if !v.Gone {
		if err := p.ask(leaseQuestions(v.Lease)...); err != nil {
			return err
		}
		v.Acts = p.actsOn(v.Lease)
		if most := v.Lease.MaxExpiresAt.Sub(v.Lease.CreatedAt); most > 0 {
			v.Used = int(min(100, 100*v.Lease.ExpiresAt.Sub(v.Lease.CreatedAt)/most))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Lease.Labels)) {
		v.Labels = append(v.Labels, fact{Name: name, Value: v.Lease.Labels[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(v.Lease.Parameters)) {
		v.Asked = append(v.Asked, fact{Name: fieldLabel(name), Value: describedText(types.Field{}, v.Lease.Parameters[name]), Mono: true})
	}
	for _, one := range events.Items {
		v.Events = append(v.Events, leaseEvent(one))
	}
	return p.show(screen{
		Title: "Lease " + v.Lease.Name, Section: "leases", Crumbs: []crumb{{"Leases", "/ui/leases"}}, Template: "lease", Data: v,
	})
}

// leaseEvent is an event as a lease's own history tells it.
func leaseEvent(e types.Event) happened {
	h := happenedOf(e)
	switch e.Type {
	case "lease.prepared":
		h.What, h.Kind = "Prepared", "quiet"
	case "lease.issued":
		h.What = "Issued"
	case "lease.renewed":
		h.What, h.Kind = "Renewed", "busy"
	case "lease.revoking":
		h.What, h.Kind = "Its end began", "warn"
	case "lease.revoked":
		h.What = "Revoked"
	case "lease.expired":
		h.What = "Expired"
	case "lease.failed":
		h.What = "Failed: it never became active, and nothing is left of it"
	case "lease.trouble":
		h.What = "Revoking failed; it is tried again"
	case "lease.stuck":
		h.What = "Stuck: revoking keeps failing"
	case "lease.retried":
		h.What = "Tried again"
	case "lease.forgotten":
		h.What = "Forgotten: its login may still exist"
	case "lease.missing":
		h.What = "Its login is gone from the outside system"
	case "lease.present":
		h.What = "Its login is there again"
	case "lease.adopted":
		h.What = "A login that no lease knew is taken over, to be removed"
	}
	for i, one := range h.Details {
		h.Details[i].Name = fieldLabel(one.Name)
		if at, err := time.Parse(time.RFC3339Nano, one.Value); err == nil {
			h.Details[i].Value = at.UTC().Format("2 Jan 2006 15:04:05 UTC")
		}
	}
	return h
}

// exportLease is a lease's history as a file, oldest first.
func (c *Console) exportLease(p *page) error {
	events, err := p.Client.LeaseEvents(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	return p.eventsFile("lease-"+short(p.param("id")), func(yield func(types.Event, error) bool) {
		for _, one := range events.Items {
			if !yield(one, nil) {
				return
			}
		}
	})
}

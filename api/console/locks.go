package console

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

func (c *Console) lockRoutes() {
	c.get("/ui/locks", c.listLocks)
	c.form("/ui/locks/new", c.makeLock)
	c.form("/ui/locks/{id}/change", needing("lock:update", "lock/{id}", c.changeLock))
	c.form("/ui/locks/{id}/unlock", needing("lock:delete", "lock/{id}", c.unlock))
}

// locksView is what the list of locks shows.
type locksView struct {
	Locks []types.Lock
	Pages pages
}

func (c *Console) listLocks(p *page) error {
	found, err := p.Client.ListLocks(p.ctx, client.ListOptions{Limit: 50, Cursor: p.query("cursor")})
	if err != nil {
		return err
	}
	asked := []client.Question{question("lock:create", "*")}
	for _, one := range found.Items {
		asked = append(asked, question("lock:update", "lock/"+one.ID), question("lock:delete", "lock/"+one.ID))
	}
	if err := p.ask(asked...); err != nil {
		return err
	}
	return p.show(screen{Title: "Locks", Section: "locks", Template: "locks", Data: locksView{found.Items, p.pagesOf(found.NextCursor)}})
}

// scopeParts are what a lock covers, each with what it is.
func scopeParts(s types.LockScope) []fact {
	var list []fact
	for _, one := range []fact{
		{Name: "environment", Value: s.Environment}, {Name: "secret", Value: s.Secret}, {Name: "connection", Value: s.Connection},
		{Name: "account", Value: s.Account}, {Name: "label", Value: s.Label},
	} {
		if one.Value != "" {
			list = append(list, one)
		}
	}
	return list
}

// scopeText says what a lock covers.
func scopeText(s types.LockScope) string {
	var parts []string
	for _, one := range scopeParts(s) {
		parts = append(parts, one.Name+" "+one.Value)
	}
	return strings.Join(parts, ", ")
}

// lockSpec reads what is to be locked, why, and for how long.
func (f *form) lockSpec() types.LockSpec {
	return types.LockSpec{
		Scope: types.LockScope{
			Environment: f.get("scope.environment"), Account: f.get("scope.account"), Secret: f.get("scope.secret"), Connection: f.get("scope.connection"), Label: f.get("scope.label"),
		},
		Reason: f.get("reason"), TTL: f.duration("ttl"), Revoke: f.on("revoke"),
	}
}

// lockFields are what lockSpec reads.
func (f *form) lockFields() []field {
	return []field{
		f.field("scope.environment", "Environment", "placeholder", "app/env, app/* or *", "mono", true, "pick", "place", "focus", true),
		f.field("scope.secret", "Secret", "placeholder", "app/env/name", "mono", true, "pick", "secret"),
		f.field("scope.connection", "Connection", "mono", true, "pick", "connection"),
		f.field("scope.account", "Account", "mono", true, "pick", "account"),
		f.field("scope.label", "Label", "placeholder", "key=value", "mono", true),
		f.field("reason", "Reason", "required", true, "help", "Shown to everybody whom it stops."),
		f.field("ttl", "For", "placeholder", "until it is ended", "presets", endPresets("15m", "1h", "4h", "24h"), "help", "Empty: until somebody unlocks."),
		f.field("revoke", "Revoke the leases that it covers", "type", "checkbox", "help", "How many is told before anything is done."),
	}
}

// makeLock makes a lock. One that revokes tells first how many leases it would, and is sent again then.
func (c *Console) makeLock(p *page) error {
	f := p.form(url.Values{
		"scope.environment": {p.query("environment")}, "scope.secret": {p.query("secret")}, "scope.connection": {p.query("connection")}, "scope.account": {p.query("account")},
	})
	spec := f.lockSpec()
	v := plainForm{
		Form: f, Back: "/ui/locks", Button: "Lock",
		Text: []string{"A lock stops issue and renew for leases that fit everything given here. Leases that exist live on, unless it revokes them."},
	}
	if p.posted() {
		if spec.Scope == (types.LockScope{}) {
			f.Errors["scope.environment"] = "want an environment, or another part of what it covers"
		}
		f.need("reason", "is shown to everybody whom it stops: say why")
		if f.valid() {
			done, n, err := p.lock(f, spec)
			switch {
			case done != nil && done.Operation != nil:
				return p.doneAt("The lock is in force.", operationPath(done.Operation.ID))
			case done != nil:
				return p.done("The lock is in force.", "/ui/locks")
			case err != nil && !f.refused(err):
				return err
			case err == nil:
				v.Danger, v.Hidden = true, []choice{{"counted", n}}
				v.Button = "Lock and revoke " + count(n, "lease", "leases")
				v.Warn = count(n, "live lease is", "live leases are") + " covered. They are revoked once the lock is in force."
			}
		}
	}
	v.Fields = f.lockFields()
	return p.plain("New lock", "locks", v)
}

// lock makes the lock, or, when it would revoke another number of leases than was told, returns the number.
func (p *page) lock(f *form, spec types.LockSpec) (made *types.Locked, counted string, err error) {
	if spec.Revoke {
		tried, err := p.Client.CreateLock(p.ctx, spec, client.DryRun())
		if err != nil {
			return nil, "", err
		}
		if tried.Operation != nil {
			counted = strconv.FormatUint(tried.Operation.Total, 10)
		}
		if counted != f.get("counted") {
			return nil, counted, nil
		}
	}
	done, err := p.Client.CreateLock(p.ctx, spec, f.once())
	if err != nil {
		return nil, counted, err
	}
	return &done, counted, nil
}

func (c *Console) changeLock(p *page) error {
	lock, err := p.Client.GetLock(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{"reason": {lock.Reason}, "version": {fmt.Sprint(lock.Version)}})
	ttl := f.duration("ttl")
	if p.posted() && f.valid() {
		reason := f.get("reason")
		change := types.LockChange{Reason: &reason, TTL: ttl, NoEnd: f.on("no_end")}
		if _, err := p.Client.UpdateLock(p.ctx, lock.ID, change, f.version()); err == nil {
			return p.done("The lock is changed.", "/ui/locks")
		} else if !f.refused(err) {
			return err
		}
	}
	ends := "until somebody unlocks"
	if lock.Until != nil {
		ends = timeOf(p.Now(), lock.Until).Full
	}
	return p.plain("Change lock", "locks", plainForm{
		Form: f, Back: "/ui/locks", Button: "Save",
		Facts: []fact{{Name: "Covers", Value: scopeText(lock.Scope), Mono: true}, {Name: "Holds", Value: ends}},
		Fields: []field{
			f.field("reason", "Reason", "required", true, "focus", true),
			f.field("ttl", "New end, from now", "placeholder", "as it is", "presets", endPresets("15m", "1h", "4h", "24h")),
			f.field("no_end", "Without an end", "type", "checkbox", "help", "It holds until somebody unlocks."),
		},
	})
}

func (c *Console) unlock(p *page) error {
	lock, err := p.Client.GetLock(p.ctx, p.param("id"))
	if err != nil {
		return err
	}
	f := p.form(url.Values{"version": {fmt.Sprint(lock.Version)}})
	if p.posted() {
		if err := p.Client.DeleteLock(p.ctx, lock.ID, f.version()); err == nil {
			return p.done("Unlocked.", "/ui/locks")
		} else if !f.refused(err) {
			return err
		}
	}
	return p.plain("Unlock", "locks", plainForm{
		Form: f, Back: "/ui/locks", Button: "Unlock",
		Text:  []string{"Leases can be issued and renewed again at once, as far as no other lock holds."},
		Facts: []fact{{Name: "Covers", Value: scopeText(lock.Scope), Mono: true}, {Name: "Reason", Value: lock.Reason}, {Name: "Made by", Value: lock.By}},
	})
}

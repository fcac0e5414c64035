package console

import (
	"fmt"
	"net/url"
	"strconv"

	"broker/api/client"
	"broker/api/types"
)

// about is a form about a connection.
func (p *page) aboutConnection() (types.Connection, string, error) {
	found, err := p.Client.GetConnection(p.ctx, p.param("name"))
	return found, "/ui/connections/" + found.Name, err
}

// checkedView is what a check found.
type checkedView struct {
	types.ConnectionCheck
	Back string
}

func (c *Console) checkConnection(p *page) error {
	one, back, err := p.aboutConnection()
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		found, err := p.Client.CheckConnection(p.ctx, one.Name, f.once())
		if err == nil {
			return p.dialog(screen{Title: "Check of " + one.Name, Section: "connections", Template: "connection-checked", Data: checkedView{found, back}})
		}
		if !f.refused(err) {
			return err
		}
	}
	return p.plain("Check "+one.Name, "connections", plainForm{
		Form: f, Back: back, Button: "Check now",
		Text: []string{"The leader logs in at the outside system with the root credential and looks whether that may do what leases need. Nothing is changed there that stays."},
	})
}

func (c *Console) pauseConnection(p *page) error {
	one, back, err := p.aboutConnection()
	if err != nil {
		return err
	}
	f := p.form(url.Values{"ttl": {"1h"}})
	if p.posted() {
		spec := types.PauseSpec{TTL: f.duration("ttl"), Reason: f.need("reason", "is shown to everybody whom it stops: say why")}
		if spec.TTL == nil && f.Errors["ttl"] == "" {
			f.Errors["ttl"] = "want a length of time: a pause ends by itself"
		}
		if f.valid() {
			if _, err := p.Client.PauseConnection(p.ctx, one.Name, spec, f.once()); err == nil {
				return p.done("The connection is paused.", back)
			} else if !f.refused(err) {
				return err
			}
		}
	}
	return p.plain("Pause "+one.Name, "connections", plainForm{
		Form: f, Back: back, Button: "Pause",
		Text: []string{"The outside system is left alone, for maintenance. Nothing is issued, renewed or removed there meanwhile."},
		Warn: "Leases that end during the pause keep their logins until it is over.",
		Fields: []field{
			f.field("ttl", "For", "required", true, "presets", endPresets("15m", "1h", "4h", "24h")),
			f.field("reason", "Reason", "required", true, "focus", true, "help", "Shown to everybody whom it stops."),
		},
	})
}

func (c *Console) resumeConnection(p *page) error {
	one, back, err := p.aboutConnection()
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		if _, err := p.Client.ResumeConnection(p.ctx, one.Name, f.once()); err == nil {
			return p.done("The connection goes on.", back)
		} else if !f.refused(err) {
			return err
		}
	}
	return p.plain("Resume "+one.Name, "connections", plainForm{
		Form: f, Back: back, Button: "Resume", Facts: []fact{{Name: "Paused for", Value: one.PauseReason}},
		Text: []string{"Leases are issued again, and what waited is removed now."},
	})
}

// rotateConnection tries first whether the root credential can be exchanged, and shows that.
func (c *Console) rotateConnection(p *page) error {
	one, back, err := p.aboutConnection()
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	v := plainForm{
		Form: f, Back: back, Button: "Rotate the root credential",
		Text: []string{
			"A new root credential is made at the outside system and tried; the connection gets it, and the old one is refused from then on. Nobody sees either. Leases go on meanwhile.",
			"Whatever breaks down in between, the ledger holds a credential that works. When the outside system refuses, everything stays as it was.",
		},
	}
	if p.posted() {
		done, err := p.Client.RotateConnection(p.ctx, one.Name, f.once())
		if err == nil {
			message := "The root credential is exchanged."
			if r := done.Rotation; r != nil && r.State != types.RotationDone {
				message = "The root credential is being exchanged; that goes on by itself."
			}
			return p.done(message, back)
		}
		if !f.refused(err) {
			return err
		}
	} else if _, err := p.Client.RotateConnection(p.ctx, one.Name, client.DryRun()); err != nil {
		if !f.refused(err) {
			return err
		}
		v.Button = ""
	} else {
		v.Facts = []fact{{Name: "Tried", Value: "It can be exchanged: the root credential works, and may make another"}}
	}
	return p.plain("Rotate root of "+one.Name, "connections", v)
}

func (c *Console) cancelRotation(p *page) error {
	one, back, err := p.aboutConnection()
	if err != nil {
		return err
	}
	f := p.form(url.Values{})
	if p.posted() {
		reason := f.need("reason", "is kept in the history: say why")
		if f.valid() {
			if _, err := p.Client.CancelRotation(p.ctx, one.Name, reason, f.once()); err == nil {
				return p.done("The rotation is given up.", back)
			} else if !f.refused(err) {
				return err
			}
		}
	}
	return p.plain("Give up the rotation", "connections", plainForm{
		Form: f, Back: back, Button: "Give up", Danger: true,
		Text:   []string{"For a rotation that does not come to its end, since the outside system is gone or refuses. The connection keeps the credential that it uses now."},
		Fields: []field{f.field("reason", "Reason", "required", true, "focus", true)},
	})
}

// deleteConnection deletes a connection, or, where that is asked for, all that depends on it first.
func (c *Console) deleteConnection(p *page) error {
	one, back, err := p.aboutConnection()
	if err != nil {
		return err
	}
	secrets, err := p.secretsBy()
	if err != nil {
		return err
	}
	live, more, err := p.liveLeases(client.LeaseSelector{Connection: one.Name})
	if err != nil {
		return err
	}
	f := p.form(url.Values{"version": {fmt.Sprint(one.Version)}})
	if p.posted() {
		if f.on("revoke_leases") {
			var op types.Operation
			if op, err = p.Client.DeleteConnectionWithLeases(p.ctx, one.Name, f.get("reason"), f.version()); err == nil {
				return p.doneAt("The connection goes once its leases are revoked.", operationPath(op.ID))
			}
		} else if err = p.Client.DeleteConnection(p.ctx, one.Name, f.version()); err == nil {
			return p.doneAt("The connection is deleted.", "/ui/connections")
		}
		if !f.refused(err) {
			return err
		}
	}
	using := secrets[one.Name]
	v := plainForm{
		Form: f, Back: back, Button: "Delete connection", Danger: true,
		Text:  []string{"The root credential is forgotten. The outside system itself is not touched. This cannot be undone."},
		Facts: append([]fact{{Name: "Live leases", Value: liveText(live, more)}, {Name: "Secrets that use it", Value: strconv.Itoa(len(using))}}, secretFacts(using)...),
	}
	if live > 0 || len(using) > 0 || f.on("revoke_leases") {
		v.Fields = []field{
			f.field("revoke_leases", "Revoke all its leases, and delete the secrets that use it", "type", "checkbox", "help", "Needed while there are some. The connection goes when the last login is removed."),
			f.field("reason", "Reason", "help", "Kept in the leases' history."),
		}
	}
	return p.plain("Delete "+one.Name, "connections", v)
}

// secretFacts name the first of some secrets.
func secretFacts(secrets []types.Secret) []fact {
	const most = 5
	var list []fact
	for _, one := range secrets[:min(most, len(secrets))] {
		list = append(list, fact{Name: "Secret", Value: one.FullName, Path: secretPath(one.FullName), Mono: true})
	}
	if more := len(secrets) - most; more > 0 {
		list = append(list, fact{Name: "and", Value: strconv.Itoa(more) + " more"})
	}
	return list
}

// sweptView is what a sweep found.
type sweptView struct {
	Reports []types.SweepReport
	Back    string
}

func (c *Console) sweep(p *page) error {
	f := p.form(url.Values{"connection": {p.query("connection")}})
	back := "/ui/orphans"
	if p.posted() {
		found, err := p.Client.Sweep(p.ctx, f.get("connection"), f.once())
		if err == nil {
			return p.dialog(screen{Title: "What the sweep found", Section: "connections", Template: "swept", Wide: true, Data: sweptView{found.Items, back}})
		}
		if !f.refused(err) {
			return err
		}
	}
	connections, _, err := every(1000, func(list client.ListOptions) (types.Page[types.Connection], error) {
		return p.Client.ListConnections(p.ctx, list)
	})
	if err != nil {
		return err
	}
	choices := []choice{{"", "All of them"}}
	for _, one := range connections {
		choices = append(choices, choice{one.Name, one.Name})
	}
	return p.plain("Sweep", "connections", plainForm{
		Form: f, Back: back, Button: "Sweep now",
		Text:   []string{"Logins at the outside systems are compared with the leases: those that no lease knows, and leases whose login is gone. Sweeps happen by themselves, too."},
		Fields: []field{f.field("connection", "Connection", "options", choices)},
	})
}

package console

import (
	"fmt"
	"net/url"

	"broker/api/client"
	"broker/api/types"
)

// deleteView is a form that deletes a secret.
type deleteView struct {
	Secret types.Secret
	Form   *form
	Leases []types.Lease // the first of those that live
	Others uint64        // that live besides
}

// deleteSecret deletes a secret; one with live leases only when they are to be revoked, too.
func (c *Console) deleteSecret(p *page) error {
	found, err := p.Client.GetSecret(p.ctx, p.secretName())
	if err != nil {
		return err
	}
	if found.BeingDeletedBy != "" {
		return p.doneAt("It is being deleted.", operationPath(found.BeingDeletedBy))
	}
	v := deleteView{Secret: found}
	if found.LiveLeases > 0 {
		leases, err := p.Client.ListLeases(p.ctx, client.LeaseSelector{Secret: found.FullName, States: statesOf("live")}, client.ListOptions{Limit: 5})
		if err != nil && client.Code(err) != "forbidden" {
			return err
		}
		v.Leases = leases.Items
		if n := uint64(len(v.Leases)); found.LiveLeases > n {
			v.Others = found.LiveLeases - n
		}
	}
	v.Form = p.form(url.Values{"version": {fmt.Sprint(found.Version)}})
	if p.posted() {
		back := "/ui/environments/" + found.Environment
		if v.Form.on("all") {
			var op types.Operation
			if op, err = p.Client.DeleteSecretWithLeases(p.ctx, found.FullName, v.Form.get("reason"), v.Form.version()); err == nil {
				return p.doneAt("The leases are being revoked; then the secret is deleted.", operationPath(op.ID))
			}
		} else if err = p.Client.DeleteSecret(p.ctx, found.FullName, v.Form.version()); err == nil {
			return p.doneAt("The secret is deleted.", back)
		}
		if !v.Form.refused(err) {
			return err
		}
	}
	return p.dialog(screen{Title: "Delete " + found.Name, Section: "secrets", Crumbs: p.crumbsTo(found.Name), Template: "secret-delete", Data: v, Status: v.Form.Status})
}

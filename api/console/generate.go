package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// generating is what the form for a new lease shows.
type generating struct {
	Secret  types.Secret
	Form    *form
	Presets []choice
	Asked   described // what the provider takes besides
	Gone    string    // the lease that the form was good for already, and whose values are gone
}

// generated is a new lease with its values, which are shown this once.
type generated struct {
	Lease    types.Lease
	Values   []shownValue
	Env      string // all of them, as they are written for programs
	JSON     string
	Shell    string
	Replayed bool
	Warnings []string
	Back     string
}

// shownValue is a leased value as it is shown.
type shownValue struct {
	ID, Key, Value string
	Masked, Long   bool // Long: of several lines
}

func (c *Console) generate(p *page) error {
	secret, err := p.Client.GetSecret(p.ctx, p.secretName())
	if err != nil {
		return err
	}
	var provider types.Provider
	if secret.Provider != "" {
		if provider, err = p.Client.GetProvider(p.ctx, secret.Provider); err != nil {
			return err
		}
	}
	f := p.form(url.Values{"ttl": {secret.DefaultTTL.String()}})
	v := generating{Secret: secret, Form: f, Presets: ttlPresets(secret.MaxTTL)}
	if p.posted() {
		spec := types.IssueSpec{Name: strings.TrimSpace(f.get("name")), TTL: f.duration("ttl"), Labels: f.labels("labels"), Parameters: f.describedValues("parameters.", provider.Parameters, nil)}
		if len(spec.Labels) == 0 {
			spec.Labels = nil
		}
		if len(spec.Parameters) == 0 {
			spec.Parameters = nil
		}
		if f.valid() {
			issued, err := p.Client.IssueLease(p.ctx, secret.FullName, spec, f.once())
			if err == nil {
				return p.showGenerated(secret, issued)
			}
			v.Gone = leaseOfKey(err)
			if !f.refused(err) {
				return err
			}
			if f.Problem != nil && f.Problem.Unknown {
				f.Problem.Detail = "No answer came in time. Press Generate again: if the lease was made, its values are shown, and no second one is made."
			}
		}
	}
	v.Asked = f.describe("parameters.", provider.Parameters)
	return p.dialog(screen{
		Title: "Generate " + secret.Name, Section: "secrets", Crumbs: p.crumbsTo(secret.Name), Template: "generate", Data: v, Status: f.Status,
	})
}

// leaseOfKey is the lease that a form was used for before, where its values cannot be shown again.
func leaseOfKey(err error) string {
	var problem *types.Problem
	if !slices.Contains([]string{"idempotency_answer_gone", "lease_ended"}, client.Code(err)) || !errors.As(err, &problem) {
		return ""
	}
	id, _ := problem.Extra["lease_id"].(string)
	return id
}

// showGenerated shows values. It is the only page that holds any.
func (p *page) showGenerated(secret types.Secret, issued types.Issued) error {
	v := generated{Lease: issued.Lease, Replayed: issued.Replayed, Warnings: issued.Warnings, Back: secretPath(secret.FullName) + "/leases"}
	for i, one := range issued.Values {
		v.Values = append(v.Values, shownValue{
			ID: "value-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26), Key: one.Key, Value: one.Value,
			Masked: slices.Contains(issued.Masked, one.Key), Long: strings.ContainsAny(one.Value, "\n\r"),
		})
	}
	// A value that cannot be a variable is left to be copied by itself.
	env, _ := issued.Values.DotenvLines()
	shell, _ := issued.Values.ShellLines()
	object, err := issued.Values.MarshalJSON()
	var indented bytes.Buffer
	if err == nil {
		err = json.Indent(&indented, object, "", "  ")
	}
	if err != nil {
		return errors.New("the values cannot be written") // the cause might quote one
	}
	v.Env, v.Shell, v.JSON = string(env), string(shell), indented.String()
	return p.dialog(screen{
		Title: cmp.Or(issued.Lease.Name, secret.Name), Section: "secrets", Crumbs: p.crumbsTo(secret.Name), Template: "generated", Data: v, Status: http.StatusOK, Wide: true,
	})
}

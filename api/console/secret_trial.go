package console

import (
	"net/url"

	"broker/api/types"
)

// testView is a test of a secret: before it, and what it found.
type testView struct {
	Secret types.Secret
	Form   *form
	Params described // what the provider takes besides
	Found  *types.SecretTest
	May    secretRow
}

// testSecret tries a secret out with a short lease.
func (c *Console) testSecret(p *page) error {
	found, err := p.Client.GetSecret(p.ctx, p.secretName())
	if err != nil {
		return err
	}
	if p.posted() {
		return c.runTest(p, found)
	}
	return c.showTest(p, testView{Secret: found, Form: p.form(url.Values{})})
}

func (c *Console) runTest(p *page, secret types.Secret) error {
	v := testView{Secret: secret, Form: p.form(url.Values{})}
	var spec types.SecretTestSpec
	if provider, err := p.Client.GetProvider(p.ctx, secret.Provider); err == nil {
		spec.Parameters = v.Form.describedValues("parameters.", provider.Parameters, nil)
	}
	found, err := p.Client.TestSecret(p.ctx, secret.FullName, spec)
	switch {
	case err == nil:
		v.Found = &found
	case !v.Form.refused(err):
		return err
	}
	return c.showTest(p, v)
}

func (c *Console) showTest(p *page, v testView) error {
	rows, err := p.rows([]types.Secret{v.Secret})
	if err != nil {
		return err
	}
	v.May = rows[0]
	if provider, err := p.Client.GetProvider(p.ctx, v.Secret.Provider); err == nil {
		v.Params = v.Form.describe("parameters.", provider.Parameters)
	}
	return p.show(screen{Title: "Test " + v.Secret.Name, Section: "secrets", Crumbs: p.crumbsTo(v.Secret.Name), Template: "secret-test", Data: v, Status: v.Form.Status})
}

package console

import (
	"broker/api/client"
)

func (m *secretMaking) prepareDetails() error {
	m.v.Outputs = m.v.Form.outputRows()
	m.v.Defaults = ttlPresets(0)
	return nil
}

// afterDetails shows what the secret would do, before it is made.
func (m *secretMaking) afterDetails() error {
	if m.v.Form.spec(m.v.Provider); !m.v.Form.valid() {
		return nil
	}
	err := m.preview()
	if err != nil {
		return m.refused(err)
	}
	m.v.At = stepReview
	return nil
}

// preview has the secret made by a dry run.
func (m *secretMaking) preview() error {
	shown, err := m.page.Client.CreateSecret(m.page.ctx, m.env, m.v.Form.spec(m.v.Provider), client.DryRun())
	if err == nil {
		m.v.Preview, m.v.Warnings = shown.Preview, shown.Warnings
	}
	return err
}

// prepareReview shows what is to be made. Who comes back to it after something went wrong sees it again.
func (m *secretMaking) prepareReview() error {
	if m.v.Preview == nil {
		if err := m.preview(); err != nil {
			return m.refused(err)
		}
	}
	m.v.Outputs, m.v.MayTest = m.v.Form.outputRows(), m.page.May("secret:test", "secret/"+m.env+"/"+m.v.Form.get("name"))
	return nil
}

// finish makes the secret, and then tests it where that is asked for. It reports true when it has answered.
func (m *secretMaking) finish(test bool) (answered bool, err error) {
	p, f := m.page, m.v.Form
	spec := f.spec(m.v.Provider)
	if !f.valid() {
		return false, m.refused(errForm)
	}
	made, err := p.Client.CreateSecret(p.ctx, m.env, spec, f.once())
	switch {
	case err != nil:
		return false, m.refused(err)
	case test:
		return true, p.console.runTest(p, made)
	}
	return true, p.redirect("/ui/environments/" + m.env)
}

package api

import (
	"context"
	"net/http"
	"time"

	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// SecretTestNow asks for a test of a secret.
type SecretTestNow struct {
	SecretPath
	Keyed
	Body *types.SecretTestSpec
}

// length is how long the test's lease lives, for policies about that.
func (SecretTestNow) length() time.Duration { return broker.TestTTL }

// SecretPreviewGet asks what a lease would do.
type SecretPreviewGet struct {
	SecretPath
	Read
	Account string `query:"account" doc:"Whose lease; that of who asks unless said"`
}

func (r *routes) secretTests() {
	s := r.server
	const one = "/environments/{app}/{env}/secrets/{name}"
	register(r, route{id: "secret-test", action: "secret:test", method: http.MethodPost, path: one + "/test", summary: "Test a secret: issue a lease of a minute, log in with it, renew and revoke it, and see that no log-in is accepted any more; nobody is shown its values"}, s.testSecret)
	register(r, route{id: "secret-preview", action: "secret:get", method: http.MethodGet, path: one + "/preview", summary: "Show what a lease of a secret would do at the outside system, and do nothing"}, s.previewSecret)
}

func (s *Server) testSecret(ctx context.Context, c *call, in *SecretTestNow) (*body[types.SecretTest], error) {
	spec := broker.TestSpec{Secret: in.secret(), MaxTTL: c.decision.MaxTTL}
	if in.Body != nil {
		spec.Parameters = in.Body.Parameters
	}
	found, err := s.config.Broker.TestSecret(ctx, c.request(in.DryRun), spec)
	if err != nil {
		return nil, err
	}
	c.lease = found.Lease.ID
	out := types.SecretTest{Secret: string(in.secret()), Passed: found.Passed(), Steps: []types.SecretTestStep{}, Lease: s.leaseOf(found.Lease)}
	for _, one := range found.Findings {
		step := types.SecretTestStep{Step: string(one.Step), Result: string(one.Result), TookMS: one.Took.Milliseconds(), Hint: one.Hint}
		if one.Result == broker.TestSkipped {
			step.Reason = one.Message
		} else {
			step.Error = one.Message
		}
		out.Steps = append(out.Steps, step)
	}
	return &body[types.SecretTest]{out}, nil
}

func (s *Server) previewSecret(_ context.Context, c *call, in *SecretPreviewGet) (*body[types.SecretPreview], error) {
	var secret fsm.Secret
	err := s.view(c, func(view View) error {
		var ok bool
		if secret, ok = view.Secret(in.secret()); !ok {
			return notFound("secret", string(in.secret()))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	account := c.identity.Account
	if in.Account != "" {
		account = fsm.AccountName(in.Account)
	}
	shown, err := s.previewOf(secret, account)
	if err != nil {
		return nil, err
	}
	return &body[types.SecretPreview]{*shown}, nil
}

// previewOf shows what a lease of a secret would do, which need not be stored.
func (s *Server) previewOf(secret fsm.Secret, account fsm.AccountName) (*types.SecretPreview, error) {
	found, err := s.config.Broker.Preview(secret, account)
	if err != nil {
		return nil, err
	}
	out := &types.SecretPreview{Username: found.Username, Connection: string(secret.Connection), Provider: found.Provider, Steps: found.Steps}
	if out.Steps == nil {
		out.Steps = []string{}
	}
	return out, nil
}

// shownSecret shows a secret that the broker has just made or changed; of one that would be, also what its leases would do.
func (s *Server) shownSecret(c *call, secret fsm.Secret, warnings []string, dryRun bool) (types.Secret, error) {
	c.setVersion(secret.Version)
	var shown types.Secret
	err := s.config.State.View(func(view View) error {
		var err error
		shown, err = secretOf(view, secret)
		return err
	})
	shown.Warnings = warnings
	if err == nil && dryRun {
		shown.Preview, err = s.previewOf(secret, c.identity.Account)
	}
	return shown, err
}

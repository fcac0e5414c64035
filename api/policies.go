package api

import (
	"context"
	"net/http"

	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// PolicyPath is part of every input about one policy.
type PolicyPath struct {
	Name string `path:"name"`
}

func (p PolicyPath) resource() Resource { return Resource{Kind: "policy", Name: p.Name} }

// PolicyList asks for policies.
type PolicyList struct{ Paged }

func (PolicyList) resource() Resource { return Resource{Kind: "policy"} }

// PolicyGet asks for one policy.
type PolicyGet struct {
	PolicyPath
	Read
}

// PolicyCreate asks for a new policy.
type PolicyCreate struct {
	Keyed
	Body types.PolicySpec
}

func (in PolicyCreate) resource() Resource { return Resource{Kind: "policy", Name: in.Body.Name} }

// PolicyUpdate asks for a change of a policy.
type PolicyUpdate struct {
	PolicyPath
	Conditional
	Body types.PolicyChange
}

// PolicyDelete asks for the end of a policy.
type PolicyDelete struct {
	PolicyPath
	Conditional
}

func (r *routes) policies() {
	s := r.server
	register(r, route{id: "policy-list", action: "policy:list", method: http.MethodGet, path: "/policies", summary: "List policies"}, s.listPolicies)
	register(r, route{id: "policy-create", action: "policy:create", method: http.MethodPost, path: "/policies", summary: "Make a policy; with dry_run=true check its text", status: http.StatusCreated}, s.createPolicy)
	register(r, route{id: "policy-get", action: "policy:get", method: http.MethodGet, path: "/policies/{name}", summary: "Get a policy"}, s.getPolicy)
	register(r, route{id: "policy-update", action: "policy:update", method: http.MethodPatch, path: "/policies/{name}", summary: "Change a policy"}, s.updatePolicy)
	register(r, route{id: "policy-delete", action: "policy:delete", method: http.MethodDelete, path: "/policies/{name}", summary: "Delete a policy"}, s.deletePolicy)
}

func (s *Server) listPolicies(_ context.Context, c *call, in *PolicyList) (*body[types.Page[types.Policy]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	var list []fsm.Policy
	err = s.view(c, func(view View) error {
		list = view.Policies(fsm.PolicyName(after), in.limit()+1)
		return nil
	})
	return pageOf(list, in.limit(), policyOf, func(p fsm.Policy) string { return string(p.Name) }), err
}

func (s *Server) getPolicy(_ context.Context, c *call, in *PolicyGet) (*body[types.Policy], error) {
	var out body[types.Policy]
	err := s.view(c, func(view View) error {
		found, ok := view.Policy(fsm.PolicyName(in.Name))
		if !ok {
			return notFound("policy", in.Name)
		}
		c.setVersion(found.Version)
		out.Body = policyOf(found)
		return nil
	})
	return &out, err
}

func (s *Server) createPolicy(ctx context.Context, c *call, in *PolicyCreate) (*created[types.Policy], error) {
	made, err := s.config.Broker.CreatePolicy(ctx, c.request(in.DryRun), broker.PolicySpec{
		Name: fsm.PolicyName(in.Body.Name), Description: in.Body.Description, Text: in.Body.Text,
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(made.Version)
	return &created[types.Policy]{createdStatus(in.DryRun), policyOf(made)}, nil
}

func (s *Server) updatePolicy(ctx context.Context, c *call, in *PolicyUpdate) (*body[types.Policy], error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	changed, err := s.config.Broker.UpdatePolicy(ctx, request, broker.PolicyChange{
		Name: fsm.PolicyName(in.Name), Description: in.Body.Description, Text: in.Body.Text, IfVersion: version,
	})
	if err != nil {
		return nil, err
	}
	c.setVersion(changed.Version)
	return &body[types.Policy]{policyOf(changed)}, nil
}

func (s *Server) deletePolicy(ctx context.Context, c *call, in *PolicyDelete) (*nothing, error) {
	request, version, err := c.change(in.Conditional)
	if err != nil {
		return nil, err
	}
	return &nothing{}, s.config.Broker.DeletePolicy(ctx, request, fsm.PolicyName(in.Name), version)
}

func policyOf(p fsm.Policy) types.Policy {
	return types.Policy{
		Name: string(p.Name), Description: p.Description, Text: p.Text,
		CreatedAt: p.CreatedAt.Time(), UpdatedAt: p.UpdatedAt.Time(), Version: p.Version,
	}
}

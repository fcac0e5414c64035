package api

import (
	"context"
	"net/http"
	"strconv"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// Removal is part of every input that deletes what leases belong to.
type Removal struct {
	Conditional
	RevokeLeases bool   `query:"revoke_leases" doc:"Refuse new leases, revoke those that exist, and delete then; else live leases and what else depends on it are a reason to refuse. An environment or connection takes its secrets along"`
	Reason       string `query:"reason" maxLength:"500" doc:"With revoke_leases: kept in the history"`
}

// revoking is what else a deletion needs that revokes leases.
func (in Removal) revoking(view View, target fsm.Target) []ask {
	if !in.RevokeLeases {
		return nil
	}
	asks := beneath(view, "lease:revoke", access.KindLease, target.Selector())
	eachSecretWith(view, target, func(secret fsm.Secret) {
		asks = append(asks, ask{"secret:delete", secretResource(&secret)})
	})
	return asks
}

// removed is the answer to a deletion: nothing once it is done, or the operation that does it.
type removed = created[*types.Operation]

// remove deletes at once what nothing depends on, or begins the operation that deletes it with its leases.
func (s *Server) remove(ctx context.Context, c *call, in Removal, target fsm.Target, atOnce func(broker.Request, uint64) error) (*removed, error) {
	request, version, err := c.change(in.Conditional)
	switch {
	case err != nil:
		return nil, err
	case !in.RevokeLeases && in.Reason != "":
		return nil, invalid("reason", "goes with revoke_leases=true")
	case !in.RevokeLeases:
		return &removed{Status: http.StatusNoContent}, atOnce(request, version)
	}
	op, err := s.config.Broker.DeleteWithLeases(ctx, request, target, version, in.Reason)
	if err != nil {
		return nil, err
	}
	out := begun(c, op, in.DryRun)
	err = s.view(c, func(view View) error {
		out.Body.Secrets = secretsWith(view, target)
		return nil
	})
	if n := out.Body.Secrets; n > 0 {
		out.Body.Warnings = []string{target.String() + " takes its secrets along: " + strconv.FormatUint(n, 10)}
	}
	return &removed{out.Status, &out.Body}, err
}

// secretsWith counts the secrets that are deleted together with a target.
func secretsWith(view View, target fsm.Target) (n uint64) {
	eachSecretWith(view, target, func(fsm.Secret) { n++ })
	return n
}

// eachSecretWith visits the secrets that are deleted together with a target.
func eachSecretWith(view View, target fsm.Target, visit func(fsm.Secret)) {
	eachSecret(view, func(secret fsm.Secret) {
		env, _ := secret.Name.Split()
		switch {
		case target.Noun == fsm.TargetEnvironment && string(env) == target.Name,
			target.Noun == fsm.TargetConnection && string(secret.Connection) == target.Name:
			visit(secret)
		}
	})
}

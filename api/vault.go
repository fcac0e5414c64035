package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/api/vault"
	"broker/fsm"
)

// vaultHealthPath is asked by load balancers.
const vaultHealthPath = vault.Prefix + "sys/health"

// The routes of what clients of Vault ask for, as the gate sees them: what each needs is what the native route needs.
var (
	vaultIssue       = route{id: "vault-issue", action: "lease:issue", method: http.MethodPost}
	vaultLookUp      = route{id: "vault-lookup", action: "lease:get", method: http.MethodGet}
	vaultRenew       = route{id: "vault-renew", action: "lease:renew", method: http.MethodPost}
	vaultRevoke      = route{id: "vault-revoke", action: "lease:revoke", method: http.MethodPost}
	vaultForget      = route{id: "vault-revoke-force", action: "lease:forget", method: http.MethodPost}
	vaultBeneath     = route{id: "vault-lease-list", action: "lease:list", method: http.MethodGet, chosen: true}
	vaultToken       = route{id: "vault-token-lookup", action: "token:get", method: http.MethodGet}
	vaultTokenSelf   = route{id: "vault-token-lookup-self", action: "token:get", method: http.MethodGet, chosen: true}
	vaultTokenMake   = route{id: "vault-token-create", action: "token:create", method: http.MethodPost, status: http.StatusCreated}
	vaultTokenDrop   = route{id: "vault-token-revoke-self", action: "token:delete", method: http.MethodPost, chosen: true}
	vaultSignIn      = route{id: "vault-sign-in", method: http.MethodPost, public: true}
	vaultEnvironment = route{id: "vault-mount", action: "environment:get", method: http.MethodGet}
	vaultMounts      = route{id: "vault-mounts", action: "environment:list", method: http.MethodGet, chosen: true}
)

// newVault returns what answers requests in the words of Vault. It stands where the router of the native routes stands.
func (s *Server) newVault() *vault.Server {
	return vault.New(vault.Config{
		Native: vaultNative{s}, Version: s.config.Version, StandbyStatus: s.config.VaultStandby, Fail: s.fail, Now: s.config.Now,
		Routed: func(r *http.Request, pattern string) { callOf(r.Context()).route = pattern },
	})
}

// speak has problems told to clients of Vault in their words, by the node that took the request: between nodes they are
// what they always are.
func (s *Server) speak(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := callOf(r.Context()); !c.isVault || c.forwarded {
			next.ServeHTTP(w, r)
			return
		}
		speaker := &vault.Speaker{ResponseWriter: w}
		next.ServeHTTP(speaker, r)
		speaker.Finish()
	})
}

// vaultNative is the API as package vault asks it: the gate and the handlers of the native routes.
type vaultNative struct{ s *Server }

func (n vaultNative) Lease(ctx context.Context, id string) (types.Lease, error) {
	out, err := serve(ctx, n.s, vaultLookUp, &LeaseGet{LeasePath: LeasePath{id}}, n.s.getLease)
	if err != nil {
		return types.Lease{}, err
	}
	return out.Body, nil
}

func (n vaultNative) Renew(ctx context.Context, id string, increment time.Duration) (types.Lease, time.Duration, error) {
	// What is asked for is put together before the gate, as a client of the native route does it: nothing of it is told to
	// who may not read the lease.
	now, until := n.s.config.Now(), time.Time{}
	err := n.s.config.State.Peek(func(view View) {
		lease, _ := view.Lease(fsm.LeaseID(id))
		if increment == 0 {
			secret, _ := view.Secret(lease.Secret)
			increment = secret.DefaultTTL
		}
		until = now.Add(increment)
		if end := lease.MaxExpiresAt; end != 0 && fsm.At(until) > end {
			until = end.Time()
		}
	})
	if err != nil {
		return types.Lease{}, 0, err
	}
	in := &LeaseRenew{LeasePath: LeasePath{id}, Body: types.RenewSpec{Until: until.UTC().Format(time.RFC3339Nano)}}
	out, err := serve(ctx, n.s, vaultRenew, in, n.s.renewLease)
	if err != nil {
		return types.Lease{}, 0, err
	}
	return out.Body, increment, nil
}

func (n vaultNative) Revoke(ctx context.Context, id string) (types.Lease, error) {
	out, err := serve(ctx, n.s, vaultRevoke, &LeaseRevoke{LeasePath: LeasePath{id}}, n.s.revokeLease)
	if err != nil {
		return types.Lease{}, err
	}
	return out.Body, nil
}

// RevokeAll gives up what is stuck first: who may not do that begins nothing.
func (n vaultNative) RevokeAll(ctx context.Context, place vault.Place, force bool) (types.Operation, error) {
	selector := selectorOfPlace(place)
	callOf(ctx).keyValue = "" // two operations cannot have one key, and nothing is lost by asking for these twice
	if force {
		stuck := selector
		stuck.State = []string{"stuck"}
		in := &LeaseBulk{Body: types.BulkSpec{Selector: stuck, Reason: "revoke-force of " + placeText(place)}}
		if _, err := serve(ctx, n.s, vaultForget, in, n.s.bulk(fsm.OperationForget)); err != nil {
			return types.Operation{}, err
		}
	}
	in := &LeaseBulk{Body: types.BulkSpec{Selector: selector}}
	begun, err := serve(ctx, n.s, vaultRevoke, in, n.s.bulk(fsm.OperationRevoke))
	if err != nil {
		return types.Operation{}, err
	}
	return n.s.awaitOperation(ctx, begun.Body), nil
}

// operationPatience is for how long a request waits for the operation that it began.
const operationPatience = 5 * time.Second

// awaitOperation returns an operation as it is once it runs no more, or after some seconds.
func (s *Server) awaitOperation(ctx context.Context, op types.Operation) types.Operation {
	ctx, cancel := context.WithTimeout(ctx, operationPatience)
	defer cancel()
	for {
		err := s.config.State.Peek(func(view View) {
			if found, ok := view.Operation(fsm.OperationID(op.ID)); ok {
				op = operationOf(found)
			}
		})
		if err != nil || op.State != string(fsm.OperationRunning) || !pause(ctx, 20*time.Millisecond) {
			return op
		}
	}
}

func selectorOfPlace(p vault.Place) types.LeaseSelector {
	switch {
	case p.Name != "":
		return types.LeaseSelector{Secret: p.App + "/" + p.Env + "/" + p.Name}
	case p.Env != "":
		return types.LeaseSelector{Environment: []string{p.App + "/" + p.Env}}
	}
	return types.LeaseSelector{Environment: []string{p.App + "/*"}}
}

func placeText(p vault.Place) string {
	return strings.Trim(strings.Join([]string{p.App, p.Env, p.Name}, "/"), "/")
}

// leaseKeys asks what stands below a prefix of lease ids.
type leaseKeys struct{ place vault.Place }

func (leaseKeys) resource() Resource { return Resource{Kind: access.KindLease} }

func (n vaultNative) Beneath(ctx context.Context, place vault.Place) ([]string, error) {
	out, err := serve(ctx, n.s, vaultBeneath, &leaseKeys{place}, n.s.leaseKeys)
	if err != nil {
		return nil, err
	}
	return *out, nil
}

// maxLeaseKeys is the longest list of leases that a client of Vault gets: its protocol has no pages.
const maxLeaseKeys = 10_000

// liveStates are those of leases whose login may exist.
var liveStates = []string{string(fsm.Pending), string(fsm.Active), string(fsm.Revoking)}

// leaseKeys lists the ids of a secret's live leases, the oldest first; above a secret, what leads to any.
func (s *Server) leaseKeys(_ context.Context, c *call, in *leaseKeys) (*[]string, error) {
	p, keys := in.place, []string{}
	err := s.view(c, func(view View) error {
		sight := s.sightOf(c, view)
		selector := fsm.LeaseSelector{States: liveStates, Now: fsm.At(s.config.Now())}
		if sight.reach("lease:list") == access.Nowhere {
			selector.Account = c.identity.Account // spares looking at those of everybody
		}
		live := func(secret fsm.SecretName, limit int) []fsm.Lease {
			selector.Secret = secret
			list, _ := gather(limit, "",
				func(after string, limit int) []fsm.Lease {
					return view.Leases(selector, fsm.LeasePage{After: fsm.LeaseID(after), Limit: limit, Order: fsm.OldestFirst})
				},
				func(l fsm.Lease) string { return string(l.ID) },
				func(l *fsm.Lease) bool { return sight.lease("lease:list", l) })
			return list
		}
		if p.Name != "" {
			for _, l := range live(fsm.SecretName(p.App+"/"+p.Env+"/"+p.Name), maxLeaseKeys) {
				keys = append(keys, string(l.ID))
			}
			return sight.err
		}
		eachSecret(view, func(secret fsm.Secret) {
			env, name := secret.Name.Split()
			app, short, _ := strings.Cut(string(env), "/")
			key := vault.Below(p, app, short, name)
			if key != "" && !slices.Contains(keys, key) && len(live(secret.Name, 1)) > 0 {
				keys = append(keys, key)
			}
		})
		slices.Sort(keys)
		return sight.err
	})
	return &keys, err
}

func (n vaultNative) Environment(ctx context.Context, name string) (types.Environment, error) {
	app, env, _ := strings.Cut(name, "/")
	out, err := serve(ctx, n.s, vaultEnvironment, &EnvironmentGet{EnvironmentPath: EnvironmentPath{App: app, Env: env}}, n.s.getEnvironment)
	if err != nil {
		return types.Environment{}, err
	}
	return out.Body, nil
}

func (n vaultNative) Environments(ctx context.Context) ([]types.Environment, error) {
	out, err := serve(ctx, n.s, vaultMounts, &EnvironmentList{}, func(ctx context.Context, c *call, in *EnvironmentList) (*[]types.Environment, error) {
		var all []types.Environment
		for in.Limit = types.MaxPage; ; {
			page, err := n.s.listEnvironments(ctx, c, in)
			if err != nil {
				return nil, err
			}
			all = append(all, page.Body.Items...)
			if in.Cursor = page.Body.NextCursor; in.Cursor == "" {
				return &all, nil
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return *out, nil
}

// Node tells what sys/health and sys/seal-status tell to everybody.
func (n vaultNative) Node() vault.Node {
	s := n.s
	out := vault.Node{Leads: s.config.Cluster.LeaderReady(), Unready: s.config.Cluster.Ready()}
	if err := s.config.State.Peek(func(view View) { out.ClusterID = view.Meta().ClusterID }); err != nil {
		out.Unready = err
	}
	return out
}

func (n vaultNative) Leader() string {
	if id, _, ok := n.s.config.Cluster.Leader(); ok {
		for _, m := range n.s.config.Status().Members {
			if m.ID == id {
				return m.APIAddress
			}
		}
	}
	return ""
}

package vault

import (
	"context"
	"time"

	"broker/api/types"
)

// Native is the broker's own API. Every method passes the gate of the route that does the same, with the caller of the
// request that the context belongs to; errors are [*types.Problem].
type Native interface {
	// Issue issues a lease. Once says that the request may have been made before: within a short while it is
	// answered with the same lease.
	Issue(ctx context.Context, secret Secret, spec types.IssueSpec, once bool) (Issued, error)

	Lease(ctx context.Context, id string) (types.Lease, error)

	// Renew has a lease live for a length of time from now on, by the secret's default when it is zero. It ends at
	// its max_expires_at at the latest, and never earlier than before. Asked is what was aimed at.
	Renew(ctx context.Context, id string, increment time.Duration) (lease types.Lease, asked time.Duration, err error)

	// Revoke ends a lease, and waits a few seconds for it.
	Revoke(ctx context.Context, id string) (types.Lease, error)

	// RevokeAll ends all leases of a place, and waits a few seconds for it. With force it also gives up those whose
	// login could not be removed several times. The operation is the one that ends them.
	RevokeAll(ctx context.Context, place Place, force bool) (types.Operation, error)

	// Beneath lists what stands below a place on the way to live leases that the caller sees, sorted.
	Beneath(ctx context.Context, place Place) ([]string, error)

	OwnToken(ctx context.Context) (types.Token, error)
	TokenOf(ctx context.Context, token string) (types.Token, error)
	MakeToken(ctx context.Context, spec types.TokenSpec) (types.Token, error)

	// DropOwnToken deletes the caller's token with those made with it, and begins the end of the leases issued with
	// them.
	DropOwnToken(ctx context.Context) error

	// SignInClient and SignInPassword return a new token.
	SignInClient(ctx context.Context, account, secret string) (types.Token, error)
	SignInPassword(ctx context.Context, account, password string) (types.Token, error)

	// Environment and Environments need no more than a look at them.
	Environment(ctx context.Context, name string) (types.Environment, error)
	Environments(ctx context.Context) ([]types.Environment, error)

	// Node tells what everybody may know, and Leader the URL of the leader's API; empty: not known.
	Node() Node
	Leader() string
}

// Issued is a new lease with its values.
type Issued struct {
	types.Issued

	// Fields are the provider's names of values that are given to the client as they are: DB_USER is username.
	Fields map[string]string
}

// Node is how a node sees itself and its cluster.
type Node struct {
	ClusterID string
	Leads     bool
	Unready   error // why requests had better go to another node; nil: they are welcome
}

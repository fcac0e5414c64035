package mysql

import (
	"context"
	"crypto/rand"
	"fmt"

	"broker/providers"
)

// markPrefix is what the names of the roles begin with by whose membership MariaDB's logins are known as the cluster's:
// accounts have no comment there. These roles have no privileges. A role can be granted only by an account that has it
// WITH ADMIN OPTION, as whoever made it has: each root account makes its own.
func markPrefix(clusterID string) string { return "broker_" + plain(clusterID) + "_" }

// mark returns a role of the cluster that the root account may grant, and makes one when there is none.
func (b *backend) mark(ctx context.Context, s *session) (string, error) {
	if known, _ := b.marker.Load().(string); known != "" {
		return known, nil
	}
	prefix := markPrefix(b.env.ClusterID)
	doing := "looking for a role that marks the cluster's accounts"
	var role string
	err := s.rows(ctx, "SELECT ROLE_NAME FROM information_schema.APPLICABLE_ROLES WHERE IS_GRANTABLE = 'YES' AND LEFT(ROLE_NAME, CHAR_LENGTH("+
		quoteString(prefix)+")) = "+quoteString(prefix)+" ORDER BY ROLE_NAME LIMIT 1", func(scan func(...any) error) error { return scan(&role) })
	if err == nil && role == "" {
		var unique string
		if unique, err = providers.NewUnique(rand.Reader); err != nil {
			return "", &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
		}
		role = prefix + unique
		doing = fmt.Sprintf("making role %q, which marks the cluster's accounts", role)
		err = s.exec(ctx, "CREATE ROLE "+quoteName(role))
	}
	if err != nil {
		return "", statementError(doing, err)
	}
	b.marker.Store(role)
	return role, nil
}

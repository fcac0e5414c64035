package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// applicationPrefix is what the application_name of every session of the cluster begins with. A
// cluster id that is long or not plain is replaced by its hash, so that name and term always fit
// into 63 bytes and arrive unchanged.
func applicationPrefix(clusterID string) string {
	const longest = 32
	plain := len(clusterID) <= longest && clusterID != ""
	for _, r := range clusterID {
		if r <= ' ' || r > '~' || r == '/' {
			plain = false
		}
	}
	if !plain {
		sum := sha256.Sum256([]byte(clusterID))
		clusterID = hex.EncodeToString(sum[:longest/2])
	}
	return "broker/" + clusterID + "/t"
}

func applicationName(clusterID string, term uint64) string {
	return applicationPrefix(clusterID) + strconv.FormatUint(term, 10)
}

// supplant ends the root account's sessions of this cluster's older terms. It speeds up that a
// deposed leader stops; it does not fence, since its pool reconnects.
func (b *backend) supplant(ctx context.Context, conn *pgx.Conn) error {
	// CASE, since conditions joined by AND are evaluated in any order and the cast of a foreign
	// name would fail.
	const sql = `
SELECT pg_terminate_backend(pid)
FROM (
  SELECT pid, substr(application_name, length($1::text) + 1) AS term
  FROM pg_stat_activity
  WHERE usename = current_user AND pid <> pg_backend_pid() AND left(application_name, length($1::text)) = $1::text
) AS ours
WHERE CASE WHEN term ~ '^[0-9]{1,20}$' THEN term::numeric < $2::text::numeric ELSE false END`
	_, err := conn.Exec(ctx, sql, applicationPrefix(b.env.ClusterID), strconv.FormatUint(b.env.Term, 10))
	if err != nil {
		return fmt.Errorf("ending sessions of older terms: %w", err)
	}
	return nil
}

func fallbackWithoutTLS(host string, port uint16) []*pgconn.FallbackConfig {
	return []*pgconn.FallbackConfig{{Host: host, Port: port}}
}

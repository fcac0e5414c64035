package postgres

import (
	"context"
	"iter"

	"broker/providers"
)

// listPage is how many names one statement reads, so that a sweep over many roles holds neither a
// connection nor a snapshot while its reader works.
const listPage = 1000

// List yields all roles whose names begin with prefix, in the order of their bytes. The comment on a
// role tells whose it is.
func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		after := ""
		for {
			page, err := b.listPage(ctx, prefix, after)
			if err != nil {
				yield(providers.Found{}, err)
				return
			}
			for _, found := range page {
				if !yield(found, nil) {
					return
				}
				after = string(found.Name)
			}
			if len(page) < listPage {
				return
			}
		}
	}
}

func (b *backend) listPage(ctx context.Context, prefix, after string) ([]providers.Found, error) {
	ctx, cancel := b.bound(ctx, 2)
	defer cancel()
	conn, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	// No LIKE: an underscore of the prefix would stand for any character.
	const sql = `
SELECT name, coalesce(left(shobj_description(oid, 'pg_authid'), length($4::text)) = $4::text, false)
FROM (SELECT oid, rolname::text COLLATE "C" AS name FROM pg_roles) AS roles
WHERE left(name, length($1::text)) = $1::text AND name > $2::text COLLATE "C"
ORDER BY name LIMIT $3`
	rows, err := conn.Query(ctx, sql, prefix, after, listPage, roleComment(b.env.ClusterID, ""))
	if err != nil {
		return nil, statementError("listing roles", err)
	}
	defer rows.Close()
	var page []providers.Found
	for rows.Next() {
		var name string
		var ours bool
		if err := rows.Scan(&name, &ours); err != nil {
			return nil, statementError("listing roles", err)
		}
		page = append(page, providers.Found{Name: providers.LoginName(name), Ours: ours})
	}
	if err := rows.Err(); err != nil {
		return nil, statementError("listing roles", err)
	}
	return page, nil
}

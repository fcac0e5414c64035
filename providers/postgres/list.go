package postgres

import (
	"context"
	"iter"

	"broker/providers"
)

// listPage is how many names one statement reads, so that a sweep over many roles holds neither a
// connection nor a snapshot while its reader works.
const listPage = 1000

// List yields the names of all roles that begin with prefix, in the order of their bytes.
func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[providers.LoginName, error] {
	return func(yield func(providers.LoginName, error) bool) {
		after := ""
		for {
			page, err := b.listPage(ctx, prefix, after)
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range page {
				if !yield(providers.LoginName(name), nil) {
					return
				}
				after = name
			}
			if len(page) < listPage {
				return
			}
		}
	}
}

func (b *backend) listPage(ctx context.Context, prefix, after string) ([]string, error) {
	ctx, cancel := b.bound(ctx, 2)
	defer cancel()
	conn, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	// No LIKE: an underscore of the prefix would stand for any character.
	const sql = `
SELECT name FROM (SELECT rolname::text COLLATE "C" AS name FROM pg_roles) AS roles
WHERE left(name, length($1::text)) = $1::text AND name > $2::text COLLATE "C"
ORDER BY name LIMIT $3`
	rows, err := conn.Query(ctx, sql, prefix, after, listPage)
	if err != nil {
		return nil, statementError("listing roles", err)
	}
	defer rows.Close()
	var page []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, statementError("listing roles", err)
		}
		page = append(page, name)
	}
	if err := rows.Err(); err != nil {
		return nil, statementError("listing roles", err)
	}
	return page, nil
}

package mysql

import (
	"context"
	"fmt"
	"iter"

	"broker/providers"
)

// listPage is how many names one statement reads, so that a sweep over many accounts holds no connection while its reader
// works.
const listPage = 1000

// List yields every name with the prefix that has an account, in the order of their bytes. Whose it is tells MySQL by the
// attribute that Create gives, and MariaDB by the role that it grants.
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
	s, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	// A name is ours when each of its accounts is.
	ours := fmt.Sprintf("JSON_UNQUOTE(JSON_EXTRACT(u.User_attributes, '$.metadata.broker_cluster')) = %s", quoteString(plain(b.env.ClusterID)))
	if s.mariaDB {
		mark := quoteString(markPrefix(b.env.ClusterID))
		ours = "EXISTS (SELECT 1 FROM mysql.roles_mapping m WHERE m.Host = u.Host AND m.User = u.User AND LEFT(m.Role, CHAR_LENGTH(" + mark + ")) = " + mark + ")"
	}
	// No LIKE: an underscore of the prefix would stand for any character. Roles have an empty host at MariaDB.
	sql := fmt.Sprintf(`SELECT u.User, MIN(COALESCE(%s, 0)) FROM mysql.user u WHERE LEFT(u.User, CHAR_LENGTH(%s)) = %s AND u.User > %s AND u.Host <> ''
GROUP BY u.User ORDER BY u.User LIMIT %d`, ours, quoteString(prefix), quoteString(prefix), quoteString(after), listPage)
	var page []providers.Found
	err = s.rows(ctx, sql, func(scan func(...any) error) error {
		var name string
		var ours bool
		err := scan(&name, &ours)
		page = append(page, providers.Found{Name: providers.LoginName(name), Ours: ours})
		return err
	})
	if err != nil {
		return nil, statementError("listing accounts", err)
	}
	return page, nil
}

package ldap

import (
	"context"
	"iter"
	"slices"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// listPage is how many entries one answer holds.
const listPage = 500

// List yields the entries directly below user_base whose names begin with prefix. Their record tells whose they are.
func (b *backend) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		c, err := b.acquire(ctx)
		if err != nil {
			yield(providers.Found{}, err)
			return
		}
		defer b.release(c)
		paging := goldap.NewControlPaging(listPage)
		filter := prefixFilter(b.settings.nameAttribute, prefix)
		for {
			request := goldap.NewSearchRequest(b.settings.userBase, goldap.ScopeSingleLevel, goldap.NeverDerefAliases, 0, 0, false, filter,
				[]string{b.settings.recordAttribute}, []goldap.Control{paging})
			page, err := c.Search(request)
			if err != nil {
				yield(providers.Found{}, b.failed(ctx, c, err, "listing entries below %q", b.settings.userBase))
				return
			}
			for _, entry := range page.Entries {
				if found, ok := b.foundIn(entry, prefix); ok && !yield(found, nil) {
					c.broken = true // a search that is not read to its end keeps a cursor
					return
				}
			}
			next, more := goldap.FindControl(page.Controls, goldap.ControlTypePaging).(*goldap.ControlPaging)
			if !more || len(next.Cookie) == 0 {
				return
			}
			paging.SetCookie(next.Cookie)
			c.wire.left.Store(longestAnswer)
		}
	}
}

// prefixFilter means the entries whose name begins with prefix; every entry without one.
func prefixFilter(attribute, prefix string) string {
	return "(" + attribute + "=" + goldap.EscapeFilter(prefix) + "*)"
}

// foundIn reads an entry. The directory ignores case where we do not.
func (b *backend) foundIn(entry *goldap.Entry, prefix string) (providers.Found, bool) {
	name, ok := b.settings.nameIn(entry.DN)
	if !ok || !strings.HasPrefix(string(name), prefix) {
		return providers.Found{}, false
	}
	ours := slices.ContainsFunc(entry.GetEqualFoldAttributeValues(b.settings.recordAttribute), func(record string) bool {
		return strings.HasPrefix(record, recordOf(b.env.ClusterID, ""))
	})
	return providers.Found{Name: name, Ours: ours}, true
}

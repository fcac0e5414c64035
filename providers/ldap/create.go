package ldap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// Create makes the entry without a password, makes it a member of its groups and sets the password last, when the
// directory's clock is known to be before the deadline. Whatever comes too late therefore opens nothing: an entry
// without a password takes no bind, and the password of an entry that is gone cannot be set.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := b.ours(grant.Name); err != nil {
		return nil, err
	}
	if err := b.writes(); err != nil {
		return nil, err
	}
	notSent := func(err error) error {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("making login %q: %w", string(grant.Name), err)}
	}
	t, err := creation(grant.Options)
	if err != nil {
		return nil, notSent(fmt.Errorf("%s %w", optionCreationLDIF, err))
	}
	password, err := providers.Password(rand.Reader, grant.Options)
	if err != nil {
		return nil, notSent(err)
	}
	providers.Conceal(ctx, password)
	changes := append(t.modifications(b.fillings(grant)), b.memberships(grant.Options, grant.Name, goldap.AddAttribute)...)

	ctx, cancel := b.bound(ctx, 3+len(changes))
	defer cancel()
	c, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer b.release(c)
	if !time.Now().Before(grant.Deadline) {
		return nil, notSent(errors.New("its deadline has passed"))
	}
	if err := b.make(ctx, c, grant, b.entry(t, grant), changes, password); err != nil {
		return nil, err
	}
	return b.values(grant.Name, password), nil
}

func (b *backend) make(ctx context.Context, c *conn, grant providers.Grant, entry *goldap.AddRequest, changes []*goldap.ModifyRequest, password providers.Secret) error {
	began := time.Now()
	if err := c.Add(entry); err != nil {
		return b.failed(ctx, c, err, "adding entry %q", entry.DN)
	}
	madeAt, exact, err := b.madeAt(ctx, c, entry.DN)
	if err != nil {
		return err
	}
	if !exact {
		madeAt = madeAt.Add(time.Second) // it may have been any moment of that second
	}
	// The directory's clock is now at most this.
	now := func() time.Time { return madeAt.Add(time.Since(began)) }
	if !now().Before(grant.Deadline) {
		// It is certainly this call's own, and nobody can use it.
		if err := c.Del(goldap.NewDelRequest(entry.DN, nil)); err != nil {
			return b.failed(ctx, c, err, "taking entry %q back, whose deadline has passed", entry.DN)
		}
		return providers.Errorf(providers.KindRejected, "making login %q: its deadline has passed by the directory's clock", string(grant.Name))
	}
	for _, request := range changes {
		if err := c.Modify(request); err != nil {
			return b.failed(ctx, c, err, "changing entry %q for %q", request.DN, string(grant.Name))
		}
	}
	if !now().Before(grant.Deadline) {
		return providers.Errorf(providers.KindRejected, "making login %q: its deadline passed while groups were changed", string(grant.Name))
	}
	if _, err := c.PasswordModify(goldap.NewPasswordModifyRequest(entry.DN, "", password.Reveal())); err != nil {
		return b.failed(ctx, c, err, "setting the password of entry %q", entry.DN)
	}
	return nil
}

// madeAt returns when an entry was made by the directory's clock; exact says whether that is more than the second.
func (b *backend) madeAt(ctx context.Context, c *conn, dn string) (at time.Time, exact bool, err error) {
	found, err := b.find(ctx, c, dn, "entryCSN", "createTimestamp")
	if err != nil {
		return time.Time{}, false, err
	}
	if found != nil {
		if at, exact, ok := readTime(found.GetEqualFoldAttributeValue("entryCSN"), found.GetEqualFoldAttributeValue("createTimestamp")); ok {
			return at, exact, nil
		}
	}
	return time.Time{}, false, &providers.Error{Kind: providers.KindRejected, Hint: fmt.Sprintf("Let the root account %q read the entries below user_base, createTimestamp included.", b.settings.bindDN),
		Err: fmt.Errorf("reading when entry %q was made: the directory does not show it", dn)}
}

// readTime reads the instant of a change sequence number ("20260102150405.000000Z#…"), or for want of one a
// generalised time.
func readTime(csn, generalised string) (at time.Time, exact, ok bool) {
	for i := range len(csn) {
		if csn[i] == '#' {
			if at, err := time.Parse("20060102150405.000000Z", csn[:i]); err == nil {
				return at, true, true
			}
			break
		}
	}
	at, err := time.Parse("20060102150405Z0700", generalised)
	return at, false, err == nil
}

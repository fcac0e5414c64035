package providertest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"broker/providers"
)

// LogIn logs in as the user of the lease would.
func (b *fakeBackend) LogIn(ctx context.Context, values providers.Values) error {
	var refused error
	err := b.call(ctx, OpLogIn, nil, func(func(int) bool) {
		refused = b.fake.LogIn(values["username"].Reveal(), values["password"].Reveal())
	})
	if err != nil {
		return err
	}
	if refused != nil {
		return &providers.Error{Kind: providers.KindRejected, Err: refused}
	}
	return nil
}

// Preview says what a lease would do at the fake.
func (p fakeProvider) Preview(settings providers.Settings, options providers.Options, name providers.LoginName, expiresAt time.Time) []string {
	steps := []string{fmt.Sprintf("make login %s at %s with password {{password}} until %s", name, settings.String("system"), expiresAt.UTC().Format(time.RFC3339))}
	if groups := options.List("member_of"); len(groups) > 0 {
		steps = append(steps, fmt.Sprintf("make %s a member of %s", name, strings.Join(groups, ", ")))
	}
	return steps
}

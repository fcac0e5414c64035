package mysql

import (
	"context"

	"broker/providers"
)

// Hostile are texts that break careless quoting.
var Hostile = hostile

// ReadBack has the server read a literal of ours, in a session of the Backend.
func ReadBack(ctx context.Context, b providers.Backend, text string) (string, error) {
	s, err := b.(*backend).acquire(ctx)
	if err != nil {
		return "", err
	}
	defer s.end()
	var got string
	err = s.read(ctx, "SELECT "+quoteString(text), &got)
	return got, err
}

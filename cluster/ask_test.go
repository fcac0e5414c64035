package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever waits in vain learns what stood in the way, also when the wait ends in the midst of an attempt.
func TestAskingInVainTellsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		first := true
		err := askAgain(ctx, []string{"a:1"}, LAN(), slog.New(slog.DiscardHandler), func(ctx context.Context, _ string) error {
			if first {
				first = false
				return errors.New("check its advertised address")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if err == nil || !strings.Contains(err.Error(), "check its advertised address") {
			t.Errorf("the reason is lost: %v", err)
		}
	})
}

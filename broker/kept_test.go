package broker_test

import (
	"errors"
	"testing"

	"broker/broker"
	"broker/fsm"
)

// Who may change connections may not read them: what is sealed goes nowhere else than where it was given for, be it
// called moved or replaced, checked or not.
func TestKeptSecretsGoNowhereElse(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for _, c := range []broker.ConnectionChange{
			{System: broker.Moved}, {System: broker.Replaced}, {System: broker.Moved, SkipCheck: true}, {System: broker.Replaced, SkipCheck: true},
		} {
			c.Name, c.Settings = "orders-db", map[string]any{"system": "other"}
			var invalid *broker.InvalidError
			if _, _, err := h.b.UpdateConnection(t.Context(), alice(), c); !errors.As(err, &invalid) || invalid.Problems[0].Field != "settings.password" {
				t.Errorf("%s, unchecked %t: %v", c.System, c.SkipCheck, err)
			}
		}
		again := broker.ConnectionChange{Name: "orders-db", System: broker.Replaced, Settings: map[string]any{"system": "other", "password": rootCanary}}
		if c, _, err := h.b.UpdateConnection(t.Context(), alice(), again); err != nil || c.System == (fsm.Connection{}).System {
			t.Errorf("with the password given again: %v", err)
		}
	})
}

package fsm

import (
	"fmt"
	"time"
)

// Rate is a number of leases that may be issued in a length of time; the zero Rate sets no limit. The
// leader keeps to it; the state machine only stores it.
type Rate struct {
	Count uint64        `cbor:"1,keyasint,omitempty"`
	Per   time.Duration `cbor:"2,keyasint,omitempty"`
}

// IsZero reports whether the rate sets no limit.
func (r Rate) IsZero() bool { return r.Count == 0 || r.Per <= 0 }

// checkQuotas refuses one more live lease of a secret or account that has as many as it may.
func (t *txn) checkQuotas(s Secret, account AccountName) *Refusal {
	a, _ := t.Account(account)
	for _, q := range []struct {
		noun, name string
		have, most uint64
	}{
		{"secret", string(s.Name), t.LiveLeases(s.Name), s.MaxLeases},
		{"account", string(a.Name), t.LiveLeasesOf(a.Name), a.MaxLeases},
	} {
		if q.most > 0 && q.have >= q.most {
			return (&Refusal{Code: CodeQuotaExceeded, Message: fmt.Sprintf("%s %q has %s and may have no more: revoke some, or wait until one ends", q.noun, q.name, counted(q.have, "live lease"))}).
				With("leases", fmt.Sprint(q.have)).With("max_leases", fmt.Sprint(q.most))
		}
	}
	return nil
}

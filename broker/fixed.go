package broker

import (
	"fmt"

	"broker/fsm"
)

// renewable refuses to renew a lease whose credential's end is fixed, before anything is called.
func renewable(lease fsm.Lease) error {
	if !lease.Fixed {
		return nil
	}
	return (&fsm.Refusal{
		Code: CodeNotRenewable, Message: fmt.Sprintf("lease %s cannot be renewed: the end of its credential was fixed as it was made", lease.ID),
	}).With("hint", "issue a new lease before this one ends, with the TTL that is needed")
}

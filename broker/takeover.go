package broker

import (
	"fmt"

	"broker/fsm"
)

// pageSize bounds how many leases one command or one reading handles at a time.
const pageSize = 500

// takeOver brings the leases of earlier periods under this one: pending ones are rolled back, since
// nobody knows how far their creation came; those being revoked are driven again; the wheel is armed.
func (p *period) takeOver() error {
	pending, err := p.inState(fsm.Pending)
	if err != nil {
		return err
	}
	for page := range pages(pending) {
		moved, _, err := propose[[]fsm.Lease](p.ctx, p, p.self(), &fsm.RollbackLeases{IDs: page})
		if err != nil {
			return fmt.Errorf("rolling back pending leases: %w", err)
		}
		p.log.Info("rolled back leases that an earlier leader had prepared", "count", len(moved))
	}
	if err := p.driveRevoking(); err != nil {
		return err
	}
	return p.fillWheel()
}

// driveRevoking hands every revoking lease to its revoker; one that is there already stays as it is.
func (p *period) driveRevoking() error {
	ids, err := p.inState(fsm.Revoking)
	if err != nil {
		return err
	}
	for page := range pages(ids) {
		var list []fsm.Lease
		err := p.view(func(v *fsm.View) {
			for _, id := range page {
				if l, ok := v.Lease(id); ok && l.State == fsm.Revoking {
					list = append(list, l)
				}
			}
		})
		if err != nil {
			return err
		}
		p.drive(list...)
	}
	return nil
}

func (p *period) inState(state fsm.LeaseState) ([]fsm.LeaseID, error) {
	var ids []fsm.LeaseID
	var after fsm.LeaseID
	for {
		var n int
		err := p.view(func(v *fsm.View) {
			list := v.LeaseIDs(state, after, pageSize)
			ids, n = append(ids, list...), len(list)
		})
		if err != nil {
			return nil, err
		}
		if n < pageSize {
			return ids, nil
		}
		after = ids[len(ids)-1]
	}
}

// pages cuts a list into pieces of at most pageSize.
func pages[T any](list []T) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			n := min(pageSize, len(list))
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

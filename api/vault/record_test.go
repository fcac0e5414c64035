package vault_test

import (
	"context"
	"slices"
	"sync"

	"broker/access"
)

// record keeps what is audited.
type record struct {
	access.Recorder
	mu   sync.Mutex
	list []access.RequestRecord
}

func (r *record) Request(_ context.Context, one access.RequestRecord) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, one)
	return nil
}

func (r *record) Outcome(context.Context, access.OutcomeRecord) {}

func (r *record) last() access.RequestRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list[len(r.list)-1]
}

func (r *record) all() []access.RequestRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

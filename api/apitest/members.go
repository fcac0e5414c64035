package apitest

import (
	"context"
	"fmt"
	"sync"

	"broker/broker"
	"broker/fsm"
)

// Members remembers what it was asked, and refuses what a test wants refused.
type Members struct {
	Cluster *Cluster

	mu      sync.Mutex
	asked   []string
	refusal error
}

// Refusal is what the cluster refuses with, for [Members.Refuse].
func Refusal(code, message string) error { return &fsm.Refusal{Code: fsm.Code(code), Message: message} }

// Refuse has every change be refused with an error; nil: none.
func (m *Members) Refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusal = err
}

// Asked returns what was asked, in order.
func (m *Members) Asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.asked...)
}

func (m *Members) ask(request broker.Request, id, what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if request.DryRun {
		what += " (dry run)"
	}
	m.asked = append(m.asked, fmt.Sprintf("%s: %s", request.Actor.Account, what))
	if id != "" && id != m.Cluster.ID {
		return &fsm.Refusal{Code: fsm.CodeNotFound, Message: fmt.Sprintf("the cluster has no node %q", id)}
	}
	return m.refusal
}

// Remove remembers the wish.
func (m *Members) Remove(_ context.Context, request broker.Request, id, reason string, force bool) error {
	return m.ask(request, id, fmt.Sprintf("remove %s %q force=%t", id, reason, force))
}

// Promote remembers the wish.
func (m *Members) Promote(_ context.Context, request broker.Request, id, reason string) error {
	return m.ask(request, id, fmt.Sprintf("promote %s %q", id, reason))
}

// Demote remembers the wish.
func (m *Members) Demote(_ context.Context, request broker.Request, id, reason string) error {
	return m.ask(request, id, fmt.Sprintf("demote %s %q", id, reason))
}

// Leave remembers the wish.
func (m *Members) Leave(_ context.Context, request broker.Request, id string) error {
	return m.ask(request, id, "leave "+id)
}

// Transfer remembers the wish.
func (m *Members) Transfer(_ context.Context, request broker.Request, to string) error {
	return m.ask(request, to, "transfer "+to)
}

// FinishUpgrade remembers the wish.
func (m *Members) FinishUpgrade(_ context.Context, request broker.Request) (uint64, error) {
	return fsm.FeatureLevel, m.ask(request, "", "finish upgrade")
}

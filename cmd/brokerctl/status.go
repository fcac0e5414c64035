package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

// nodeStatus is what status found out about one node.
type nodeStatus struct {
	ID          string         `json:"id,omitempty"`
	Address     string         `json:"address"`
	Reached     bool           `json:"reached"`
	Error       string         `json:"error,omitempty"`
	Leader      bool           `json:"leader"`
	Voter       bool           `json:"voter"`
	Version     string         `json:"version,omitempty"`
	Applied     uint64         `json:"applied_index,omitempty"`
	Behind      uint64         `json:"entries_behind,omitempty"`  // the highest index that any node knows to be committed
	ClockMS     *int64         `json:"clock_offset_ms,omitempty"` // ahead of the clock of the node whose view counts
	StalenessMS int64          `json:"staleness_ms"`
	View        *types.Cluster `json:"view,omitempty"` // the whole answer
	failure     error
}

// clusterStatus is what the reached nodes together say.
type clusterStatus struct {
	ID     string            `json:"id"`
	Leader string            `json:"leader,omitempty"`
	Term   uint64            `json:"term"`
	Leases map[string]uint64 `json:"leases"`

	Trouble types.Trouble `json:"trouble"`
	Seal    types.Seal    `json:"seal"`

	ExpirySuspendedSince *time.Time `json:"expiry_suspended_since,omitempty"`

	Nodes    []nodeStatus `json:"nodes"`
	Warnings []string     `json:"warnings,omitempty"`

	Attention attention `json:"attention"`
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show nodes, leader and what needs attention; works with one node alive",
		Long: `Show nodes, leader and indexes, and what needs attention: connections that are paused or
unavailable, stuck leases, orphans, locks in force, running operations. Every known address is asked, and those that the answers name;
each node tells what it sees, which needs no leader.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			where, err := a.find()
			if err != nil {
				return err
			}
			c, err := a.clientFor(where)
			if err != nil {
				return err
			}
			nodes := askAll(cmd.Context(), c, min(a.timeout, 5*time.Second))
			status, err := together(nodes)
			if err != nil {
				return err
			}
			if status.Leader != "" {
				status.Attention = lookAround(cmd.Context(), c, min(a.timeout, 5*time.Second))
			}
			return a.showStatus(status)
		},
	}
}

// askAll asks every address at the same time, then those that the answers name besides.
func askAll(ctx context.Context, c *client.Client, timeout time.Duration) []nodeStatus {
	var (
		out   []nodeStatus
		asked = map[string]bool{}
		next  = c.Addresses()
	)
	for len(next) > 0 {
		round := make([]nodeStatus, len(next))
		var asking sync.WaitGroup
		for i, address := range next {
			asked[address] = true
			asking.Go(func() { round[i] = ask(ctx, c, address, timeout) })
		}
		asking.Wait()
		next = nil
		for _, one := range round {
			if one.View == nil {
				continue
			}
			for _, member := range one.View.Members {
				address, err := client.LearntAddress(one.Address, member.APIAddress)
				if err == nil && !asked[address] && !slices.Contains(next, address) {
					next = append(next, address)
				}
			}
		}
		out = append(out, round...)
	}
	return out
}

func ask(ctx context.Context, c *client.Client, address string, timeout time.Duration) nodeStatus {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	view, err := c.GetClusterAt(ctx, address)
	if err != nil {
		return nodeStatus{Address: address, Error: err.Error(), StalenessMS: -1, failure: err}
	}
	out := nodeStatus{
		ID: view.Node, Address: address, Reached: true, Leader: view.Leader == view.Node && view.Leader != "",
		Version: view.Version, Applied: view.AppliedIndex, StalenessMS: view.StalenessMS, View: &view,
	}
	for _, member := range view.Members {
		if member.ID == view.Node {
			out.Voter = member.Voter
		}
	}
	return out
}

// together joins the answers: the view with the highest term counts, and members that no address
// led to are listed as well.
func together(nodes []nodeStatus) (clusterStatus, error) {
	var out clusterStatus
	var best *types.Cluster
	seen := map[string]bool{}
	for _, one := range nodes {
		if !one.Reached {
			continue
		}
		if seen[one.ID] {
			continue // two addresses of one node
		}
		seen[one.ID] = true
		out.Nodes = append(out.Nodes, one)
		if best == nil || one.View.Term > best.Term || one.View.Term == best.Term && best.Leader == "" {
			best = one.View
		}
	}
	if best == nil {
		return out, nobody(nodes)
	}
	out.ID, out.Leader, out.Term, out.Leases = best.ID, best.Leader, best.Term, best.Leases
	out.ExpirySuspendedSince, out.Trouble, out.Seal = best.ExpirySuspendedSince, best.Trouble, best.Seal
	tellBehind(out.Nodes)
	byAddress := map[string]types.Member{}
	for _, member := range best.Members {
		address, err := client.NormalAddress(member.APIAddress)
		if err == nil {
			byAddress[address] = member
		}
	}
	for _, one := range nodes {
		if one.Reached {
			continue
		}
		if member, ok := byAddress[one.Address]; ok {
			one.ID, one.Voter = member.ID, member.Voter
			seen[member.ID] = true
		}
		out.Nodes = append(out.Nodes, one)
	}
	for _, member := range best.Members {
		if !seen[member.ID] {
			why := "its API address is not known"
			if member.APIAddress != "" {
				why = "not asked: its API address is of use on its own host only"
			}
			out.Nodes = append(out.Nodes, nodeStatus{ID: member.ID, Address: member.APIAddress, Voter: member.Voter, StalenessMS: -1, Error: why})
		}
	}
	out.tellClocks(best)
	slices.SortStableFunc(out.Nodes, func(x, y nodeStatus) int { return compareIDs(x.ID, y.ID) })
	return out, nil
}

// nobody is the error when no node told anything: what one of them refused, else that none answered.
func nobody(nodes []nodeStatus) error {
	all := &client.UnreachableError{}
	for _, one := range nodes {
		var unreachable *client.UnreachableError
		if !errors.As(one.failure, &unreachable) {
			return one.failure
		}
		all.Failures = append(all.Failures, unreachable.Failures...)
	}
	return all
}

// compareIDs sorts by id, addresses without one last.
func compareIDs(x, y string) int {
	switch {
	case x == y:
		return 0
	case x == "" || y != "" && x > y:
		return 1
	}
	return -1
}

func (a *app) showStatus(status clusterStatus) error {
	if a.format == "table" && a.field == "" {
		if a.terminal {
			fmt.Fprintf(a.out, "Cluster %s, term %d, leader %s\n", status.ID, status.Term, first(status.Leader, "none"))
			fmt.Fprintf(a.out, "Leases  %d active, %d pending, %d revoking%s\n", status.Leases["active"], status.Leases["pending"], status.Leases["revoking"], troubleText(status.Trouble))
			fmt.Fprintf(a.out, "Seal    %s\n\n", sealText(status.Seal))
		}
		a.warn(status.Warnings...)
		a.warn(status.Attention.lines(a)...)
		if status.Leader == "" {
			since := ""
			if status.ExpirySuspendedSince != nil {
				since = " since " + status.ExpirySuspendedSince.UTC().Format(time.RFC3339)
			}
			a.warn("there is no leader" + since + ": nothing is issued, renewed, revoked or expired until most of the nodes are back")
		}
		return list(a, status.Nodes, nil, []string{"NODE", "ADDRESS", "ROLE", "APPLIED", "HEARD OF LEADER", "CLOCK", "BEHIND", "VERSION"}, nodeCells)
	}
	if a.format == "name" {
		return list(a, status.Nodes, func(n nodeStatus) string { return first(n.ID, n.Address) }, nil, nil)
	}
	return a.show(status, status.ID, nil)
}

// tellBehind works out how far each reached node is behind. Some entries of the log are no commands and move
// no node's applied index: one or two behind is nothing.
func tellBehind(nodes []nodeStatus) {
	var committed uint64
	for _, one := range nodes {
		committed = max(committed, one.View.CommitIndex)
	}
	for i, one := range nodes {
		if committed > one.Applied {
			nodes[i].Behind = committed - one.Applied
		}
	}
}

// sealText tells how the keys are kept.
func sealText(s types.Seal) string {
	if s.RecoveryShares == 0 {
		return "a key file on each node; no recovery shares"
	}
	return fmt.Sprintf("a key file on each node; %d of %d recovery shares open a snapshot without one", s.RecoveryThreshold, s.RecoveryShares)
}

// troubleText tells what should not last, nothing when there is nothing.
func troubleText(x types.Trouble) (text string) {
	for _, one := range []struct {
		count uint64
		what  string
	}{{x.Overdue, "overdue"}, {x.Stuck, "stuck"}, {x.Missing, "missing"}} {
		if one.count > 0 {
			text += fmt.Sprintf(", %d %s", one.count, one.what)
		}
	}
	if x.Orphans > 0 {
		text += "; " + amount(x.Orphans, "orphan")
	}
	return text
}

func nodeCells(one nodeStatus) []string {
	role, applied, heard, behind := "follower", number(one.Applied), rough(time.Duration(one.StalenessMS)*time.Millisecond)+" ago", number(one.Behind)
	switch {
	case !one.Reached:
		role, applied, heard, behind = "unreachable", "-", "-", "-"
	case one.Leader:
		role, heard = "leader", "-"
	case !one.Voter:
		role = "non-voter"
	}
	if one.StalenessMS < 0 {
		heard = "-"
	}
	return []string{first(one.ID, "?"), one.Address, role, applied, heard, clockText(one.ClockMS), behind, first(one.Version, "-")}
}

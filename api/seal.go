package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// SealGet asks for the sealing keys.
type SealGet struct{ Read }

func (SealGet) resource() Resource { return Resource{Kind: "cluster"} }

// SealRotate asks for another sealing key.
type SealRotate struct{ Keyed }

func (SealRotate) resource() Resource { return Resource{Kind: "cluster"} }

func (r *routes) seal() {
	s := r.server
	register(r, route{id: "seal-get", action: "seal:get", method: http.MethodGet, path: "/seal", summary: "Get the sealing keys, and how far an exchange of them is"}, s.getSeal)
	register(r, route{id: "seal-rotate", action: "seal:rotate", method: http.MethodPost, path: "/seal/rotate", summary: "Begin to exchange the sealing key: it goes on by itself, and everything is sealed anew", status: http.StatusAccepted}, s.rotateSeal)
}

func (s *Server) getSeal(_ context.Context, c *call, _ *SealGet) (*body[types.SealStatus], error) {
	out, err := s.seal(c)
	return &body[types.SealStatus]{out}, err
}

func (s *Server) rotateSeal(ctx context.Context, c *call, in *SealRotate) (*created[types.SealStatus], error) {
	if _, err := s.config.Broker.RotateSealingKey(ctx, c.request(in.DryRun)); err != nil {
		return nil, err
	}
	status := http.StatusAccepted
	if in.DryRun {
		status = http.StatusOK
	}
	out, err := s.seal(c)
	return &created[types.SealStatus]{status, out}, err
}

// waitingForKeys is how long an exchange of the sealing key may wait for nodes before people are told.
const waitingForKeys = time.Minute

// tellExchange adds a warning when an exchange of the sealing key waits for nodes.
func (s *Server) tellExchange(out *types.Cluster, keys []fsm.SealingKey) {
	var members []string
	for _, m := range out.Members {
		members = append(members, m.ID)
	}
	for _, k := range keys {
		missing := broker.Missing(k, members)
		if k.State == fsm.SealingNext && len(missing) > 0 && s.config.Now().Sub(k.CreatedAt.Time()) > waitingForKeys {
			out.Warnings = append(out.Warnings, fmt.Sprintf("the exchange of the sealing key waits for %s: start what is down, or remove it from the cluster (brokerctl seal status)", strings.Join(missing, ", ")))
		}
	}
}

// seal reads how the sealing keys are.
func (s *Server) seal(c *call) (out types.SealStatus, err error) {
	out = types.SealStatus{Kind: "key-file", Exchange: types.SealExchangeNone, Keys: []types.SealingKey{}}
	var members []string
	for _, m := range s.config.Status().Members {
		members = append(members, m.ID)
	}
	err = s.view(c, func(view View) error {
		values := view.SealedBy()
		for _, count := range values {
			out.Total += count
		}
		for _, k := range view.SealingKeys() {
			shown := types.SealingKey{
				Number: k.Number, ID: fmt.Sprintf("%08x", k.ID), State: string(k.State), CreatedAt: k.CreatedAt.Time(),
				PromotedAt: instant(k.PromotedAt), RetiredAt: instant(k.RetiredAt), Values: values[k.ID], Nodes: append([]string{}, k.Holders...),
			}
			switch k.State {
			case fsm.SealingNext:
				out.Exchange, out.Missing = "distributing", broker.Missing(k, members)
			case fsm.SealingPrimary:
				out.Done = values[k.ID]
			case fsm.SealingOld:
				out.Exchange = "resealing"
			case fsm.SealingRetired:
				out.Keeping = append(out.Keeping, k.Holders...)
			}
			out.Keys = append(out.Keys, shown)
		}
		slices.Sort(out.Keeping)
		out.Keeping = slices.Compact(out.Keeping)
		if r := view.Meta().Recovery; r != nil {
			out.Recovery = &types.RecoveryKeys{Shares: r.Shares, Threshold: r.Threshold, Split: hex.EncodeToString(r.Split), CreatedAt: r.CreatedAt.Time()}
		}
		return nil
	})
	return out, err
}

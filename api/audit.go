package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"broker/access"
	"broker/api/types"
	"broker/fsm"
)

// AuditAnchorList asks where audit logs were anchored.
type AuditAnchorList struct {
	Paged
	Node string `query:"node" doc:"Only those of this node"`
}

func (in AuditAnchorList) resource() Resource { return Resource{Kind: access.KindAudit, Name: in.Node} }

// AuditHash asks for the hash of a value.
type AuditHash struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Taken and not needed: the answer is always the same"`
	Body           types.AuditHashSpec
}

func (AuditHash) resource() Resource { return Resource{Kind: access.KindAudit} }

func (r *routes) audit() {
	s := r.server
	r.auditRecords()
	register(r, route{id: "audit-anchor-list", action: "audit:get", method: http.MethodGet, path: "/audit/anchors", summary: "List where the nodes' audit logs were anchored, by node and record"}, s.listAuditAnchors)
	if s.config.AuditHash != nil {
		register(r, route{id: "audit-hash", action: "audit:hash", method: http.MethodPost, path: "/audit/hash", summary: "Make the keyed hash of a value, to look for it in audit logs"}, s.hashForAudit)
	}
}

func (s *Server) listAuditAnchors(_ context.Context, c *call, in *AuditAnchorList) (*body[types.Page[types.AuditAnchor]], error) {
	text, err := in.after()
	if err != nil {
		return nil, err
	}
	after, err := auditAnchorAt(text)
	if err != nil {
		return nil, err
	}
	var list []fsm.AuditAnchor
	err = s.view(c, func(view View) error {
		list = view.AuditAnchors(in.Node, after, in.limit()+1)
		return nil
	})
	return pageOf(list, in.limit(), auditAnchorOf, placeOfAuditAnchor), err
}

// placeOfAuditAnchor is what a cursor of anchors holds; names hold no blanks.
func placeOfAuditAnchor(a fsm.AuditAnchor) string {
	return a.Node + " " + a.Chain + " " + strconv.FormatUint(a.Seq, 10)
}

func auditAnchorAt(place string) (fsm.AuditAnchor, error) {
	if place == "" {
		return fsm.AuditAnchor{}, nil
	}
	if parts := strings.Split(place, " "); len(parts) == 3 && parts[0] != "" {
		if seq, err := strconv.ParseUint(parts[2], 10, 64); err == nil {
			return fsm.AuditAnchor{Node: parts[0], Chain: parts[1], Seq: seq}, nil
		}
	}
	return fsm.AuditAnchor{}, invalid("cursor", "must be the next_cursor of an earlier answer")
}

func auditAnchorOf(a fsm.AuditAnchor) types.AuditAnchor {
	return types.AuditAnchor{Node: a.Node, Chain: a.Chain, Seq: a.Seq, Head: hex.EncodeToString(a.Head), At: a.AnchorAt.Time()}
}

func (s *Server) hashForAudit(_ context.Context, _ *call, in *AuditHash) (*body[types.AuditHash], error) {
	hash, err := s.config.AuditHash(in.Body.Value)
	if err != nil {
		return nil, err
	}
	return &body[types.AuditHash]{types.AuditHash{Hash: hash}}, nil
}

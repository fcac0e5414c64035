package api

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
)

// AuditRecordList asks for the newest records of a node's audit log.
type AuditRecordList struct {
	Paged
	Node     string    `query:"node" doc:"Whose log; that of the node that is asked unless said"`
	Since    time.Time `query:"since" doc:"Only records at or after this time"`
	Until    time.Time `query:"until" doc:"Only records at or before this time"`
	Account  string    `query:"account" doc:"Who asked"`
	Action   string    `query:"action" doc:"lease:issue, or lease for all actions that begin with lease:"`
	Resource string    `query:"resource" doc:"What it is about or belongs to, in the words of permissions: app/env/name, app/env, app/*, connection/NAME, lease/ID and so on"`
	Result   string    `query:"result" enum:"ok,refused,failed,unanswered,unknown" doc:"How it ended"`
	Request  string    `query:"request" maxLength:"64" doc:"Id of the request"`
	Changes  bool      `query:"changes" doc:"Leave out what changed nothing and went well: reads, calls of outside systems"`
}

func (in AuditRecordList) resource() Resource { return Resource{Kind: access.KindAudit, Name: in.Node} }

func (r *routes) auditRecords() {
	register(r, route{
		id: "audit-record-list", action: "audit:read", lasts: true, method: http.MethodGet, path: "/audit/records",
		summary: "List the records of a node's audit log, newest first; a request and its outcome are one",
	}, r.server.listAuditRecords)
}

func (s *Server) listAuditRecords(ctx context.Context, c *call, in *AuditRecordList) (*body[types.AuditRecords], error) {
	q, of, err := in.query()
	if err != nil {
		return nil, err
	}
	if node := cmp.Or(in.Node, of); node != "" && node != s.config.Cluster.NodeID() {
		return s.auditRecordsOf(ctx, c, node)
	}
	if s.config.AuditLog == nil {
		p := problem(codeNoAuditLog, "node \""+s.config.Cluster.NodeID()+"\" keeps no audit log in files that it could read")
		p.Hint = "look where its records go instead, for example at the receiver of syslog"
		return nil, p
	}
	found, err := s.config.AuditLog.Records(ctx, q)
	if err != nil {
		return nil, err
	}
	out := types.AuditRecords{Node: s.config.Cluster.NodeID(), Items: make([]types.AuditRecord, 0, len(found.Records)), Stopped: found.Stopped}
	for _, one := range found.Records {
		record, err := auditRecordOf(one)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, record)
	}
	if found.Next.Seq > 0 {
		out.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(out.Node + " " + found.Next.Chain + " " + strconv.FormatUint(found.Next.Seq, 10)))
	}
	if !found.Back.IsZero() {
		out.BackTo = &found.Back
	}
	if found.Stopped && found.Next.Seq == 0 {
		out.Warnings = append(out.Warnings, "no record stands in as much of the log as one request looks through: what is before that is in the node's files only")
	}
	if found.Unreadable > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%d lines of the log are no records: \"brokerctl audit verify\" tells where", found.Unreadable))
	}
	if found.Unsure {
		out.Warnings = append(out.Warnings, "there are requests whose outcome stands too far behind them to be found, and which may have ended so: the result unknown has them")
	}
	return &body[types.AuditRecords]{out}, nil
}

// query reads what is asked for, and of which node a cursor is. A value that can choose nothing is refused.
func (in *AuditRecordList) query() (q access.AuditQuery, of string, err error) {
	q = access.AuditQuery{
		Since: in.Since, Until: in.Until, Account: in.Account, Action: in.Action, Result: access.AuditResult(in.Result), Request: in.Request,
		Changes: in.Changes, Limit: in.limit(),
	}
	if in.Account != "" && !fsm.ValidName(in.Account) {
		return q, "", invalid("account", "must be the name of an account: "+fsm.NameRule)
	}
	if _, known := access.Actions[Action(in.Action)]; in.Action != "" && !known && !isNoun(in.Action) {
		return q, "", invalid("action", "must be an action such as lease:issue, or a noun such as lease; brokerctl role get admin lists them")
	}
	if in.Resource != "" {
		on, err := access.ParseResource(in.Resource)
		if err != nil {
			return q, "", invalid("resource", "must be "+access.ResourceRule)
		}
		q.Resource = on.String()
	}
	if !in.Since.IsZero() && !in.Until.IsZero() && in.Until.Before(in.Since) {
		return q, "", invalid("until", "must not be before since")
	}
	place, err := in.after()
	if err != nil || place == "" {
		return q, "", err
	}
	parts := strings.Split(place, " ")
	if len(parts) == 3 {
		q.Before.Chain = parts[1]
		q.Before.Seq, _ = strconv.ParseUint(parts[2], 10, 64)
	}
	if q.Before.Seq == 0 {
		return q, "", invalid("cursor", "must be the next_cursor of an earlier answer")
	}
	return q, parts[0], nil
}

// isNoun reports whether there are actions that begin with a noun.
func isNoun(text string) bool {
	for action := range access.Actions {
		if strings.HasPrefix(string(action), text+":") {
			return true
		}
	}
	return false
}

// auditRecordOf reads a record as the log has it, with the outcome of a request.
func auditRecordOf(one access.AuditRecord) (out types.AuditRecord, err error) {
	if err := json.Unmarshal(one.Line, &out); err != nil {
		return out, fmt.Errorf("reading a record of the audit log: %w", err)
	}
	if one.Outcome != nil {
		var outcome types.AuditRecord
		if err := json.Unmarshal(one.Outcome, &outcome); err != nil {
			return out, fmt.Errorf("reading a record of the audit log: %w", err)
		}
		out.Status, out.Code, out.Lease, out.TookUS = outcome.Status, outcome.Code, outcome.Lease, outcome.TookUS
	}
	out.Result, out.Resource = string(one.Result), one.Resource
	switch out.Type {
	case "start", "stop", "rotate", "gap":
		if err := json.Unmarshal(one.Line, &out.Details); err != nil {
			return out, fmt.Errorf("reading a record of the audit log: %w", err)
		}
		for _, name := range []string{"v", "chain", "seq", "prev", "time", "type", "node"} {
			delete(out.Details, name)
		}
	}
	return out, nil
}

// memberTimeout bounds how long another node is waited for.
const memberTimeout = 10 * time.Second

// auditRecordsOf has another node answer, which asks for the caller's permission itself and records that its log was
// read.
func (s *Server) auditRecordsOf(ctx context.Context, c *call, node string) (*body[types.AuditRecords], error) {
	known := slices.ContainsFunc(s.config.Status().Members, func(m types.Member) bool { return m.ID == node })
	if !known || c.forwarded {
		gone := &fsm.Refusal{Code: fsm.CodeNotFound, Field: "node", Message: "there is no node " + strconv.Quote(node)}
		return nil, gone.With("hint", "the log of a node that was removed stays where that ran")
	}
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, c.method, "http://member"+c.path+"?"+c.query, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("User-Agent", c.userAgent)
	request.Header.Set(headerForwardedFor, c.address)
	request.Header.Set(headerForwardedNode, c.node)
	request.Header.Set(types.HeaderRequestID, c.id)
	away := func(err error) error {
		s.log.WarnContext(ctx, "another node does not tell what its audit log says", "node", node, "error", err)
		return &fsm.Refusal{Code: broker.CodeMemberUnready, Message: "node \"" + node + "\" does not answer, and only it has its audit log"}
	}
	response, err := s.config.Cluster.MemberTransport(node).RoundTrip(request)
	if err != nil {
		return nil, away(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, away(err)
	}
	if response.StatusCode != http.StatusOK {
		p := &types.Problem{}
		if err := json.Unmarshal(answer, p); err != nil || p.Status == 0 {
			return nil, away(fmt.Errorf("it answered %s", cmp.Or(response.Status, "nothing")))
		}
		return nil, p
	}
	var out types.AuditRecords
	if err := json.Unmarshal(answer, &out); err != nil {
		return nil, away(err)
	}
	return &body[types.AuditRecords]{out}, nil
}

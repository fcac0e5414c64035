package audit

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"broker/access"
	"broker/access/audit/chain"
	"broker/fsm"
)

// found is what of a record it is chosen by.
type found struct {
	chain.Record
	ID         string
	Stage      access.Stage
	Account    string
	Method     string
	Path       string
	Action     string
	Allowed    *bool
	On         foundOn
	Status     int    // of a request: its outcome's
	Lease      string // likewise
	unknown    bool   // of a request: there may be an outcome that was not looked for
	Connection string // of a call
	Outcome    string // likewise
}

type foundOn struct{ Kind, Environment, Secret, Name, Owner, Connection string }

// parse reads a line. False: it is no record.
func parse(line []byte) (*found, bool) {
	f := &found{}
	if len(line) >= chain.MaxLine || !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, f) != nil {
		return nil, false
	}
	return f, f.V == chain.Version && f.Chain != "" && f.Seq > 0 && f.Type != "" && !f.Time.IsZero()
}

// isAnswer reports whether it is the outcome of a request that has a record of its own.
func (f *found) isAnswer() bool {
	return f.Type == chain.TypeOutcome && f.Stage != access.StageRefused
}

// key is what a request and its outcome have in common; other records have none.
func (f *found) key() string {
	if f.Type != chain.TypeRequest && !f.isAnswer() {
		return ""
	}
	return f.ID + " " + string(f.Stage)
}

// answer adds the outcome to a request. Without one there is none, if all that is behind it was looked through.
func (f *found) answer(outcome []byte, all bool) {
	if outcome == nil {
		f.unknown = !all && f.Type == chain.TypeRequest
		return
	}
	if a, ok := parse(outcome); ok {
		f.Status, f.Lease = a.Status, a.Lease
	}
}

func (f *found) result() access.AuditResult {
	switch f.Type {
	case chain.TypeGap:
		return access.AuditFailed
	case chain.TypeCall:
		switch f.Outcome {
		case "ok", "unfinished":
			return access.AuditOK
		case "refused":
			return access.AuditRefused
		}
		return access.AuditFailed
	case chain.TypeRequest, chain.TypeOutcome:
		switch {
		case f.Status >= http.StatusInternalServerError:
			return access.AuditFailed
		case f.Status >= http.StatusBadRequest || f.Allowed != nil && !*f.Allowed:
			return access.AuditRefused
		case f.unknown:
			return access.AuditUnknown
		case f.Status == 0:
			return access.AuditUnanswered
		}
	}
	return access.AuditOK
}

// changes reports whether it may have changed something, or did not end well.
func (f *found) changes() bool {
	switch result := f.result(); f.Type {
	case chain.TypeRequest:
		return !f.reads() || result == access.AuditRefused || result == access.AuditFailed
	case chain.TypeCall:
		return result != access.AuditOK
	}
	return f.Type != chain.TypeRotate
}

// reads reports whether a request only looks. In the words of Vault a GET may lease something.
func (f *found) reads() bool {
	switch f.Method {
	case http.MethodGet, http.MethodHead, "LIST":
		leases := f.Lease != "" || f.Action == "lease:issue" || f.Stage == access.StageForwarded && strings.HasPrefix(f.Path, "/v1/")
		return !leases
	}
	return false
}

// on is what the record is about; its kind is empty when it does not say.
func (f *found) on() access.Resource {
	if f.Type == chain.TypeCall && f.Connection != "" {
		return access.Resource{Kind: access.KindConnection, Name: f.Connection}
	}
	return access.Resource{
		Kind: access.Kind(f.On.Kind), Environment: fsm.Pattern(f.On.Environment), Secret: f.On.Secret, Name: f.On.Name,
		Owner: fsm.AccountName(f.On.Owner), Connection: fsm.ConnectionName(f.On.Connection),
	}
}

// about is what the record is about, as people write it.
func (f *found) about() string {
	if on := f.on(); on.Kind != "" {
		return on.String()
	}
	return ""
}

// isAbout reports whether the record is about the resource, or about something that belongs to it.
func (f *found) isAbout(text string) bool {
	on := f.on()
	switch text {
	case f.about(), string(on.Kind), access.Resource{Kind: access.KindEnvironment, Environment: on.Environment}.String(),
		access.Resource{Kind: access.KindSecret, Environment: on.Environment, Secret: on.Secret}.String(),
		"connection/" + string(on.Connection), "account/" + string(on.Owner), "lease/" + f.Lease:
		return true
	case "connection/" + on.Name:
		return on.Kind == access.KindConnection
	}
	app, all := strings.CutSuffix(text, "/*")
	return all && strings.HasPrefix(string(on.Environment), app+"/")
}

// chosen reports whether the query chooses the record, if it ended as it should.
func (f *found) chosen(q *access.AuditQuery) bool {
	return (q.Since.IsZero() || !f.Time.Before(q.Since)) &&
		(q.Until.IsZero() || !f.Time.After(q.Until)) &&
		(q.Account == "" || f.Account == q.Account) &&
		(q.Action == "" || f.Action == q.Action || strings.HasPrefix(f.Action, q.Action+":")) &&
		(q.Request == "" || f.ID == q.Request) &&
		(q.Resource == "" || f.isAbout(q.Resource)) &&
		(!q.Changes || f.changes())
}

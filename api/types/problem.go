package types

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// ProblemContentType is the media type of every error answer.
const ProblemContentType = "application/problem+json"

// FieldProblem says what is wrong with one field of a request. It never holds the field's value.
type FieldProblem struct {
	Field   string `json:"field" doc:"Path of the field, e.g. ttl or settings.host"`
	Message string `json:"message" doc:"What is wrong and what would be right"`
}

// Problem is every error answer (RFC 9457). Code is stable and meant for programs; Detail is one
// sentence for people.
type Problem struct {
	Type     string         `json:"type" doc:"A URI that names the kind of problem"`
	Title    string         `json:"title" doc:"The kind of problem in words"`
	Status   int            `json:"status" doc:"HTTP status code"`
	Detail   string         `json:"detail" doc:"One sentence on this occurrence"`
	Code     string         `json:"code" doc:"Stable machine-readable name of the problem"`
	Instance string         `json:"instance,omitempty" doc:"A URI that names this occurrence"`
	Hint     string         `json:"hint,omitempty" doc:"What can be done about it"`
	Errors   []FieldProblem `json:"errors,omitempty" doc:"The fields to blame"`

	// Extra holds further members that some codes have, such as renewable_ttl in seconds, lease_id
	// or retry_after in seconds. They stand beside the members above.
	Extra map[string]any `json:"-"`
}

// Error returns the detail with the fields to blame.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for i, e := range p.Errors {
		// A single error's message is usually the detail itself.
		if strings.Contains(text, e.Message) {
			continue
		}
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		text += fmt.Sprintf("%s%s: %s", separator, e.Field, e.Message)
	}
	return text
}

// instancePrefix begins the URI that names a request.
const instancePrefix = "urn:broker:request:"

// InstanceOf returns the URI that names the request of an id.
func InstanceOf(requestID string) string { return instancePrefix + requestID }

// RequestID returns the id of the request that was refused, as the nodes' logs have it; empty when it is
// not known, or there is no problem.
func (p *Problem) RequestID() string {
	if p == nil || !strings.HasPrefix(p.Instance, instancePrefix) {
		return ""
	}
	return strings.TrimPrefix(p.Instance, instancePrefix)
}

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of problems in place of that of ordinary answers.
func (p *Problem) ContentType(string) string { return ProblemContentType }

// problemMembers has Problem's fields without its methods, so that encoding it does not recurse.
type problemMembers Problem

// MarshalJSON writes the extra members beside the others. An extra member never replaces another.
func (p *Problem) MarshalJSON() ([]byte, error) {
	encoded, err := json.Marshal((*problemMembers)(p))
	if err != nil || len(p.Extra) == 0 {
		return encoded, err
	}
	extra := map[string]any{}
	for name, value := range p.Extra {
		if !slices.Contains(problemNames(), name) {
			extra[name] = value
		}
	}
	if len(extra) == 0 {
		return encoded, nil
	}
	more, err := json.Marshal(extra)
	if err != nil {
		return nil, fmt.Errorf("encoding a problem's extra members: %w", err)
	}
	return append(append(encoded[:len(encoded)-1], ','), more[1:]...), nil
}

// UnmarshalJSON reads every member, unknown ones into Extra.
func (p *Problem) UnmarshalJSON(data []byte) error {
	var members problemMembers
	if err := json.Unmarshal(data, &members); err != nil {
		return fmt.Errorf("decoding a problem: %w", err)
	}
	var extra map[string]any
	if err := json.Unmarshal(data, &extra); err != nil {
		return fmt.Errorf("decoding a problem's extra members: %w", err)
	}
	for _, name := range problemNames() {
		delete(extra, name)
	}
	*p = Problem(members)
	if len(extra) > 0 {
		p.Extra = extra
	}
	return nil
}

func problemNames() []string {
	return []string{"type", "title", "status", "detail", "code", "instance", "hint", "errors"}
}

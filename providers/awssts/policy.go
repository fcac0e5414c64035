package awssts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"broker/providers"
)

const (
	// maxDocument is how many characters the inline policy of a session has at most.
	maxDocument = 2048
	// endLength is how many of them the denial after the end takes.
	endLength = 160
)

type condition map[string]map[string]string

// statement is one that is added to a session's policy.
type statement struct {
	Effect    string
	Action    string
	Resource  string
	Condition condition `json:",omitempty"`
}

// sessionPolicy returns the inline policy of a session: what the options say, and a denial of everything from the
// lease's end. A session's policy only ever limits the role. Without any policy in the options the document allows
// everything, since one that allowed nothing would limit to that; beside managed policies it must not, since those and
// it are added up.
func sessionPolicy(options providers.Options, end time.Time) (string, error) {
	statements := []any{statement{Effect: "Deny", Action: "*", Resource: "*",
		Condition: condition{"DateGreaterThanEquals": {"aws:CurrentTime": wholeSecond(end).UTC().Format(time.RFC3339)}}}}
	document := strings.TrimSpace(options.String(optionPolicy))
	switch {
	case document != "":
		own, err := statementsOf(document)
		if err != nil {
			return "", err
		}
		for _, one := range own {
			statements = append(statements, one)
		}
	case len(options.List(optionPolicies)) == 0:
		statements = append(statements, statement{Effect: "Allow", Action: "*", Resource: "*"})
	}
	return encode(statements)
}

// statementsOf returns the statements of a document as they are written, in whatever form.
func statementsOf(document string) ([]json.RawMessage, error) {
	var policy struct {
		Version   string
		Statement json.RawMessage
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		return nil, fmt.Errorf("is no JSON: %w", err)
	}
	if policy.Version != "" && policy.Version != "2012-10-17" {
		return nil, fmt.Errorf("has version %q, and 2012-10-17 is supported", policy.Version)
	}
	body := bytes.TrimSpace(policy.Statement)
	var statements []json.RawMessage
	switch {
	case len(body) == 0:
		return nil, errors.New("has no Statement")
	case body[0] == '{':
		statements = []json.RawMessage{json.RawMessage(body)}
	default:
		if err := json.Unmarshal(body, &statements); err != nil {
			return nil, errors.New("has a Statement that is neither one nor a list")
		}
	}
	for _, one := range statements {
		if one = bytes.TrimSpace(one); len(one) == 0 || one[0] != '{' {
			return nil, errors.New("has a statement that is no object")
		}
	}
	return statements, nil
}

// encode writes a policy without white space.
func encode(statements []any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{"Version": "2012-10-17", "Statement": statements}); err != nil {
		return "", fmt.Errorf("writing a policy: %w", err)
	}
	var dense bytes.Buffer
	if err := json.Compact(&dense, text.Bytes()); err != nil {
		return "", fmt.Errorf("writing a policy: %w", err)
	}
	return dense.String(), nil
}

// denial is the policy of a role that denies one session everything. Its name is the last part of the session's user
// id, whose first is the role's, and no two leases have the same.
func denial(name providers.LoginName) (string, error) {
	return encode([]any{statement{Effect: "Deny", Action: "*", Resource: "*",
		Condition: condition{"StringLike": {"aws:userid": "*:" + string(name)}}}})
}

// wholeSecond is the next instant that AWS's times can say: no session ends before its lease.
func wholeSecond(at time.Time) time.Time {
	if whole := at.Truncate(time.Second); !whole.Before(at) {
		return whole
	}
	return at.Truncate(time.Second).Add(time.Second)
}

package awstest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// conditions are the values of a request that conditions ask for.
type conditions map[string]string

type statement struct {
	Effect    string
	Action    texts
	NotAction texts
	Resource  texts
	Condition map[string]map[string]texts
}

// texts is one text or several.
type texts []string

// UnmarshalJSON reads either form.
func (t *texts) UnmarshalJSON(content []byte) error {
	if len(content) > 0 && content[0] == '[' {
		return json.Unmarshal(content, (*[]string)(t))
	}
	*t = make(texts, 1)
	return json.Unmarshal(content, &(*t)[0])
}

func parsePolicy(document string) ([]statement, error) {
	var policy struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(document), &policy); err != nil || len(policy.Statement) == 0 {
		return nil, fmt.Errorf("syntax errors in policy")
	}
	if policy.Statement[0] == '{' {
		policy.Statement = append(append([]byte{'['}, policy.Statement...), ']')
	}
	var statements []statement
	return statements, json.Unmarshal(policy.Statement, &statements)
}

// evaluate says whether documents allow and whether they deny an action.
func evaluate(documents []string, action, resource string, values conditions) (allowed, denied bool) {
	for _, document := range documents {
		statements, err := parsePolicy(document)
		if err != nil {
			continue
		}
		for _, s := range statements {
			if !s.covers(action, resource, values) {
				continue
			}
			if s.Effect == "Deny" {
				denied = true
			} else {
				allowed = true
			}
		}
	}
	return allowed && !denied, denied
}

func (s statement) covers(action, resource string, values conditions) bool {
	if len(s.NotAction) > 0 && matchesAny(s.NotAction, action, true) || len(s.NotAction) == 0 && !matchesAny(s.Action, action, true) {
		return false
	}
	var resources texts
	for _, r := range s.Resource {
		resources = append(resources, strings.ReplaceAll(r, "${aws:username}", values["aws:username"]))
	}
	if !matchesAny(resources, resource, false) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, wanted := range keys {
			if !holds(operator, values[key], wanted) {
				return false
			}
		}
	}
	return true
}

func holds(operator, value string, wanted texts) bool {
	for _, want := range wanted {
		switch operator {
		case "StringEquals", "ArnEquals":
			if value == want {
				return true
			}
		case "StringLike", "ArnLike":
			if value != "" && matches(want, value, false) {
				return true
			}
		case "DateLessThan", "DateGreaterThan", "DateGreaterThanEquals":
			at, err := time.Parse(time.RFC3339, value)
			limit, err2 := time.Parse(time.RFC3339, want)
			if err != nil || err2 != nil {
				return false
			}
			if operator == "DateLessThan" && at.Before(limit) || operator == "DateGreaterThan" && at.After(limit) || operator == "DateGreaterThanEquals" && !at.Before(limit) {
				return true
			}
		default:
			panic("awstest knows no condition " + operator)
		}
	}
	return false
}

func matchesAny(patterns texts, text string, fold bool) bool {
	for _, pattern := range patterns {
		if matches(pattern, text, fold) {
			return true
		}
	}
	return false
}

func matches(pattern, text string, fold bool) bool {
	flags := "s"
	if fold {
		flags = "is"
	}
	expression := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("^(?" + flags + ":" + expression + ")$").MatchString(text)
}

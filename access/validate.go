package access

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"broker/fsm"
)

// The bounds of one policy: its types are checked for each action and kind of resource, which takes time.
const (
	maxRules = 200
	maxTerms = 5000 // of all rules
	maxDepth = 100  // of terms within terms
)

// Language checks the texts of policies. It is safe for concurrent use.
type Language struct{ types *validate.Validator }

// NewLanguage returns a Language.
func NewLanguage() (*Language, error) {
	types, err := newValidator()
	return &Language{types}, err
}

// Problem says what is wrong with a policy's text, and where.
type Problem struct {
	Line, Column int
	Rule         string // its @id, or its number from 1 on; empty: the text as a whole
	Message      string
}

// String writes the problem in one line.
func (p Problem) String() string {
	where := ""
	if p.Line > 0 {
		where = fmt.Sprintf("line %d, column %d: ", p.Line, p.Column)
	}
	if p.Rule != "" {
		where += "rule " + p.Rule + ": "
	}
	return where + p.Message
}

// Check returns what is wrong with a policy's text. None: it can be put in force.
func (l *Language) Check(text string) []Problem {
	if len(text) > fsm.MaxPolicyText {
		return []Problem{{Message: fmt.Sprintf("at most %d bytes, not %d", fsm.MaxPolicyText, len(text))}}
	}
	list, err := cedar.NewPolicyListFromBytes("", []byte(text))
	if err != nil {
		return []Problem{parseProblem(err)}
	}
	if len(list) == 0 || len(list) > maxRules {
		return []Problem{{Message: fmt.Sprintf("a policy has from 1 to %d rules, permit (…) or forbid (…), not %d", maxRules, len(list))}}
	}
	var all []Problem
	ids, terms := map[string]bool{}, 0
	for i, one := range list {
		c := &check{rule: strconv.Itoa(i + 1), position: one.Position()}
		if terms += c.size((*ast.Policy)(one.AST())); terms > maxTerms {
			c.add("the policy is too large: at most %d terms in all its rules", maxTerms)
			return append(all, c.found...)
		} else if len(c.found) > 0 {
			all = append(all, c.found...)
			continue
		}
		if id, ok := one.Annotations()["id"]; ok {
			c.id(string(id), ids)
		}
		c.annotations(one)
		c.words((*ast.Policy)(one.AST()))
		if len(c.found) == 0 {
			c.types(l.types, (*ast.Policy)(one.AST()))
		}
		all = append(all, c.found...)
	}
	return all
}

var (
	parsedAt   = regexp.MustCompile(`at <input>:(\d+):(\d+) (.*)$`)
	expectedRE = regexp.MustCompile(`: exact got (.*) want (.*)$`)
)

// parseProblem makes the parser's words into ours.
func parseProblem(err error) Problem {
	p := Problem{Message: "this is no text in Cedar: " + err.Error()}
	if m := parsedAt.FindStringSubmatch(err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Column, _ = strconv.Atoi(m[2])
		p.Message = "this cannot be read: " + m[3]
		if e := expectedRE.FindStringSubmatch(m[3]); e != nil {
			p.Message = fmt.Sprintf("this cannot be read: there is %q where there should be %q", e[1], e[2])
			if e[1] == "" {
				p.Message = fmt.Sprintf("this cannot be read: the text ends where there should be %q", e[2])
			}
		}
	}
	return p
}

// check gathers what is wrong with one rule.
type check struct {
	rule     string
	position cedar.Position
	found    []Problem
}

func (c *check) add(format string, args ...any) {
	p := Problem{c.position.Line, c.position.Column, c.rule, fmt.Sprintf(format, args...)}
	if !slices.Contains(c.found, p) {
		c.found = append(c.found, p)
	}
}

// size counts the terms of a rule's conditions and refuses such that lie too deep in others.
func (c *check) size(rule *ast.Policy) int {
	terms := 0
	var walk func(n ast.IsNode, depth int)
	walk = func(n ast.IsNode, depth int) {
		if terms++; depth > maxDepth || terms > maxTerms {
			if depth > maxDepth {
				c.add("the conditions are too deep: at most %d terms within each other; write several rules", maxDepth)
			}
			return
		}
		own := true
		ast.Inspect(ast.NewNode(n), func(child ast.IsNode) bool {
			if own {
				own = false
				return true
			}
			walk(child, depth+1)
			return false
		})
	}
	for _, condition := range rule.Conditions {
		walk(condition.Body, 1)
	}
	return terms
}

func (c *check) id(id string, taken map[string]bool) {
	if !fsm.ValidName(id) {
		c.add("@id(%q) must be %s", id, fsm.NameRule)
		return
	}
	c.rule = id
	if taken[id] {
		c.add("@id(%q) is another rule's of this policy already", id)
	}
	taken[id] = true
}

func (c *check) annotations(one *cedar.Policy) {
	for name, value := range one.Annotations() {
		switch name {
		case "id", "description":
		case "max_ttl":
			if _, err := parseMaxTTL(string(value)); err != nil {
				c.add("@max_ttl(%q) %v", string(value), err)
			}
			if one.Effect() == cedar.Forbid {
				c.add("@max_ttl goes with permit; to forbid long leases write forbid (…) when { context has ttl && context.ttl > 3600 }")
			} else if !mayIssue(one) {
				c.add(`@max_ttl says nothing in a rule that does not permit Action::"lease:issue"`)
			}
		default:
			c.add("annotation @%s is not known: there are @id, @max_ttl and @description", string(name))
		}
	}
	slices.SortFunc(c.found, func(a, b Problem) int { return cmp.Compare(a.Message, b.Message) }) // annotations have no order
}

// parseMaxTTL reads the value of @max_ttl.
func parseMaxTTL(text string) (time.Duration, error) {
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < time.Second || ttl%time.Second != 0 {
		return 0, errors.New("must be a length of time of whole seconds such as 30m or 1h30m")
	}
	return ttl, nil
}

// mayIssue reports whether a rule's head lets it speak of issuing leases.
func mayIssue(one *cedar.Policy) bool {
	issue := uid(typeAction, "lease:issue")
	switch scope := (*ast.Policy)(one.AST()).Action.(type) {
	case ast.ScopeTypeEq:
		return scope.Entity == issue
	case ast.ScopeTypeIn:
		return scope.Entity == issue
	case ast.ScopeTypeInSet:
		return slices.Contains(scope.Entities, issue)
	}
	return true
}

var (
	optionalRE = regexp.MustCompile("^unable to guarantee safety of access to optional attribute `([a-z]+)` in context")
	forPolicy  = regexp.MustCompile("^for policy `[^`]*`, ")
)

// types has Cedar's own validator look for what can never be evaluated, or never holds.
func (c *check) types(v *validate.Validator, rule *ast.Policy) {
	err := v.Policy("", rule)
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		line = forPolicy.ReplaceAllString(strings.TrimSpace(line), "")
		if m := optionalRE.FindStringSubmatch(line); m != nil {
			line = fmt.Sprintf("context.%s is not always known: ask context has %s && … first", m[1], m[1])
		}
		if strings.HasPrefix(line, "unable to find an applicable action") {
			line = "this can never hold: its action is not about such resources, or its principal is no account; a group is written principal in Group::\"NAME\""
		}
		c.add("%s", line)
	}
}

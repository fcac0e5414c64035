package ldap

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
)

// attributeName is an attribute description of RFC 4512: a name or an object identifier, with options.
var attributeName = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)(;[A-Za-z0-9-]+)*$`)

// The kinds of records that are read.
const (
	recordAdd    = "add"
	recordModify = "modify"
)

// record is one record of LDIF (RFC 2849): an entry to be added, or changes to one that exists.
type record struct {
	dn         string
	kind       string
	attributes []attribute // of an entry to be added
	changes    []change    // to one that exists
}

type attribute struct{ name, value string }

// change is one of "add", "delete" and "replace", with the values it is about.
type change struct {
	operation string
	attribute string
	values    []string
}

// parseLDIF reads the subset of LDIF that makes sense in a template: entries to add, and modifications. Values come
// from nowhere but the text itself.
func parseLDIF(text string) ([]record, error) {
	lines, err := unfold(text)
	if err != nil {
		return nil, err
	}
	var records []record
	for at := 0; at < len(lines); {
		end := at
		for end < len(lines) && lines[end].name != "" {
			end++
		}
		if end > at {
			r, err := parseRecord(lines[at:end])
			if err != nil {
				return nil, err
			}
			records = append(records, r)
		}
		at = end + 1
	}
	return records, nil
}

// line is "name: value"; without a name it is an empty line, between records. The line "-" has itself as name.
type line struct {
	number      int
	name, value string
}

func unfold(text string) ([]line, error) {
	var whole []string
	var numbers []int
	for i, physical := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if rest, folded := strings.CutPrefix(physical, " "); folded && len(whole) > 0 && whole[len(whole)-1] != "" {
			whole[len(whole)-1] += rest
			continue
		}
		whole, numbers = append(whole, physical), append(numbers, i+1)
	}
	var lines []line
	for i, logical := range whole {
		if strings.HasPrefix(logical, "#") {
			continue
		}
		l, err := parseLine(logical)
		if err != nil {
			return nil, fmt.Errorf("line %d %w", numbers[i], err)
		}
		l.number = numbers[i]
		if len(lines) == 0 && strings.EqualFold(l.name, "version") {
			if l.value != "1" {
				return nil, fmt.Errorf("line %d names a version of LDIF other than 1", l.number)
			}
			continue
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func parseLine(text string) (line, error) {
	if strings.TrimSpace(text) == "" {
		return line{}, nil
	}
	if text == "-" {
		return line{name: "-"}, nil
	}
	name, value, found := strings.Cut(text, ":")
	if !found || !attributeName.MatchString(name) {
		return line{}, fmt.Errorf("is no \"attribute: value\": %q", text)
	}
	if strings.HasPrefix(value, "<") {
		return line{}, fmt.Errorf("takes the value of %s from a file or URL, which nothing is read from", name)
	}
	if encoded, isEncoded := strings.CutPrefix(value, ":"); isEncoded {
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil {
			return line{}, fmt.Errorf("has a value of %s that is not base64", name)
		}
		return line{name: name, value: string(decoded)}, nil
	}
	return line{name: name, value: strings.TrimLeft(value, " ")}, nil
}

func parseRecord(lines []line) (record, error) {
	first := lines[0]
	if !strings.EqualFold(first.name, "dn") || strings.TrimSpace(first.value) == "" {
		return record{}, fmt.Errorf("line %d begins a record without \"dn: …\"", first.number)
	}
	r := record{dn: first.value, kind: recordAdd}
	rest := lines[1:]
	if len(rest) > 0 && strings.EqualFold(rest[0].name, "changetype") {
		r.kind = strings.ToLower(strings.TrimSpace(rest[0].value))
		rest = rest[1:]
	}
	for _, l := range rest {
		for _, word := range []string{"dn", "changetype", "control"} {
			if strings.EqualFold(l.name, word) {
				return record{}, fmt.Errorf("line %d has %s where an attribute belongs", l.number, word)
			}
		}
	}
	if len(rest) == 0 {
		return record{}, fmt.Errorf("line %d begins a record without anything in it", first.number)
	}
	switch r.kind {
	case recordAdd:
		for _, l := range rest {
			if l.name == "-" {
				return record{}, fmt.Errorf("line %d has - in an entry to be added", l.number)
			}
			r.attributes = append(r.attributes, attribute{l.name, l.value})
		}
		return r, nil
	case recordModify:
		var err error
		r.changes, err = parseChanges(rest)
		return r, err
	}
	return record{}, fmt.Errorf("line %d has the changetype %q: known are add and modify", first.number+1, r.kind)
}

func parseChanges(lines []line) ([]change, error) {
	var changes []change
	open := false
	for _, l := range lines {
		switch {
		case l.name == "-":
			if !open {
				return nil, fmt.Errorf("line %d has - after no change", l.number)
			}
			open = false
		case !open:
			operation := strings.ToLower(l.name)
			if operation != "add" && operation != "delete" && operation != "replace" || !attributeName.MatchString(l.value) {
				return nil, fmt.Errorf("line %d begins no change: it is add, delete or replace with the name of an attribute", l.number)
			}
			changes, open = append(changes, change{operation: operation, attribute: l.value}), true
		default:
			last := &changes[len(changes)-1]
			if !strings.EqualFold(l.name, last.attribute) {
				return nil, fmt.Errorf("line %d is about %s in a change of %s: end that with a line of -", l.number, l.name, last.attribute)
			}
			last.values = append(last.values, l.value)
		}
	}
	for _, c := range changes {
		if c.operation == "add" && len(c.values) == 0 {
			return nil, fmt.Errorf("the change that adds to %s has no value", c.attribute)
		}
	}
	return changes, nil
}

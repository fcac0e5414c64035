package ldap

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"
)

// The placeholders of templates.
const (
	placeholderName    = "name"
	placeholderDN      = "dn"
	placeholderBase    = "base"
	placeholderCluster = "cluster"
	placeholderLease   = "lease"
	placeholderApp     = "app"
	placeholderEnv     = "env"
	placeholderSecret  = "secret"
	placeholderAccount = "account"
)

var (
	creationPlaceholders = []string{placeholderName, placeholderDN, placeholderBase, placeholderCluster, placeholderLease, placeholderApp, placeholderEnv, placeholderSecret, placeholderAccount}
	deletionPlaceholders = []string{placeholderName, placeholderDN, placeholderBase}
)

var placeholder = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// template is LDIF with placeholders. They are put in after the LDIF was read, so that no value can become another
// line of it.
type template struct{ records []record }

// parseCreation reads a template that makes a login: its entry first, then changes to other entries.
func parseCreation(text string) (template, error) {
	t, err := parseTemplate(text, creationPlaceholders)
	if err != nil {
		return template{}, err
	}
	if len(t.records) == 0 {
		return template{}, fmt.Errorf("holds no record")
	}
	for i, r := range t.records {
		switch {
		case i == 0 && (r.kind != recordAdd || !isLoginDN(r.dn)):
			return template{}, fmt.Errorf("begins with another record than the login's entry, which is \"dn: {{dn}}\" with its attributes")
		case i > 0 && r.kind == recordAdd:
			return template{}, fmt.Errorf("adds the entry %q too: a lease is one entry, directly below user_base", r.dn)
		}
	}
	if !slices.ContainsFunc(t.records[0].attributes, func(a attribute) bool { return strings.EqualFold(a.name, "objectClass") }) {
		return template{}, fmt.Errorf("gives the login's entry no objectClass")
	}
	return t, nil
}

// parseDeletion reads a template of changes that are made before the login's entry is deleted.
func parseDeletion(text string) (template, error) {
	t, err := parseTemplate(text, deletionPlaceholders)
	if err != nil {
		return template{}, err
	}
	for _, r := range t.records {
		if r.kind == recordAdd {
			return template{}, fmt.Errorf("adds the entry %q: only \"changetype: modify\" belongs there; the login's entry is deleted afterwards", r.dn)
		}
	}
	return t, nil
}

func parseTemplate(text string, known []string) (template, error) {
	records, err := parseLDIF(text)
	if err != nil {
		return template{}, err
	}
	for _, r := range records {
		if err := checkDN(r.dn, known); err != nil {
			return template{}, err
		}
		for _, value := range r.values() {
			if err := checkPlaceholders(value, known); err != nil {
				return template{}, err
			}
		}
		for _, name := range r.attributeNames() {
			if isPassword(name) {
				return template{}, fmt.Errorf("names %s: the broker sets the password itself, by the directory's own operation, when everything else is done", name)
			}
		}
	}
	return template{records}, nil
}

// checkDN refuses a DN that would be none with its placeholders filled in.
func checkDN(dn string, known []string) error {
	if err := checkPlaceholders(dn, known); err != nil {
		return err
	}
	filled := values{placeholderDN: "uid=a,dc=a", placeholderBase: "dc=a"}
	for _, name := range known {
		if filled[name] == "" {
			filled[name] = "a"
		}
	}
	if _, err := parseDN(filled.fillDN(dn)); err != nil {
		return fmt.Errorf("has a record for %q, which %w", dn, err)
	}
	return nil
}

func checkPlaceholders(text string, known []string) error {
	for _, found := range placeholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, found[1]) {
			return fmt.Errorf("has the unknown placeholder {{%s}}: known are {{%s}}", found[1], strings.Join(known, "}}, {{"))
		}
	}
	if rest := placeholder.ReplaceAllString(text, ""); strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
		return fmt.Errorf("has {{ or }} that is no placeholder: %q", text)
	}
	return nil
}

func isLoginDN(dn string) bool {
	found := placeholder.FindStringSubmatch(strings.TrimSpace(dn))
	return found != nil && found[0] == strings.TrimSpace(dn) && found[1] == placeholderDN
}

// isPassword reports whether an attribute holds what a bind is checked against.
func isPassword(name string) bool {
	name, _, _ = strings.Cut(strings.ToLower(name), ";")
	return name == "userpassword" || name == "2.5.4.35"
}

func (r record) values() []string {
	var all []string
	for _, a := range r.attributes {
		all = append(all, a.value)
	}
	for _, c := range r.changes {
		all = append(all, c.values...)
	}
	return all
}

func (r record) attributeNames() []string {
	var all []string
	for _, a := range r.attributes {
		all = append(all, a.name)
	}
	for _, c := range r.changes {
		all = append(all, c.attribute)
	}
	return all
}

// values are what stands in for placeholders.
type values map[string]string

// fill puts values in the place of placeholders.
func (v values) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		return v[placeholder.FindStringSubmatch(found)[1]]
	})
}

// fillDN does so in a DN, where all but DNs are escaped.
func (v values) fillDN(text string) string {
	escaped := make(values, len(v))
	for name, value := range v {
		escaped[name] = escapeDN(value)
	}
	escaped[placeholderDN], escaped[placeholderBase] = v[placeholderDN], v[placeholderBase]
	return escaped.fill(text)
}

// modifications returns the template's changes to entries that exist.
func (t template) modifications(v values) []*goldap.ModifyRequest {
	var requests []*goldap.ModifyRequest
	for _, r := range t.records {
		if r.kind != recordModify {
			continue
		}
		request := goldap.NewModifyRequest(v.fillDN(r.dn), nil)
		for _, c := range r.changes {
			filled := make([]string, len(c.values))
			for i, value := range c.values {
				filled[i] = v.fill(value)
			}
			switch c.operation {
			case "add":
				request.Add(c.attribute, filled)
			case "delete":
				request.Delete(c.attribute, filled)
			case "replace":
				request.Replace(c.attribute, filled)
			}
		}
		requests = append(requests, request)
	}
	return requests
}

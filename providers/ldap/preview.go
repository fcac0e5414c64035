package ldap

import (
	"encoding/base64"
	"maps"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// Preview shows the LDIF of a login's life, line by line, with comments where LDIF has no word.
func (Provider) Preview(s providers.Settings, options providers.Options, name providers.LoginName, _ time.Time) []string {
	shown := maps.Clone(s) // without its sealed fields
	shown[fieldBindPassword], shown[providers.FieldTLS] = "{{bind_password}}", providers.TLSOff
	read, err := readSettings(shown)
	if err != nil {
		return []string{"# " + err.Error()}
	}
	t, err := creation(options)
	if err != nil {
		return []string{"# " + optionCreationLDIF + " " + err.Error()}
	}
	undo, err := parseDeletion(options.String(optionDeletionLDIF))
	if err != nil {
		return []string{"# " + optionDeletionLDIF + " " + err.Error()}
	}
	b := &backend{settings: read, env: providers.Env{ClusterID: "{{cluster}}"}}
	grant := providers.Grant{Login: providers.Login{Name: name}, LeaseID: "{{lease}}", For: providers.NameParts{App: "{{app}}", Env: "{{env}}", Secret: "{{secret}}", Account: "{{account}}"}}
	v := b.fillings(grant)
	dn := read.dn(name)

	lines := []string{"# issue"}
	entry := b.entry(t, grant)
	lines = append(lines, ldifLine("dn", entry.DN), "changetype: add")
	for _, a := range entry.Attributes {
		for _, value := range a.Vals {
			lines = append(lines, ldifLine(a.Type, value))
		}
	}
	lines = append(lines, "")
	for _, request := range append(t.modifications(v), b.memberships(options, name, goldap.AddAttribute)...) {
		lines = append(lines, ldifOf(request)...)
	}
	lines = append(lines, "# password modify (RFC 3062) of "+dn+": {{password}}", "", "# end")
	lock := goldap.NewModifyRequest(dn, nil)
	lock.Replace("userPassword", nil)
	for _, request := range append(append([]*goldap.ModifyRequest{lock}, undo.modifications(v)...), b.memberships(options, name, goldap.DeleteAttribute)...) {
		lines = append(lines, ldifOf(request)...)
	}
	if read.groupBase != "" {
		lines = append(lines, "# and every other group below "+read.groupBase+" that names it", "")
	}
	return append(lines, ldifLine("dn", dn), "changetype: delete")
}

func ldifOf(request *goldap.ModifyRequest) []string {
	lines := []string{ldifLine("dn", request.DN), "changetype: modify"}
	for _, c := range request.Changes {
		operation := map[uint]string{goldap.AddAttribute: "add", goldap.DeleteAttribute: "delete", goldap.ReplaceAttribute: "replace"}[c.Operation]
		lines = append(lines, operation+": "+c.Modification.Type)
		for _, value := range c.Modification.Vals {
			lines = append(lines, ldifLine(c.Modification.Type, value))
		}
		lines = append(lines, "-")
	}
	return append(lines, "")
}

// ldifLine writes a value as LDIF does: in base64 unless it is plain.
func ldifLine(name, value string) string {
	plain := !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) && !strings.HasSuffix(value, " ")
	if plain && (value == "" || !strings.ContainsRune(" :<", rune(value[0]))) {
		return name + ": " + value
	}
	return name + ":: " + base64.StdEncoding.EncodeToString([]byte(value))
}

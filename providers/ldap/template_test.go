package ldap

import (
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

func TestParseCreation(t *testing.T) {
	const entry = "dn: {{dn}}\nobjectClass: person\ncn: {{name}}\n"
	for _, test := range []struct{ ldif, wrong string }{
		{defaultCreation, ""},
		{"version: 1\r\n# folded\r\n  comment\r\n\r\ndn:{{dn}}\r\nobjectClass: per\r\n son\r\n\r\n\r\n", ""},
		{"dn:: e3tkbn19\nobjectClass: person\n", ""}, // base64 of {{dn}}
		{entry + "\ndn: cn={{name}},ou=x\nchangetype: modify\nreplace: cn\n-\n", ""},
		{entry + "\ndn: cn=g,{{base}}\nchangetype: modify\nadd: member\nmember: {{dn}}\n", ""},
		{"", "holds no record"},
		{"# nothing\n", "holds no record"},
		{"dn: uid={{name}},dc=example\nobjectClass: person\n", `"dn: {{dn}}"`},
		{"dn: {{dn}},dc=example\nobjectClass: person\n", `"dn: {{dn}}"`},
		{"dn: {{dn}}\nchangetype: modify\nadd: cn\ncn: x\n", `"dn: {{dn}}"`},
		{"dn: {{dn}}\ncn: {{name}}\n", "no objectClass"},
		{entry + "\ndn: cn=other,{{dn}}\nobjectClass: device\n", "adds the entry"},
		{entry + "userPassword: known\n", "sets the password itself"},
		{entry + "USERPASSWORD;lang-en: known\n", "sets the password itself"},
		{entry + "2.5.4.35: known\n", "sets the password itself"},
		{entry + "\ndn: {{dn}}\nchangetype: modify\nreplace: userPassword\nuserPassword: x\n", "sets the password itself"},
		{entry + "description: {{password}}\n", "unknown placeholder {{password}}"},
		{entry + "description:: e3twYXNzd29yZH19\n", "unknown placeholder {{password}}"},
		{entry + "description: {{lease\n", "no placeholder"},
		{entry + "description: }}\n", "no placeholder"},
		{entry + "{{name}}: x\n", "line 4 is no"},
		{entry + "jpegPhoto:< file:///etc/passwd\n", "which nothing is read from"},
		{entry + "photo:: %%\n", "not base64"},
		{entry + "no colon\n", "line 4 is no"},
		{entry + "-\n", "line 4 has -"},
		{entry + "dn: cn=x\n", "line 4 has dn"},
		{entry + "\ndn: cn=x\nchangetype: delete\n", "without anything"},
		{entry + "\ndn: cn=x\nchangetype: modrdn\nnewrdn: cn=y\n", `changetype "modrdn"`},
		{entry + "\ndn: no dn\nchangetype: modify\nadd: cn\ncn: x\n", "is no DN"},
		{entry + "\ndn: cn=x\nchangetype: modify\nincrement: n\nn: 1\n", "begins no change"},
		{entry + "\ndn: cn=x\nchangetype: modify\nadd: cn\n", "has no value"},
		{entry + "\ndn: cn=x\nchangetype: modify\nadd: cn\nsn: x\n", "is about sn"},
		{entry + "\ndn: cn=x\nchangetype: modify\n-\n", "after no change"},
		{"objectClass: person\n", "without \"dn: …\""},
		{"version: 2\n" + entry, "version of LDIF"},
	} {
		_, err := parseCreation(test.ldif)
		if test.wrong == "" && err != nil {
			t.Errorf("%q: %v", test.ldif, err)
		}
		if test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%q: got %v, want an error with %q", test.ldif, err, test.wrong)
		}
	}
	for ldif, wrong := range map[string]string{
		entry: "adds the entry",
		"dn: cn=g\nchangetype: modify\ndelete: description\ndescription: {{lease}}\n": "unknown placeholder {{lease}}",
		"dn: cn=g\nchangetype: modify\ndelete: userPassword\n":                        "sets the password itself",
	} {
		if _, err := parseDeletion(ldif); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: got %v, want an error with %q", ldif, err, wrong)
		}
	}
}

func TestValidateOptions(t *testing.T) {
	for _, test := range []struct {
		options providers.Options
		field   string // "" when all is well
	}{
		{providers.Options{}, ""},
		{providers.Options{"groups": []string{"cn=readers,dc=example"}}, ""},
		{providers.Options{"groups": []string{"readers"}}, "groups"},
		{providers.Options{"creation_ldif": "dn: cn=elsewhere\nobjectClass: person\n"}, "creation_ldif"},
		{providers.Options{"deletion_ldif": "nonsense"}, "deletion_ldif"},
	} {
		problems := Provider{}.ValidateOptions(test.options)
		if test.field == "" && len(problems) > 0 || test.field != "" && (len(problems) != 1 || problems[0].Field != test.field) {
			t.Errorf("%v: got %v, want one about %q", test.options, problems, test.field)
		}
	}
}

// Whatever the values are, the rendered changes have as many lines and name the same entries.
func FuzzTemplateValues(f *testing.F) {
	for _, seed := range []string{"brk_ab12_x", "a,b", "a\nmember: evil", "\\", "\x00", "ü", "{{dn}}", " x ", "#", "+ou=y", "\xff"} {
		f.Add(seed)
	}
	const ldif = "dn: {{dn}}\nobjectClass: person\n\ndn: cn={{name}},ou=groups,dc=example\nchangetype: modify\nadd: member\nmember: {{dn}}\ndescription: {{name}}\n"
	f.Fuzz(func(t *testing.T, name string) {
		parsed, err := parseTemplate(strings.Replace(ldif, "description", "member", 1), creationPlaceholders)
		if err != nil {
			t.Fatal(err)
		}
		base, _ := parseDN("ou=leases,dc=example")
		s := settings{userBase: "ou=leases,dc=example", base: base, nameAttribute: "uid"}
		dn := s.dn(providers.LoginName(name))
		requests := parsed.modifications(values{placeholderName: name, placeholderDN: dn, placeholderBase: s.userBase})
		if len(requests) != 1 || len(requests[0].Changes) != 1 || len(requests[0].Changes[0].Modification.Vals) != 2 {
			t.Fatalf("%q became %v", name, requests)
		}
		if got := requests[0].Changes[0].Modification.Vals[1]; got != name {
			t.Errorf("the value is %q, want %q", got, name)
		}
		group, err := goldap.ParseDN(requests[0].DN)
		if err != nil || len(group.RDNs) != 3 || len(group.RDNs[0].Attributes) != 1 || group.RDNs[0].Attributes[0].Value != name {
			t.Errorf("%q became the DN %q (%v)", name, requests[0].DN, err)
		}
		if back, ok := s.nameIn(dn); !ok || string(back) != name {
			t.Errorf("%q became the DN %q, which is of %q", name, dn, back)
		}
	})
}

func FuzzParseLDIF(f *testing.F) {
	for _, seed := range []string{defaultCreation, "dn: a=b\nchangetype: modify\nadd: x\nx: 1\n-\n", "version: 1\n", "dn::=\n", " \n \n", "#\n x", "-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (template, error){parseCreation, parseDeletion} {
			parsed, err := parse(text)
			if err != nil {
				continue
			}
			for _, r := range parsed.records {
				for _, name := range r.attributeNames() {
					if !attributeName.MatchString(name) || isPassword(name) {
						t.Errorf("%q passes with the attribute %q", text, name)
					}
				}
			}
		}
	})
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"brk_", "*", "(", ")(uid=*", "\\", "\x00", "ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, prefix string) {
		packet, err := goldap.CompileFilter(prefixFilter("uid", prefix))
		if err != nil {
			t.Fatalf("%q: %v", prefix, err)
		}
		if prefix != "" && packet.Tag != goldap.FilterSubstrings {
			t.Errorf("%q became a filter of another kind", prefix)
		}
	})
}

func TestReadTime(t *testing.T) {
	exactly := time.Date(2026, 1, 2, 15, 4, 5, 678901000, time.UTC)
	for _, test := range []struct {
		csn, generalised string
		at               time.Time
		exact, ok        bool
	}{
		{"20260102150405.678901Z#000000#000#000000", "20260102150405Z", exactly, true, true},
		{"", "20260102150405Z", exactly.Truncate(time.Second), false, true},
		{"nonsense#", "20260102150405Z", exactly.Truncate(time.Second), false, true},
		{"", "", time.Time{}, false, false},
	} {
		at, exact, ok := readTime(test.csn, test.generalised)
		if !at.Equal(test.at) || exact != test.exact || ok != test.ok {
			t.Errorf("%q, %q: got %s, %t, %t", test.csn, test.generalised, at, exact, ok)
		}
	}
}

func TestPreviewIsLDIF(t *testing.T) {
	s := providers.Settings{"host": "ldap.internal", "bind_dn": "cn=broker,dc=example", "user_base": "ou=leases,dc=example"}
	lines := Provider{}.Preview(s, providers.Options{"groups": []string{"cn=readers,dc=example"}}, "brk_ab12_x", time.Now())
	if _, err := parseLDIF(strings.Join(lines, "\n")); err == nil || !strings.Contains(err.Error(), "without anything") {
		// Only the last record, which deletes, is not of the subset that templates may use.
		t.Errorf("got %v", err)
	}
	records, err := parseLDIF(strings.Join(lines[:len(lines)-2], "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var dns []string
	for _, r := range records {
		dns = append(dns, r.dn)
	}
	want := "uid=brk_ab12_x,ou=leases,dc=example cn=readers,dc=example uid=brk_ab12_x,ou=leases,dc=example cn=readers,dc=example"
	if got := strings.Join(dns, " "); got != want {
		t.Errorf("the preview changes %q, want %q\n%s", got, want, strings.Join(lines, "\n"))
	}
}

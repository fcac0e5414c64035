package mysql

import (
	"strings"
	"testing"

	"broker/providers"
)

func TestParseTemplate(t *testing.T) {
	tests := []struct {
		sql   string
		want  string // rendered
		wrong string // part of the error
	}{
		{"GRANT SELECT ON orders.* TO {{name}}@{{ host }};", "GRANT SELECT ON orders.* TO 'n'@'h'", ""},
		{"CREATE USER {{name}}@'10.%' IDENTIFIED BY {{password}}", "CREATE USER 'n'@'10.%' IDENTIFIED BY 'p'", ""},
		{"SELECT ';', \"a;b\", `c;d`, 'it''s', 'a\\';' -- ;\n + 1 # ;", "SELECT ';', \"a;b\", `c;d`, 'it''s', 'a\\';' -- ;\n + 1 # ;", ""},
		{"/* a; */ SELECT 1--1", "/* a; */ SELECT 1--1", ""},
		{"SELECT `a\\`", "SELECT `a\\`", ""}, // no escapes in names
		{"SELECT {{nam}}", "", "unknown placeholder {{nam}}: known are {{name}}, {{host}}, {{password}}"},
		{"SELECT '{{name}}'", "", "inside quotes"},
		{"SELECT `{{name}}`", "", "inside quotes"},
		{"SELECT 1 -- {{name}}", "", "comment"},
		{"SELECT 1 # {{name}}", "", "comment"},
		{"SELECT {{name", "", "without }}"},
		{"SELECT 1; SELECT 2", "", "more than one statement"},
		{"SELECT 1 /*! ; DROP TABLE x */", "", "carry out"},
		{"SELECT 1 /*M! + 1 */", "", "carry out"},
		{"SELECT 'open\\'", "", "not closed"},
		{"SELECT `open", "", "not closed"},
		{"/* open", "", "not closed"},
		{"-- nothing", "", "no statement"},
		{"", "", "no statement"},
		{";", "", "no statement"},
	}
	values := map[string]string{"name": "'n'", "host": "'h'", "password": "'p'"}
	for _, test := range tests {
		parsed, err := parseTemplate(test.sql, creationPlaceholders)
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: got %v, want an error with %q", test.sql, err, test.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.sql, err)
		} else if got := parsed.render(values); got != test.want {
			t.Errorf("%s: got %q, want %q", test.sql, got, test.want)
		}
	}
}

func TestParsePrivileges(t *testing.T) {
	tests := []struct {
		text  string
		want  string // the statement
		wrong string // part of the error
	}{
		{"SELECT ON orders.*", "GRANT SELECT ON `orders`.* TO u", ""},
		{"select, Insert on orders.items", "GRANT SELECT, INSERT ON `orders`.`items` TO u", ""},
		{"SELECT (id, `odd``name`), SHOW VIEW ON TABLE `my db`.`t.x`", "GRANT SELECT (`id`, `odd``name`), SHOW VIEW ON `my db`.`t.x` TO u", ""},
		{"SELECT ON a_b%.*", "", "alone"},
		{"SELECT ON `a_b%`.*", "GRANT SELECT ON `a\\_b\\%`.* TO u", ""},
		{"SELECT ON a_b.t_c", "GRANT SELECT ON `a_b`.`t_c` TO u", ""},
		{"ALL PRIVILEGES ON orders.*", "GRANT ALL PRIVILEGES ON `orders`.* TO u", ""},
		{"EXECUTE ON PROCEDURE orders.ship", "GRANT EXECUTE ON PROCEDURE `orders`.`ship` TO u", ""},
		{"PROCESS, REPLICATION CLIENT ON *.*", "GRANT PROCESS, REPLICATION CLIENT ON *.* TO u", ""},
		{"BACKUP_ADMIN ON *.*", "GRANT BACKUP_ADMIN ON *.* TO u", ""},
		{"SELECT ON orders.* WITH GRANT OPTION", "", "TO and WITH are not said here"},
		{"SELECT ON orders.* TO 'x'@'%'", "", "TO and WITH are not said here"},
		{"SELECT ON orders.*; DROP TABLE x", "", "not said here"},
		{"SELECT orders.*", "", "wants ON"},
		{"SELECT ON orders", "", "alone"},
		{"SELECT ON *", "", "name the database"},
		{"SELECT (id ON orders.items", "", "not closed"},
		{"SELECT (id) ON orders.*", "", "without a table"},
		{"SELECT ON `orders.*", "", "not closed"},
		{"SELECT ON ``.*", "", "empty name"},
		{"SEL-ECT ON orders.*", "", "wants ON"},
		{"'SELECT' ON orders.*", "", "wants a privilege"},
		{"ON orders.*", "", "wants a privilege"},
		{"", "", "wants a privilege"},
		{"GRANT OPTION ON orders.*", "", "outlast"},
		{"grant   option on orders.*", "", "outlast"},
		{"CREATE USER ON *.*", "", "outlast"},
		{"ALL ON *.*", "", "outlast"},
		{"INSERT, UPDATE, RELOAD ON *.*", "", "outlast"},
		{"PROCESS, SELECT (Host) ON *.*", "", "outlast"},
		{"EXECUTE ON *.*", "", "outlast"},
		{"REPLICATION SLAVE ON *.*", "", "outlast"},
		{"REPLICATION SLAVE ADMIN ON *.*", "", "outlast"},
		{"CLONE_ADMIN ON *.*", "", "outlast"},
		{"SELECT ON mysql.user", "", "everybody's accounts"},
		{"SELECT ON MySQL.*", "", "everybody's accounts"},
		{"EXECUTE ON PROCEDURE orders.*", "", "names no procedure"},
	}
	for _, test := range tests {
		parsed, err := parsePrivileges(test.text)
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: got %v, want an error with %q", test.text, err, test.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		} else if got := parsed.statement("u"); got != test.want {
			t.Errorf("%s: got %s, want %s", test.text, got, test.want)
		}
	}
}

// What was read reads the same again, and names come out as they went in.
func FuzzParsePrivileges(f *testing.F) {
	for _, seed := range []string{"SELECT ON a.*", "SELECT (`a``b`) ON `c`.`d`", "ALL ON `_%\\`.*", "EXECUTE ON FUNCTION a.b", "x ON `\n`.`\u00e4`", "`", "a ON *.*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parsePrivileges(text)
		if err != nil {
			return
		}
		if parsed.database == "" && parsed.object != "" || strings.ContainsRune(parsed.database+parsed.object, 0) {
			t.Errorf("%q: %+v", text, parsed)
		}
		statement := strings.TrimSuffix(strings.TrimPrefix(parsed.statement("u"), "GRANT "), " TO u")
		again, err := parsePrivileges(statement)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, statement, err)
		}
		if parsed.object != "" && (again.database != parsed.database || again.object != parsed.object) {
			t.Errorf("%q became %q", text, statement)
		}
	})
}

func FuzzParseTemplate(f *testing.F) {
	for _, seed := range []string{"SELECT {{name}}", "SELECT '';-- ", "`a` \"b\\\"\"", "/**/ /*/", "# \n;", "{{}}", "'\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		parsed, err := parseTemplate(sql, creationPlaceholders)
		if err == nil && len(parsed.texts) != len(parsed.placeholders)+1 {
			t.Errorf("%q: %d texts around %d placeholders", sql, len(parsed.texts), len(parsed.placeholders))
		}
	})
}

// The scanner reads a literal of ours as one token, whatever is in it.
func FuzzQuoting(f *testing.F) {
	for _, seed := range hostile {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := []string{quoteString(text)}
		if !strings.ContainsRune(text, 0) {
			quoted = append(quoted, quoteName(text))
		}
		for _, q := range quoted {
			for rest := q; rest != ""; {
				scan := scanner{sql: rest}
				token, kind, err := scan.next()
				if err != nil || kind != tokenQuoted {
					t.Fatalf("%q became %q: %v", text, q, err)
				}
				rest = rest[len(token):]
			}
		}
		if strings.ContainsAny(quoteString(text), "\x00\n\r\x1a") {
			t.Errorf("%q became %q", text, quoteString(text))
		}
	})
}

// hostile are texts that break careless quoting.
var hostile = []string{"", "'", `"`, "`", `\`, `\'`, `'; DROP TABLE x; -- `, "\x00", "\n\r\x1a", "ünïcödé 🔑", "%_", "''", `\\''`, "{{name}}", "/*! */", "#", "a\u2028b"}

func TestValidateOptions(t *testing.T) {
	tests := []struct {
		options providers.Options
		field   string // "" when all is well
	}{
		{providers.Options{"roles": []string{"readonly"}}, ""},
		{providers.Options{"grants": []string{"SELECT ON orders.*"}, "host": "10.0.%"}, ""},
		{providers.Options{"creation_statements": []string{"GRANT SELECT ON t.* TO {{name}}@{{host}}"}, "host": "fe80::%"}, ""},
		{providers.Options{}, "roles"},
		{providers.Options{"roles": []string{strings.Repeat("x", 33)}}, "roles"},
		{providers.Options{"grants": []string{"SELECT"}}, "grants"},
		{providers.Options{"roles": []string{"a"}, "host": "10.0.0.1'"}, "host"},
		{providers.Options{"roles": []string{"a"}, "host": strings.Repeat("x", 61)}, "host"},
		{providers.Options{"creation_statements": []string{"SELECT {{user}}"}}, "creation_statements"},
		{providers.Options{"roles": []string{"a"}, "revocation_statements": []string{"SELECT {{password}}"}}, "revocation_statements"},
	}
	for _, test := range tests {
		problems := Provider{}.ValidateOptions(test.options)
		if test.field == "" && len(problems) > 0 || test.field != "" && (len(problems) != 1 || problems[0].Field != test.field) {
			t.Errorf("%v: got %v, want a problem with %q", test.options, problems, test.field)
		}
	}
}

func TestTooOld(t *testing.T) {
	for _, test := range []struct {
		version string
		mariaDB bool
		wanted  string
	}{
		{"8.0.21", false, ""}, {"8.0.20", false, "8.0.21"}, {"5.7.44-log", false, "8.0.21"}, {"9.7.4-2", false, ""}, {"8.4.0", false, ""}, {"8.0", false, "8.0.21"},
		{"10.6.0-MariaDB", true, ""}, {"10.11.19-MariaDB-0+deb12u1", true, ""}, {"10.5.29-MariaDB", true, "10.6.0"}, {"12.0.1-MariaDB", true, ""}, {"", true, "10.6.0"},
	} {
		if got := (server{version: test.version, mariaDB: test.mariaDB}).tooOld(); got != test.wanted {
			t.Errorf("version %q: got %q, want %q", test.version, got, test.wanted)
		}
	}
}

// What mysql_native_password makes of a password, by a value that the server itself gave for it.
func TestNativeHash(t *testing.T) {
	if got, want := nativeHash("mypass"), "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

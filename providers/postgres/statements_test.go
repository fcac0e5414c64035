package postgres

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
		{`GRANT SELECT ON orders TO {{name}}`, `GRANT SELECT ON orders TO "n"`, ""},
		{`GRANT SELECT ON orders TO {{ name }};`, `GRANT SELECT ON orders TO "n"`, ""},
		{`ALTER ROLE {{name}} PASSWORD {{password}} VALID UNTIL {{expiration}}`, `ALTER ROLE "n" PASSWORD 'p' VALID UNTIL 'e'`, ""},
		{`SELECT ';', "a;b", $$;$$, $x$ ; $x$, E'\';' -- ;`, `SELECT ';', "a;b", $$;$$, $x$ ; $x$, E'\';' -- ;`, ""},
		{`/* a /* nested; */ comment */ SELECT 'it''s' ;  -- done`, `/* a /* nested; */ comment */ SELECT 'it''s'   -- done`, ""},
		{`SELECT $1`, `SELECT $1`, ""},
		{`SELECT a$b$c FROM t`, `SELECT a$b$c FROM t`, ""},
		{`SELECT {{nam}}`, "", "unknown placeholder {{nam}}: known are {{name}}, {{password}}, {{expiration}}"},
		{`SELECT '{{name}}'`, "", "inside quotes"},
		{`GRANT SELECT ON orders TO "{{name}}"`, "", "inside quotes"},
		{`DO $$ BEGIN EXECUTE {{name}}; END $$`, "", "inside quotes"},
		{`SELECT 1 -- {{name}}`, "", "comment"},
		{`SELECT {{name`, "", "without }}"},
		{`SELECT 1; SELECT 2`, "", "more than one statement"},
		{`COMMIT`, "", "begins with COMMIT"},
		{`/* x */ rollback`, "", "begins with ROLLBACK"},
		{`SELECT 'open`, "", "not closed"},
		{`SELECT $q$ open`, "", "not closed"},
		{`/* open`, "", "not closed"},
		{` -- nothing`, "", "no statement"},
		{``, "", "no statement"},
		{`;`, "", "no statement"},
	}
	values := map[string]string{"name": `"n"`, "password": `'p'`, "expiration": `'e'`}
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
			continue
		}
		if got := parsed.render(values); got != test.want {
			t.Errorf("%s: got %q, want %q", test.sql, got, test.want)
		}
	}
}

func FuzzParseTemplate(f *testing.F) {
	for _, seed := range []string{"SELECT {{name}}", "SELECT '';--", "$a$ $a$", "/*/**/*/x", "E'\\'", "{{}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		parsed, err := parseTemplate(sql, creationPlaceholders)
		if err == nil && len(parsed.texts) != len(parsed.placeholders)+1 {
			t.Errorf("%q: %d texts around %d placeholders", sql, len(parsed.texts), len(parsed.placeholders))
		}
	})
}

func TestValidateOptions(t *testing.T) {
	tests := []struct {
		options providers.Options
		field   string // "" when all is well
	}{
		{providers.Options{"member_of": []string{"readonly"}}, ""},
		{providers.Options{"creation_statements": []string{"GRANT SELECT ON t TO {{name}}"}}, ""},
		{providers.Options{}, "member_of"},
		{providers.Options{"member_of": []string{strings.Repeat("x", 64)}}, "member_of"},
		{providers.Options{"member_of": []string{"pg_write_server_files"}}, "member_of"},
		{providers.Options{"member_of": []string{"a"}, "owner_role": strings.Repeat("x", 64)}, "owner_role"},
		{providers.Options{"creation_statements": []string{"SELECT {{user}}"}}, "creation_statements"},
		{providers.Options{"member_of": []string{"a"}, "revocation_statements": []string{"SELECT {{password}}"}}, "revocation_statements"},
	}
	for _, test := range tests {
		problems := Provider{}.ValidateOptions(test.options)
		if test.field == "" && len(problems) > 0 || test.field != "" && (len(problems) != 1 || problems[0].Field != test.field) {
			t.Errorf("%v: got %v, want a problem with %q", test.options, problems, test.field)
		}
	}
}

func TestApplicationName(t *testing.T) {
	const longestTerm = 1<<64 - 1
	for _, id := range []string{"", "01J0POSTGRESTESTCLUSTER000", strings.Repeat("long", 50), "ünï", "with/slash", "with space"} {
		name := applicationName(id, longestTerm)
		if len(name) > maxIdentifier {
			t.Errorf("%q for cluster %q has %d bytes", name, id, len(name))
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-_") != "" {
			t.Errorf("%q for cluster %q is not plain", name, id)
		}
	}
}

// What the process's environment says about PostgreSQL is for people who run psql.
func TestEnvironmentIsIgnored(t *testing.T) {
	for name, value := range map[string]string{
		"PGHOST": "evil.example", "PGUSER": "evil", "PGPASSWORD": "evil", "PGDATABASE": "evil", "PGOPTIONS": "-c role=evil",
		"PGSSLMODE": "disable", "PGAPPNAME": "evil", "PGTARGETSESSIONATTRS": "standby",
	} {
		t.Setenv(name, value)
	}
	b, err := Provider{}.Open(providers.Settings{"host": "db.example", "database": "orders", "username": "broker", "password": "p"}, providers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	config, err := b.(*backend).connConfig("orders")
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "db.example" || config.User != "broker" || config.Password != "p" || config.Database != "orders" ||
		config.RuntimeParams["options"] != "" || config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify || len(config.Fallbacks) > 0 || config.ValidateConnect != nil {
		t.Errorf("the environment reaches the connection: %+v", config)
	}
}

func TestQuoting(t *testing.T) {
	if got, want := quoteName(`a"b`), `"a""b"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

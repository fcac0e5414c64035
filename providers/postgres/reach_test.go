package postgres_test

import (
	"strings"
	"testing"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

// A group that a secret names must not lead its leased users to more than the group itself, however many
// memberships are in between.
func TestOptionsThatReachTooMuch(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(nil)
	defer k.mustRevoke(login)
	group := func(attributes string, of ...string) string {
		name := fresh("group")
		server.MustExec(t, "postgres", "CREATE ROLE "+name+" "+attributes)
		for _, one := range of {
			server.MustExec(t, "postgres", `GRANT "`+one+`" TO `+name)
		}
		return name
	}
	almighty, maker := group("SUPERUSER"), group("CREATEROLE")
	nested := func(role string) string { return group("", postgrestest.ReadRole, group("", group("", role))) }
	for _, row := range []struct{ role, want string }{
		{almighty, "is a superuser"},
		{nested(almighty), `leads through its memberships to role "` + almighty + `", which is a superuser`},
		{group("NOINHERIT", almighty), "which is a superuser"},
		{maker, "CREATEROLE"},
		{nested(maker), `"` + maker + `", which may make and change roles`},
		{nested("pg_execute_server_program"), `"pg_execute_server_program", which reads or writes the server's files`},
		{nested("pg_write_server_files"), "server's files"},
		{nested("pg_read_server_files"), "server's files"},
		{postgrestest.RootName, "is the broker's root account"},
		{nested(postgrestest.RootName), `"broker", which is the broker's root account`},
		{string(login.Name), "is a login of the broker"},
		{nested(string(login.Name)), "which is a login of the broker"},
		{nested(nested(postgrestest.WriteRole)), ""},
		{group("CREATEDB BYPASSRLS LOGIN", "pg_read_all_data", "pg_monitor"), ""},
	} {
		for _, field := range []string{"member_of", "owner_role"} {
			values := map[string]any{"member_of": postgrestest.ReadRole}
			if field == "owner_role" {
				// Only what it leads to matters here, not that the root account is no member.
				values[field] = row.role
			} else {
				values[field] = []any{postgrestest.ReadRole, row.role}
			}
			problems, err := providers.CheckOptions(t.Context(), k.Backend, options(t, values))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range problems {
				if !strings.Contains(one.Message, "is no member of") {
					got = append(got, one.Error())
				}
			}
			switch text := strings.Join(got, "; "); {
			case row.want == "" && text != "":
				t.Errorf("%s %s: got %s, want nothing", field, row.role, text)
			case !strings.Contains(text, row.want) || row.want != "" && (len(got) != 1 || !strings.HasPrefix(text, field+`: role "`+row.role+`" `)):
				t.Errorf("%s %s: got %q, want %q", field, row.role, text, row.want)
			}
		}
	}
}

// From PostgreSQL 16 a membership says what it gives, and one that gives nothing leads nowhere. The
// catalogue's newer columns are put in the place of the older server's.
func TestReachOfMembershipsWithOptions(t *testing.T) {
	almighty := fresh("almighty")
	server.MustExec(t, "postgres", "CREATE ROLE "+almighty+" SUPERUSER NOLOGIN")
	conn, err := server.Superuser(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, row := range []struct {
		name                string
		inherit, set, admin bool
		want                int
	}{
		{"inherit", true, false, false, 1},
		{"set", false, true, false, 1},
		{"admin", false, false, true, 1},
		{"nothing", false, false, false, 0},
	} {
		member := fresh(row.name)
		if _, err := conn.Exec(t.Context(), "CREATE ROLE "+member); err != nil {
			t.Fatal(err)
		}
		table := fresh("memberships")
		if _, err := conn.Exec(t.Context(), "CREATE TEMPORARY TABLE "+table+" (roleid oid, member oid, admin_option boolean, inherit_option boolean, set_option boolean)"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "INSERT INTO "+table+" SELECT to_regrole($1), to_regrole($2), $3, $4, $5", almighty, member, row.admin, row.inherit, row.set); err != nil {
			t.Fatal(err)
		}
		sql := strings.ReplaceAll(postgres.ReachSQL, "pg_auth_members", table)
		tag, err := conn.Exec(t.Context(), sql, []string{member}, []string{}, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := int(tag.RowsAffected()); got != row.want {
			t.Errorf("a membership that gives %s: got %d roles reached, want %d", row.name, got, row.want)
		}
	}
}

func TestWarnsOfASuperuser(t *testing.T) {
	for username, want := range map[string]bool{"postgres": true, "broker": false} {
		warnings := postgres.Provider{}.Warnings(providers.Settings{"host": "127.0.0.1", "username": username})
		if got := strings.Contains(strings.Join(warnings, "\n"), "superuser"); got != want {
			t.Errorf("account %s: warned %v of %q", username, got, warnings)
		}
	}
}

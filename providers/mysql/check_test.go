package mysql_test

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/mysql"
	"broker/providers/mysql/mysqltest"
)

func TestRefusals(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	tests := []struct {
		name      string
		overrides map[string]any
		kind      providers.Kind
		text      string
	}{
		{"wrong root password", map[string]any{"password": "canary-wrong"}, providers.KindRejected, "password was refused"},
		{"nothing listens", map[string]any{"port": closedPort}, providers.KindUnavailable, "refused"},
		{"metadata address", map[string]any{"host": "169.254.169.254"}, providers.KindRejected, "link-local"},
		{"another authority", map[string]any{"tls_ca": ""}, providers.KindRejected, "x509"},
		{"another name", map[string]any{"tls_server_name": "db.internal"}, providers.KindRejected, "x509"},
	}
	for _, test := range tests {
		k := open(t, test.overrides)
		_, err := k.Check(t.Context())
		e := want(t, test.kind, err, test.name)
		if !e.NotSent || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: not sent %v, %q", test.name, e.NotSent, err)
		}
		if strings.Contains(err.Error()+e.Hint, "canary") {
			t.Errorf("%s: the error holds the password", test.name)
		}
	}
}

// Check names each privilege that the page's statements give and one account lacks, with a statement that mends it.
func TestCheckNamesWhatIsMissing(t *testing.T) {
	name, password := fresh("bare"), rand.Text()
	server.MustExec(t, "CREATE USER '"+name+"'@'%' IDENTIFIED BY '"+password+"'")
	k := open(t, map[string]any{"username": name, "password": password})
	for round := 0; ; round++ {
		_, err := k.with(providers.Env{}).Check(t.Context())
		if err == nil {
			if round < 3 {
				t.Errorf("an account with nothing passed after %d statements", round)
			}
			break
		}
		e := want(t, providers.KindRejected, err, "checking an account that lacks something")
		statement, hinted := strings.CutPrefix(e.Hint, "Run as an administrator: ")
		if !hinted || round > 6 {
			t.Fatalf("round %d: %v; hint %q", round, err, e.Hint)
		}
		server.MustExec(t, statement)
	}
	if _, err := k.Create(t.Context(), k.grant(map[string]any{"creation_statements": "DO 1"})); err != nil {
		t.Errorf("creating with what Check asked for: %v", err)
	}
	server.MustExec(t, "DROP USER '"+name+"'@'%'")
}

func TestCheckOptions(t *testing.T) {
	k := open(t, nil)
	maker, leads, stranger := fresh("maker"), fresh("leads"), fresh("stranger")
	statements := []string{
		"CREATE ROLE " + maker, "GRANT CREATE USER ON *.* TO " + maker, "CREATE ROLE " + leads, "GRANT " + maker + " TO " + leads, "CREATE ROLE " + stranger,
	}
	if !server.MariaDB {
		statements[1] = "GRANT CREATE USER ON *.* TO '" + maker + "'@'%'"
	}
	server.MustExec(t, statements...)
	for role, want := range map[string]string{
		mysqltest.ReadRole: "", "zz_missing": "does not exist", maker: "makes accounts", leads: "leads to role \"" + maker, stranger: "may not grant",
	} {
		problems, err := providers.CheckOptions(t.Context(), k.Backend, options(t, map[string]any{"roles": role}))
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, want)) {
			t.Errorf("role %s: got %v, want %q", role, problems, want)
		}
	}
	both := options(t, map[string]any{"roles": []any{mysqltest.ReadRole, mysqltest.ReadRole}})
	problems, err := providers.CheckOptions(t.Context(), k.Backend, both)
	if err != nil || (len(problems) > 0) != server.MariaDB {
		t.Errorf("two roles: got %v, %v", problems, err)
	}
}

// At MySQL the old password is good until it is retired.
func TestOldPasswordUntilRetired(t *testing.T) {
	connection := rotation(t)
	k := open(t, map[string]any{"username": connection["username"], "password": connection["password"]})
	plan, err := providers.PlanRotation(t.Context(), k.Backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := providers.Rotate(t.Context(), k.Backend, plan)
	if err != nil {
		t.Fatal(err)
	}
	accepts := func(password string) bool {
		db := server.Connect(connection["username"].(string), password, "")
		defer db.Close()
		return db.PingContext(t.Context()) == nil
	}
	if !accepts(changed.String("password")) {
		t.Fatal("the new password is refused")
	}
	if accepts(connection["password"].(string)) == server.MariaDB {
		t.Errorf("the old password is accepted: %v", !server.MariaDB)
	}
	late := server.Connect(connection["username"].(string), connection["password"].(string), "")
	defer late.Close()
	stale, staleErr := late.Conn(t.Context())
	after := open(t, map[string]any{"username": connection["username"], "password": changed.String("password")})
	if err := providers.Retire(t.Context(), after.Backend, providers.Settings{"password": connection["password"]}); err != nil {
		t.Fatal(err)
	}
	if accepts(connection["password"].(string)) {
		t.Error("the old password is accepted after it was retired")
	}
	if staleErr == nil {
		if err := stale.PingContext(t.Context()); err == nil {
			t.Error("a session of the old password lives on")
		}
	}
	if _, err := after.Check(t.Context()); err != nil {
		t.Errorf("the Backend's own sessions: %v", err)
	}
}

// An account that logs in otherwise is left alone.
func TestRotationOfAnotherKindOfLogIn(t *testing.T) {
	if !server.MariaDB {
		t.Skip("there is no other kind by which this server lets one log in with a password")
	}
	connection := rotation(t)
	server.MustExec(t, "INSTALL SONAME 'auth_ed25519'",
		"ALTER USER '"+connection["username"].(string)+"'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('"+connection["password"].(string)+"')")
	k := open(t, map[string]any{"username": connection["username"], "password": connection["password"]})
	_, err := providers.PlanRotation(t.Context(), k.Backend, nil)
	want(t, providers.KindUnsupported, err, "planning for an account with ed25519")
}

func TestPreview(t *testing.T) {
	steps := mysql.Provider{}.Preview(nil, options(t, map[string]any{"roles": "readonly", "grants": "SELECT ON orders.*"}), "brk_abcd_x", time.Now())
	for _, want := range []string{
		"MySQL: CREATE USER 'brk_abcd_x'@'%' IDENTIFIED BY '{{password}}' REQUIRE NONE WITH MAX_USER_CONNECTIONS 0 PASSWORD EXPIRE NEVER ACCOUNT LOCK",
		"MariaDB: SET DEFAULT ROLE `readonly` FOR 'brk_abcd_x'@'%'", "MySQL: ALTER USER 'brk_abcd_x'@'%' DEFAULT ROLE `readonly`",
		"GRANT SELECT ON `orders`.* TO 'brk_abcd_x'@'%'", "ALTER USER 'brk_abcd_x'@'%' ACCOUNT UNLOCK",
	} {
		if !slices.ContainsFunc(steps, func(step string) bool { return strings.HasPrefix(step, want) }) {
			t.Errorf("no step %q in:\n%s", want, strings.Join(steps, "\n"))
		}
	}
}

func TestWarnings(t *testing.T) {
	for host, tests := range map[string]map[string]int{"127.0.0.1": {"off": 0, "verify": 0}, "db.internal": {"off": 1, "insecure": 1, "verify": 0}} {
		for mode, n := range tests {
			settings := providers.Settings{"host": host, "tls": mode, "username": "broker"}
			if got := providers.Warnings(mysql.Provider{}, settings); len(got) != n {
				t.Errorf("%v: got %q, want %d", settings, got, n)
			}
		}
	}
	if got := providers.Warnings(mysql.Provider{}, providers.Settings{"host": "127.0.0.1", "username": "root"}); len(got) != 1 {
		t.Errorf("got %q, want a warning of root", got)
	}
}

// The server reads what we quote as what it was, in whatever mode it is.
func TestServerReadsLiterals(t *testing.T) {
	mode := query[string](t, server, "SELECT @@GLOBAL.sql_mode")
	server.MustExec(t, "SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'")
	t.Cleanup(func() {
		if err := server.SQL(context.Background(), "SET GLOBAL sql_mode = '"+mode+"'"); err != nil {
			t.Error(err)
		}
	})
	k := open(t, nil)
	for _, text := range mysql.Hostile {
		got, err := mysql.ReadBack(t.Context(), k.Open(), text)
		if err != nil || got != text {
			t.Errorf("%q came back as %q, %v", text, got, err)
		}
	}
	// And a whole life in that mode.
	login, values := k.create(map[string]any{"roles": mysqltest.ReadRole, "password_alphabet": "symbols", "password_length": 128})
	if err := logIn(t.Context(), values); err != nil {
		t.Error(err)
	}
	if err := k.revoke(login); err != nil {
		t.Error(err)
	}
}

// The page's statements are those that the tests prepare their root account with.
func TestReadmePreparesTheRootAccount(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, statements := range [][]string{
		mysqltest.RootStatements(true, "change-me", mysqltest.ReadRole),
		mysqltest.RootStatements(false, "change-me", mysqltest.ReadRole),
		{mysqltest.GrantStatement(mysqltest.Database)},
	} {
		block := "```sql\n" + strings.Join(statements, ";\n") + ";\n```"
		if !strings.Contains(string(content), block) {
			t.Errorf("the page lacks:\n%s", block)
		}
	}
}

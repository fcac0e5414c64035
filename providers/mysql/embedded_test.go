package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"broker/providers"
	"broker/providers/mysql"
)

// devmysql is the program of a module of its own, which the tests of this one do not build.
var devmysql = flag.String("devmysql", "", "path of scripts/devmysql, built, to be served by too")

// The life of a lease at the server that the quickstart falls back to: everything that the provider says to MySQL is
// carried out there.
//
//	go build -C scripts/devmysql -o ../../bin/devmysql . && go test ./providers/mysql -run Embedded -devmysql $PWD/bin/devmysql
func TestEmbedded(t *testing.T) {
	if *devmysql == "" {
		t.Skip("no -devmysql is given; scripts/quickstart --embedded goes the same way")
	}
	dir := t.TempDir()
	if output, err := exec.Command(*devmysql, "up", "--dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("starting it: %v: %s", err, output)
	}
	defer exec.Command(*devmysql, "down", "--dir", dir).Run()
	content, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "export DEVMYSQL_")), "=")
		env[name] = value
	}
	provider := mysql.Provider{}
	settings, problems := provider.Describe().ValidateConnection(map[string]any{
		"host": env["HOST"], "port": env["PORT"], "database": env["DATABASE"], "username": env["ROOT_USERNAME"], "password": env["ROOT_PASSWORD"], "tls": "off",
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	options, problems := provider.Describe().ValidateOptions(map[string]any{"roles": env["ROLE"]})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := provider.Open(settings, providers.Env{ClusterID: "01J0DEVMYSQLCLUSTER0000000", Prefix: "brk_abcd_"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, err := b.Check(ctx)
	if err != nil {
		t.Fatalf("checking: %v", err)
	}
	if again, err := b.Check(ctx); err != nil || again != first {
		t.Errorf("the server is known as %q and then as %q, %v", first, again, err)
	}
	if problems, err := providers.CheckOptions(ctx, b, options); err != nil || len(problems) > 0 {
		t.Errorf("checking options: %v, %v", problems, err)
	}
	login := providers.Login{Name: "brk_abcd_embedded", ExpiresAt: time.Now().Add(time.Hour), Options: options}
	grant := providers.Grant{Login: login, LeaseID: "01J0DEVMYSQLLEASE000000000", Deadline: time.Now().Add(time.Minute)}
	values, err := b.Create(ctx, grant)
	if err != nil {
		t.Fatalf("creating: %v", err)
	}
	var e *providers.Error
	if _, err := b.Create(ctx, grant); !errors.As(err, &e) || e.Kind != providers.KindExists {
		t.Errorf("creating twice: %v", err)
	}
	if err := providers.LogIn(ctx, b, values); err != nil {
		t.Errorf("logging in: %v", err)
	}
	found := 0
	for f, err := range b.List(ctx, "brk_abcd_") {
		if err != nil || !f.Ours {
			t.Errorf("listed %+v, %v", f, err)
		}
		found++
	}
	if found != 1 {
		t.Errorf("%d logins are listed, want 1", found)
	}
	config := driver.NewConfig()
	config.Net, config.Addr, config.User, config.Passwd = "tcp", env["HOST"]+":"+env["PORT"], values["username"].Reveal(), values["password"].Reveal()
	connector, err := driver.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	session, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var n int
	if err := session.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders.orders").Scan(&n); err != nil || n != 3 {
		t.Errorf("reading as the leased user: %d, %v", n, err)
	}
	for _, statement := range []string{
		"DELETE FROM orders.orders", "ALTER USER 'broker'@'%' ACCOUNT LOCK", "KILL 1", "CREATE USER 'more'@'%' IDENTIFIED BY 'x'",
	} {
		if _, err := session.ExecContext(ctx, statement); err == nil {
			t.Errorf("a leased user may: %s", statement)
		}
	}
	if err := b.Revoke(ctx, []providers.Login{login})[login.Name]; err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if err := session.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders.orders").Scan(&n); err == nil {
		t.Error("a session outlived its login")
	}
	if err := providers.LogIn(ctx, b, values); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
	never := providers.Login{Name: login.Name + "x", Options: options}
	if err := b.ConfirmAbsent(ctx, []providers.Login{never}, time.Now().Add(-time.Second))[never.Name]; err != nil {
		t.Errorf("confirming absence: %v", err)
	}
}

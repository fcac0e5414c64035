package main

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/mysql"
)

// The tour's life of a lease, by the broker's own provider: everything that it says to MySQL is carried out in here.
func TestProviderServes(t *testing.T) {
	server, err := start(0)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	port, err := strconv.Atoi(server.address[strings.LastIndexByte(server.address, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	provider := mysql.Provider{}
	settings, problems := provider.Describe().ValidateConnection(map[string]any{
		"host": host, "port": port, "database": database, "username": rootName, "password": server.rootPassword, "tls": "off",
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	options, problems := provider.Describe().ValidateOptions(map[string]any{"roles": readRole})
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
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	login := providers.Login{Name: providers.LoginName("brk_abcd_" + unique), ExpiresAt: time.Now().Add(time.Hour), Options: options}
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
	db, err := connect(server.address, values["username"].Reveal(), values["password"].Reveal(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	session, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var n int
	if err := session.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+database+".orders").Scan(&n); err != nil || n != 3 {
		t.Errorf("reading as the leased user: %d, %v", n, err)
	}
	for _, statement := range []string{
		"DELETE FROM " + database + ".orders", "ALTER USER '" + rootName + "'@'%' ACCOUNT LOCK", "KILL 1", "CREATE USER 'more'@'%' IDENTIFIED BY 'x'",
	} {
		if _, err := session.ExecContext(ctx, statement); err == nil {
			t.Errorf("a leased user may: %s", statement)
		}
	}
	if err := b.Revoke(ctx, []providers.Login{login})[login.Name]; err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if err := session.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+database+".orders").Scan(&n); err == nil {
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

package redis_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/redis"
	"broker/providers/redis/redistest"
)

func TestRefusals(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	server.MustDo(t, "ACL", "SETUSER", "weak", "on", ">weak-password", "+@all", "~*", "-acl|deluser")
	server.MustDo(t, "ACL", "SETUSER", "keyless", "on", ">keyless-password", "+@all", "~x")
	for _, test := range []struct {
		name      string
		overrides map[string]any
		kind      providers.Kind
		notSent   bool
		text      string
	}{
		{"wrong root password", map[string]any{"password": "canary-wrong"}, providers.KindRejected, true, "was refused"},
		{"no such root", map[string]any{"username": "nobody"}, providers.KindRejected, true, "was refused"},
		{"nothing listens", map[string]any{"port": closedPort}, providers.KindUnavailable, true, "refused"},
		{"metadata address", map[string]any{"host": "169.254.169.254"}, providers.KindRejected, true, "link-local"},
		{"no TLS there", map[string]any{"tls": "verify", "connect_timeout": "1s"}, providers.KindUnavailable, true, "TLS"},
		{"no ACL DELUSER", map[string]any{"username": "weak", "password": "weak-password"}, providers.KindRejected, false, "ACL SETUSER weak +acl|deluser"},
		{"no keys", map[string]any{"username": "keyless", "password": "keyless-password"}, providers.KindRejected, false, "~broker:create:* +watch"},
		{"saved elsewhere", map[string]any{"persist": "config"}, providers.KindRejected, false, "persist=aclfile"},
	} {
		_, err := open(t, server, test.overrides).Check(t.Context())
		wantError(t, test.name, err, test.kind, test.notSent, test.text)
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error holds the password", test.name)
		}
	}
}

func TestKindsOfServers(t *testing.T) {
	cluster := redistest.StartWith(t, redistest.Config{Settings: []string{"cluster-enabled yes"}})
	if _, err := cluster.NewRoot(t.Context(), redistest.RootName, "x"); err != nil {
		t.Fatal(err)
	}
	password, err := cluster.NewRoot(t.Context(), redistest.RootName, "x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t, cluster, map[string]any{"password": password}).Check(t.Context())
	wantError(t, "a node of a cluster", err, providers.KindUnsupported, true, "Redis Cluster")

	volatile := redistest.StartWith(t, redistest.Config{Persist: "none"})
	volatile.MustPrepare(t)
	_, err = open(t, volatile, map[string]any{"persist": "aclfile"}).Check(t.Context())
	wantError(t, "no aclfile", err, providers.KindRejected, false, "no aclfile")
	_, err = open(t, volatile, map[string]any{"persist": "config"}).Check(t.Context())
	wantError(t, "no configuration file", err, providers.KindRejected, false, "without a configuration file")
	k := open(t, volatile, nil)
	if _, err := k.Check(t.Context()); err != nil {
		t.Errorf("persist=none: %v", err)
	}
	login, made := k.create(nil)
	if err := k.logIn(made); err != nil {
		t.Error(err)
	}
	k.mustRevoke(login)
	_, err = providers.PlanRotation(t.Context(), k.Backend, nil)
	wantError(t, "rotating what is not saved", err, providers.KindUnsupported, true, "restart")
}

// At another server everything is absent, which means nothing; nor is anything made there.
func TestAnotherServerAtTheAddress(t *testing.T) {
	other := redistest.Start(t)
	p := newProxy(t, server.Address())
	k := open(t, server, map[string]any{"port": p.port})
	identity, err := k.Check(t.Context())
	if err != nil || !strings.HasPrefix(string(identity), "redis-01J0REDISTESTSERVER") {
		t.Fatalf("identity: %q, %v", identity, err)
	}
	k.Backend = k.with(providers.Env{ClusterID: clusterID, Identity: identity})
	login, _ := k.create(nil)

	// The other one has a root account of the same name and password.
	command := []any{}
	for _, word := range redistest.RootCommand(redistest.RootName, k.settings.String("password"), "ANOTHER") {
		command = append(command, word)
	}
	other.MustDo(t, command...)
	address := other.Address()
	p.target.Store(&address)
	k.Backend = k.with(providers.Env{ClusterID: clusterID, Identity: identity})
	refused := func(what string, err error) {
		t.Helper()
		wantError(t, what, err, providers.KindUnavailable, true, "another one than the one that is meant")
	}
	_, err = k.Create(t.Context(), k.grant(nil))
	refused("creating", err)
	refused("revoking", k.Revoke(t.Context(), []providers.Login{login})[login.Name])
	refused("confirming absence", k.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name])
	for _, err := range k.List(t.Context(), k.prefix) {
		refused("listing", err)
	}
	if found, err := k.Check(t.Context()); err != nil || found != "redis-ANOTHER" {
		t.Errorf("checking: %q, %v", found, err)
	}
	if n := other.MustDo(t, "DBSIZE"); n != int64(0) {
		t.Errorf("%v keys were left at the other server", n)
	}
	home := server.Address()
	p.target.Store(&home)
	k.Backend = k.with(providers.Env{ClusterID: clusterID, Identity: identity})
	k.mustRevoke(login)
}

// A primary that was demoted keeps its users, and they are removed there; a server that nothing names is refused.
func TestReplicas(t *testing.T) {
	primary, demoted := redistest.Start(t), redistest.Start(t)
	primary.MustPrepare(t)
	demoted.MustPrepare(t)
	k := open(t, demoted, nil)
	identity, err := k.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.Backend = k.with(providers.Env{ClusterID: clusterID, Identity: identity})
	login, made := k.create(nil)
	demoted.MustDo(t, "CONFIG", "SET", "masteruser", redistest.AdminName)
	demoted.MustDo(t, "CONFIG", "SET", "masterauth", primary.AdminPassword)
	demoted.MustDo(t, "REPLICAOF", redistest.Host, fmt.Sprint(primary.Port()))
	if err := k.logIn(made); err != nil {
		t.Errorf("the login is gone: %v", err)
	}
	_, err = k.Create(t.Context(), k.grant(nil))
	wantError(t, "creating at a replica", err, providers.KindUnavailable, false, "replica")
	_, err = k.Check(t.Context())
	wantError(t, "checking a replica", err, providers.KindUnavailable, true, "replica")
	k.mustRevoke(login)
	if err := k.logIn(made); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
	unnamed := k.with(providers.Env{ClusterID: clusterID})
	err = unnamed.Revoke(t.Context(), []providers.Login{login})[login.Name]
	wantError(t, "revoking at a replica that nothing names", err, providers.KindUnavailable, true, "replica")
}

// A server that restarts in the middle of an exchange still lets the broker in.
func TestRotationOutlivesARestart(t *testing.T) {
	own := redistest.Start(t)
	own.MustPrepare(t)
	k := open(t, own, nil)
	plan, err := providers.PlanRotation(t.Context(), k.Backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := providers.Rotate(t.Context(), k.Backend, plan)
	if err != nil {
		t.Fatal(err)
	}
	restart := func() {
		if err := own.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := own.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	renewed := open(t, own, changed)
	for what, b := range map[string]*kit{"old": open(t, own, nil), "new": renewed} {
		if _, err := b.Check(t.Context()); err != nil {
			t.Errorf("the %s password between rotating and retiring: %v", what, err)
		}
	}
	if err := providers.Retire(t.Context(), renewed.Backend, providers.Settings{"password": k.settings.String("password")}); err != nil {
		t.Fatal(err)
	}
	restart()
	_, err = open(t, own, nil).Check(t.Context())
	wantError(t, "the retired password", err, providers.KindRejected, true, "was refused")
	if _, err := open(t, own, changed).Check(t.Context()); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if err := providers.Retire(t.Context(), open(t, own, changed).Backend, changed); err != nil {
		t.Errorf("retiring the present password: %v", err)
	}
	if _, err := open(t, own, changed).Check(t.Context()); err != nil {
		t.Errorf("retiring the present password did harm: %v", err)
	}
}

func TestReadOnlyChangesNothing(t *testing.T) {
	k := open(t, server, nil)
	login, made := k.create(nil)
	frozen := k.with(providers.Env{ClusterID: clusterID, ReadOnly: true})
	before := fmt.Sprint(server.MustDo(t, "ACL", "LIST"))
	if _, err := frozen.Check(t.Context()); err != nil {
		t.Errorf("checking: %v", err)
	}
	if _, err := frozen.Create(t.Context(), k.grant(nil)); err == nil {
		t.Error("it creates")
	}
	if frozen.Revoke(t.Context(), []providers.Login{login})[login.Name] == nil {
		t.Error("it revokes")
	}
	if _, err := providers.CheckOptions(t.Context(), frozen, login.Options); err != nil {
		t.Errorf("checking options: %v", err)
	}
	if fmt.Sprint(server.MustDo(t, "ACL", "LIST")) != before || k.logIn(made) != nil {
		t.Error("something changed")
	}
	k.mustRevoke(login)
}

// The page's command is that by which the tests prepare their root account.
func TestReadmePreparesTheRootAccount(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	words := redistest.RootCommand("broker", "change-me", "cache1-7f3a9c")
	if text := strings.Join(strings.Fields(string(content)), " "); !strings.Contains(text, strings.Join(words, " ")) {
		t.Errorf("the page lacks the command %s", strings.Join(words, " "))
	}
}

func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		settings providers.Settings
		want     string
	}{
		{providers.Settings{"host": "cache1", "tls": "verify", "persist": "aclfile", "username": "broker"}, ""},
		{providers.Settings{"host": "cache1", "tls": "off"}, "in clear"},
		{providers.Settings{"host": "127.0.0.1", "tls": "off", "persist": "none"}, "restart"},
		{providers.Settings{"host": "127.0.0.1", "tls": "off", "username": "default"}, "default"},
	} {
		got := strings.Join(redis.Provider{}.Warnings(test.settings), "; ")
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%v: got %q, want %q", test.settings, got, test.want)
		}
	}
	if _, err := (redis.Provider{}).Open(providers.Settings{"host": "redis://u:canary@x", "username": "u", "password": "p"}, providers.Env{}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a URL as host: %v", err)
	}
}

func TestHostileNames(t *testing.T) {
	k := open(t, server, nil)
	for _, rest := range []string{"", " on nopass", "a\nuser evil on nopass ~* +@all", "a\x00", "a\u2028b", strings.Repeat("x", 200)} {
		login := k.grant(nil)
		login.Name = providers.LoginName(k.prefix + rest)
		if rest == "" {
			login.Name = redistest.AdminName
		}
		_, err := k.Create(t.Context(), login)
		wantError(t, fmt.Sprintf("creating %q", login.Name), err, providers.KindRejected, true, "refusing")
		err = k.Revoke(t.Context(), []providers.Login{login.Login})[login.Name]
		wantError(t, fmt.Sprintf("revoking %q", login.Name), err, providers.KindRejected, true, "refusing")
	}
}

package redis_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/redis/redistest"
)

// Whoever stands still between looking and making, for as long as it likes, makes nothing after the deadline: absence,
// once confirmed, stays so (rule 4 of the lease protocol).
func TestLateTransactionMakesNothing(t *testing.T) {
	p := newProxy(t, server.Address())
	slow, k := open(t, server, map[string]any{"port": p.port}), open(t, server, nil)
	k.prefix = slow.prefix
	k.Backend = k.with(providers.Env{ClusterID: clusterID})
	grant, done := p.heldCreate(slow)
	confirm := func() error {
		return k.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, grant.Deadline)[grant.Name]
	}
	if err := confirm(); time.Now().Before(grant.Deadline) {
		wantError(t, "confirming before the deadline", err, providers.KindTooEarly, false, "may still come")
	}
	eventually(t, "absence is confirmed", func() bool { return confirm() == nil })
	p.let <- struct{}{}
	wantError(t, "creating late", <-done, providers.KindRejected, false, "deadline has passed")
	if names := k.logins(); len(names) > 0 {
		t.Errorf("a late transaction made %v", names)
	}
}

// So it is when nobody asks for absence meanwhile, which makes the server look at the guard.
func TestDeadlineIsTheServersOwn(t *testing.T) {
	p := newProxy(t, server.Address())
	k := open(t, server, map[string]any{"port": p.port})
	grant, done := p.heldCreate(k)
	eventually(t, "the deadline is over", func() bool { return time.Now().After(grant.Deadline) })
	p.let <- struct{}{}
	wantError(t, "creating late", <-done, providers.KindRejected, false, "deadline has passed")
	if names := k.logins(); len(names) > 0 {
		t.Errorf("a late transaction made %v", names)
	}
}

// A name that comes into being between looking and making is not changed.
func TestOvertakenCreateChangesNothing(t *testing.T) {
	p := newProxy(t, server.Address())
	slow, k := open(t, server, map[string]any{"port": p.port}), open(t, server, nil)
	k.prefix = slow.prefix
	k.Backend = k.with(providers.Env{ClusterID: clusterID})
	p.hold.Store(true)
	grant := slow.grant(nil)
	done := make(chan error, 1)
	go func() { _, err := slow.Create(t.Context(), grant); done <- err }()
	<-p.held
	made, err := k.Create(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	p.let <- struct{}{}
	wantError(t, "the create that was overtaken", <-done, providers.KindRejected, false, "another create")
	if err := k.logIn(made); err != nil {
		t.Errorf("the login that was made first: %v", err)
	}
	k.mustRevoke(grant.Login)
}

func TestGuardsAreGone(t *testing.T) {
	k := open(t, server, nil)
	login, _ := k.create(nil)
	if n := server.MustDo(t, "EXISTS", "broker:create:"+string(login.Name)); n != int64(0) {
		t.Error("the guard of a create that is done is left")
	}
	k.mustRevoke(login)
}

// The password is nowhere at the server, and neither is the root account's.
func TestServerSeesNoPassword(t *testing.T) {
	k := open(t, server, nil)
	login, made := k.create(nil)
	defer k.mustRevoke(login)
	secrets := [][]byte{[]byte(made["password"].Reveal()), []byte(k.settings.String("password"))}
	err := filepath.WalkDir(server.Dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(content, secret) {
				t.Errorf("%s holds a password in clear", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if saved, _ := os.ReadFile(filepath.Join(server.Dir, "users.acl")); !bytes.Contains(saved, []byte(login.Name)) {
		t.Error("the login was answered and is not saved")
	}
}

// What is not saved is not answered as made, nor as removed.
func TestUsersThatCannotBeSaved(t *testing.T) {
	own := redistest.Start(t)
	own.MustPrepare(t)
	k := open(t, own, nil)
	login, _ := k.create(nil)
	chmod := func(mode os.FileMode) {
		if err := os.Chmod(own.Dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(0o500)
	grant := k.grant(nil)
	_, err := k.Create(t.Context(), grant)
	wantError(t, "creating", err, providers.KindRejected, false, "aclfile that it can write")
	wantError(t, "revoking", k.Revoke(t.Context(), []providers.Login{login})[login.Name], providers.KindRejected, false, "saving")
	chmod(0o700)
	k.mustRevoke(login, grant.Login)
	if err := own.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := own.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names := k.logins(); len(names) > 0 {
		t.Errorf("a restart brought back %v", names)
	}
}

// Whoever removed a user may not have come to saving that: that it is gone is no success before.
func TestRevokingWhatIsGoneSaves(t *testing.T) {
	own := redistest.Start(t)
	own.MustPrepare(t)
	k := open(t, own, nil)
	login, made := k.create(nil)
	own.MustDo(t, "ACL", "DELUSER", string(login.Name))
	k.mustRevoke(login)
	if err := own.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := own.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.logIn(made); err == nil {
		t.Error("a restart brought the login back")
	}
}

func TestMemoryIsFull(t *testing.T) {
	own := redistest.Start(t)
	own.MustPrepare(t)
	k := open(t, own, nil)
	login, _ := k.create(nil)
	own.MustDo(t, "CONFIG", "SET", "maxmemory", "1")
	_, err := k.Create(t.Context(), k.grant(nil))
	wantError(t, "creating", err, providers.KindUnavailable, false, "maxmemory")
	k.mustRevoke(login)
	if err := k.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name]; err != nil {
		t.Errorf("confirming absence: %v", err)
	}
}

func TestManyConcurrentCallersShareOneSession(t *testing.T) {
	k := open(t, server, map[string]any{"max_connections": 2})
	done := make(chan error, 16)
	for range cap(done) {
		grant := k.grant(nil)
		go func() {
			_, err := k.Create(t.Context(), grant)
			if err == nil {
				err = k.Revoke(t.Context(), []providers.Login{grant.Login})[grant.Name]
			}
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// eventually polls until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestOnlyMarkedUsersAreOurs(t *testing.T) {
	k := open(t, server, nil)
	login, _ := k.create(nil)
	stranger, imposter := k.prefix+"stranger", k.prefix+"imposter"
	server.MustDo(t, "ACL", "SETUSER", stranger, "on", "nopass")
	server.MustDo(t, "ACL", "SETUSER", imposter, "on", "resetchannels", "&broker:login:ANOTHERCLUSTER:1")
	ours := map[string]bool{}
	for found, err := range k.List(t.Context(), k.prefix) {
		if err != nil {
			t.Fatal(err)
		}
		ours[string(found.Name)] = found.Ours
	}
	if len(ours) != 3 || !ours[string(login.Name)] || ours[stranger] || ours[imposter] {
		t.Errorf("got %v", ours)
	}
	if text := server.MustDo(t, "ACL", "LIST"); !strings.Contains(strings.Join(strs(text), "\n"), "&broker:login:"+clusterID+":01J0REDISTESTLEASE00000000") {
		t.Error("cluster and lease are not recorded at the server")
	}
	k.mustRevoke(login, providers.Login{Name: providers.LoginName(stranger)}, providers.Login{Name: providers.LoginName(imposter)})
}

func strs(answer any) []string {
	var all []string
	for _, one := range answer.([]any) {
		all = append(all, one.(string))
	}
	return all
}

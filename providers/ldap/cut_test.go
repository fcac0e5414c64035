package ldap_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/ldap/ldaptest"
)

// cutter is a way to the directory that is cut at one message of the client: before it arrives, or when it has.
type cutter struct {
	port    int
	arrives bool

	mu   sync.Mutex
	left int // messages until the cut; negative: never
}

func newCutter(t *testing.T) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{port: listener.Addr().(*net.TCPAddr).Port, left: -1}
	var going sync.WaitGroup
	going.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			going.Go(func() { c.carry(client) })
		}
	})
	t.Cleanup(func() { listener.Close(); going.Wait() })
	return c
}

func (c *cutter) cutAfter(messages int, arrives bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.arrives = messages, arrives
}

// carry takes the client's messages one by one, since it waits for the answer to each, and answers as they come.
func (c *cutter) carry(client net.Conn) {
	defer client.Close()
	directory, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", server.Ports[0]))
	if err != nil {
		return
	}
	var lost atomic.Bool
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		defer client.Close()
		answer := make([]byte, 64<<10)
		for {
			n, err := directory.Read(answer)
			if err != nil || lost.Load() {
				return
			}
			if _, err := client.Write(answer[:n]); err != nil {
				return
			}
		}
	}()
	defer func() { directory.Close(); <-answered }()
	message := make([]byte, 64<<10)
	for {
		n, err := client.Read(message)
		if err != nil {
			return
		}
		cut, arrives := c.next()
		lost.Store(cut)
		if cut && !arrives {
			return
		}
		if _, err := directory.Write(message[:n]); err != nil {
			return
		}
		if cut {
			<-answered // it was carried out
			return
		}
	}
}

// next says whether the next message is the one at which the way is cut.
func (c *cutter) next() (cut, arrives bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cut = c.left == 0
	if c.left >= 0 {
		c.left--
	}
	return cut, c.arrives
}

// The connection is lost at each message of a create, and then of a revoke. Whatever that leaves, the ledger's revoke
// and confirmation remove it.
func TestConnectionIsCut(t *testing.T) {
	way := newCutter(t)
	for _, arrives := range []bool{false, true} {
		for cut := 0; ; cut++ {
			k := open(t, map[string]any{"port": way.port, "tls": "off", "max_connections": 1})
			grant := k.grant(map[string]any{"groups": []any{ldaptest.ReadGroup}, "creation_ldif": "dn: {{dn}}\nobjectClass: inetOrgPerson\ncn: x\nsn: x\n\ndn: " + ldaptest.PosixGroup + "\nchangetype: modify\nadd: memberUid\nmemberUid: {{name}}\n"})
			way.cutAfter(cut, arrives)
			_, err := k.Create(t.Context(), grant)
			way.cutAfter(-1, false)
			if err == nil {
				if cut < 5 { // bind, add, look, two groups, password
					t.Errorf("a create is %d messages", cut)
				}
				k.mustRevoke(grant.Login)
				break
			}
			var e *providers.Error
			if !errors.As(err, &e) || e.Kind != providers.KindUnknown && e.Kind != providers.KindUnavailable || e.NotSent != (cut == 0) {
				t.Errorf("cut at message %d of a create, arrived %t: got %#v", cut, arrives, err)
			}
			k.mustRevoke(grant.Login)
			if err := k.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, time.Now().Add(-time.Second))[grant.Name]; err != nil {
				t.Errorf("confirming absence: %v", err)
			}
			k.wantNothingOf(grant.Name)
		}
		for cut := 0; ; cut++ {
			k := open(t, map[string]any{"port": way.port, "tls": "off", "max_connections": 1})
			login, _ := k.create(nil)
			b := k.again(providers.Env{})
			way.cutAfter(cut, arrives)
			err, answered := b.Revoke(t.Context(), []providers.Login{login})[login.Name]
			way.cutAfter(-1, false)
			if !answered {
				t.Fatal("a login has no answer")
			}
			k.mustRevoke(login)
			k.wantNothingOf(login.Name)
			if err == nil {
				if cut < 4 { // bind, lock, group, search, delete
					t.Errorf("a revoke is %d messages", cut)
				}
				break
			}
		}
	}
}

// wantNothingOf wants a login to have left nothing.
func (k *kit) wantNothingOf(name providers.LoginName) {
	k.t.Helper()
	if k.read(k.dn(name), "cn") != nil {
		k.t.Errorf("the entry of %s is there", name)
	}
	if slices.Contains(k.read(ldaptest.ReadGroup, "member"), k.dn(name)) || slices.Contains(k.read(ldaptest.PosixGroup, "memberUid"), string(name)) {
		k.t.Errorf("%s is in a group", name)
	}
}

// The connection is lost at each message of an exchange of the root credential. The plan is carried on with the old
// settings, and never are both credentials refused.
func TestConnectionIsCutWhileRotating(t *testing.T) {
	way := newCutter(t)
	root := anotherRoot(t)
	at := func(password any, overrides map[string]any) *kit {
		root := maps.Clone(root)
		root["bind_password"] = password
		maps.Copy(root, overrides)
		return open(t, root)
	}
	through := map[string]any{"port": way.port, "tls": "off", "max_connections": 1}
	good := func(password any) bool { _, err := at(password, nil).Check(t.Context()); return err == nil }
	for _, arrives := range []bool{false, true} {
		for cut := 0; ; cut++ {
			old := root["bind_password"]
			plan, err := providers.PlanRotation(t.Context(), at(old, nil).Backend, nil)
			if err != nil {
				t.Fatal(err)
			}
			way.cutAfter(cut, arrives)
			_, first := providers.Rotate(t.Context(), at(old, through).Backend, plan)
			way.cutAfter(-1, false)
			if !good(old) && !good(plan["bind_password"]) {
				t.Fatalf("cut at message %d, arrived %t: neither credential is good", cut, arrives)
			}
			if _, err := providers.Rotate(t.Context(), at(old, nil).Backend, plan); err != nil {
				t.Fatalf("cut at message %d, arrived %t: carrying on: %v", cut, arrives, err)
			}
			fresh := at(plan["bind_password"], nil)
			way.cutAfter(cut, arrives)
			second := providers.Retire(t.Context(), at(plan["bind_password"], through).Backend, providers.Settings{"bind_password": old})
			way.cutAfter(-1, false)
			if err := providers.Retire(t.Context(), fresh.Backend, providers.Settings{"bind_password": old}); err != nil {
				t.Fatalf("cut at message %d, arrived %t: retiring again: %v", cut, arrives, err)
			}
			if good(old) || !good(plan["bind_password"]) {
				t.Fatalf("cut at message %d, arrived %t: the old credential is still good, or the new one is not", cut, arrives)
			}
			root["bind_password"] = plan["bind_password"]
			if first == nil && second == nil {
				break
			}
		}
	}
}

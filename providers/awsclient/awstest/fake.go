package awstest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Account is the number of the fake's account, and of moto's.
const Account = "123456789012"

// signatureTTL is how old or new a signature may be.
const signatureTTL = 5 * time.Minute

// Fault is what is done with a call instead of answering it. The zero Fault answers.
type Fault struct {
	Delay time.Duration // before it is carried out
	Code  string        // the error that it is refused with, such as "Throttling"
	Text  string        // its message
	Lost  bool          // it is carried out, and the connection ends without an answer
}

// Behaviour is how a fake differs from a system that is always ready. The zero Behaviour does not.
type Behaviour struct {
	PageSize  int           // of every list; 0 means 100
	Unknown   time.Duration // how long a new user is unknown to everything but the making of another of its name
	KeyDelay  time.Duration // how long a new key is refused
	Clock     time.Duration // how far the fake's clock is ahead
	AccountID string        // empty means Account

	// Before is asked before each call that is authenticated. May be nil.
	Before func(action string, form url.Values) Fault
}

// Fake is IAM, STS and one object of S3 in a small way, written from their API references: it checks signatures and
// their age, evaluates policies with the commonest conditions, pages what it lists, and refuses to delete a user that
// has something. Its state outlives Stop and Start. Its methods may be called from several goroutines.
type Fake struct {
	Root Key // the key of an administrator

	mu        sync.Mutex
	users     map[string]*user
	groups    map[string]*group
	policies  map[string]string // managed ones by ARN
	roles     map[string]*role
	sessions  map[string]*session // by access key id
	behaviour Behaviour
	calls     map[string]int
	held      map[string]time.Time // calls that are on their way until then
	protected string               // user that nobody but the administrator may delete
	server    *http.Server
	address   string
	gate      sync.RWMutex // held while the fake is paused
}

// Key is an access key.
type Key struct{ ID, Secret, Token string }

// NewFake returns a fake that does not serve yet, with an administrator, the group readers and the policies that come
// with AWS.
func NewFake() *Fake {
	f := &Fake{users: map[string]*user{}, groups: map[string]*group{}, policies: map[string]string{}, roles: map[string]*role{}, sessions: map[string]*session{}, calls: map[string]int{}, held: map[string]time.Time{}}
	f.Root = Key{ID: "AKIAADMINISTRATOR000", Secret: rand.Text()}
	admin := newUser("administrator", "/")
	admin.inline["all"] = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	admin.keys[f.Root.ID] = &accessKey{Key: f.Root, active: true}
	f.users[admin.name] = admin
	f.policies["arn:aws:iam::aws:policy/ReadOnlyAccess"] = ReadPolicy
	f.policies["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"] = ReadPolicy
	f.groups[Group] = &group{path: "/", inline: map[string]string{"read": ReadPolicy}, attached: map[string]bool{}}
	return f
}

// StartFake serves a fake for one test.
func StartFake(t testing.TB) *Fake {
	t.Helper()
	f := NewFake()
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// Start serves, at the same address as before.
func (f *Fake) Start(context.Context) error {
	address := f.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serving the fake of AWS: %w", err)
	}
	f.address = listener.Addr().String()
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func(server *http.Server) {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // there is nothing a test could do with it
		}
	}(f.server)
	return nil
}

// Stop ends every connection.
func (f *Fake) Stop() error { return f.server.Close() }

// Pause lets every call wait until Resume, and then be carried out, whether or not somebody still waits for it.
func (f *Fake) Pause() error { f.gate.Lock(); return nil }

// Resume goes on after Pause.
func (f *Fake) Resume() error { f.gate.Unlock(); return nil }

// URL returns where it serves.
func (f *Fake) URL() string { return "http://" + f.address }

// Behave changes how the fake behaves from the next call on.
func (f *Fake) Behave(change func(*Behaviour)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.behaviour)
}

// Before has every call from now on ask first; nil ends that.
func (f *Fake) Before(ask func(action string, form url.Values) Fault) {
	f.Behave(func(b *Behaviour) { b.Before = ask })
}

// Calls returns how often an action was called.
func (f *Fake) Calls(action string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[action]
}

// Connection returns the settings of a connection that signs with a key.
func (f *Fake) Connection(key Key) map[string]any {
	return connection(f.URL(), key)
}

func connection(endpoint string, key Key) map[string]any {
	settings := map[string]any{"endpoint": endpoint, "region": "us-east-1", "access_key_id": key.ID, "secret_access_key": key.Secret}
	if key.Token != "" {
		settings["session_token"] = key.Token
	}
	return settings
}

// NewRoot makes a user with the policies of a provider's page, and its key.
func (f *Fake) NewRoot(name string, policies ...string) Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := newUser(name, "/")
	for i, policy := range policies {
		u.inline[fmt.Sprintf("broker%d", i)] = policy
	}
	key := newKey("AKIA")
	u.keys[key.ID] = &accessKey{Key: key, active: true}
	f.users[name] = u
	return key
}

// PutPolicy makes or changes a managed policy and returns its ARN.
func (f *Fake) PutPolicy(name, document string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	arn := "arn:aws:iam::" + f.account() + ":policy/" + name
	f.policies[arn] = document
	return arn
}

// PutRole makes a role that who is trusted may assume, with an inline policy, and returns its ARN.
func (f *Fake) PutRole(name, trusted, externalID, policy string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roles[name] = &role{name: name, id: "AROA" + rand.Text()[:17], trusted: trusted, externalID: externalID, longest: time.Hour, inline: map[string]string{"given": policy}}
	return f.roleARN(name)
}

// PutGroup makes a group.
func (f *Fake) PutGroup(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups[name] = &group{path: "/", inline: map[string]string{}, attached: map[string]bool{}}
}

// Logins returns the users whose names begin with prefix, in order.
func (f *Fake) Logins(_ context.Context, prefix string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name := range f.users {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// RolePolicies returns the names of a role's inline policies, in order.
func (f *Fake) RolePolicies(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return sortedKeys(f.roles[name].inline)
}

// LogIn reads an object of S3 with the values of a lease.
func (f *Fake) LogIn(ctx context.Context, values map[string]string) error {
	return readObject(ctx, f.URL(), Key{values["access_key_id"], values["secret_access_key"], values["session_token"]})
}

// Hold lets the next call of an action wait on its way until an instant is over by a second, before it is looked at.
func (f *Fake) Hold(action string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[action] = until.Add(time.Second)
}

// Protect denies everybody but the administrator to delete a user; "" ends that.
func (f *Fake) Protect(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.protected = name
}

func (f *Fake) now() time.Time { return time.Now().Add(f.behaviour.Clock) }

func (f *Fake) account() string {
	if f.behaviour.AccountID != "" {
		return f.behaviour.AccountID
	}
	return Account
}

func newKey(kind string) Key {
	return Key{ID: kind + rand.Text()[:16], Secret: rand.Text() + rand.Text()[:14]}
}

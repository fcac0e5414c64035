package providertest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"broker/providers"
)

// FakeGrace is how long after its lease's end a login of the fake expires by itself.
const FakeGrace = time.Minute

// FakeLogin is one login as the fake's ledger holds it.
type FakeLogin struct {
	System     string // the system it lives at; "main" unless the connection said otherwise
	Name       providers.LoginName
	Password   string
	LeaseID    string
	ClusterID  string
	Groups     []string
	ExpiresAt  time.Time // the lease's end as last created or renewed
	CanLogin   bool      // false once Revoke stopped log-ins
	MadeAt     time.Time // by the fake's clock
	MadeInTerm uint64    // the term of the Backend that made it
}

// FakeCall is one call of a Backend method that reached the fake.
type FakeCall struct {
	Op     Op
	System string
	Term   uint64                // of the Backend
	Names  []providers.LoginName // sorted; empty for Check and List
	At     time.Time             // by the fake's clock
	Fault  Fault                 // what went wrong with it, FaultNone when nothing did
}

// Fake is an outside system in memory. All Backends opened by its Provider share its ledger. It is
// safe for concurrent use.
type Fake struct {
	mu      sync.Mutex
	now     func() time.Time
	roots   []string // root passwords that are accepted; none: every one is
	logins  map[key]*FakeLogin
	open    map[key]chan struct{} // creates under way; closed when they end
	stuck   map[key]string
	blocked map[providers.LoginName]bool // of the stuck ones
	calls   []FakeCall
	removed []FakeLogin
	faults  map[Op][]plannedFault
	late    []func()

	keepsRoots  bool // see KeepRoots
	retirements int  // of root passwords: each ends the sessions from before
	undead      bool // removed logins are accepted
}

type key struct {
	system string
	name   providers.LoginName
}

// NewFake returns an empty fake that runs on the real clock and accepts every root password.
func NewFake() *Fake {
	return &Fake{
		now:     time.Now,
		logins:  map[key]*FakeLogin{},
		open:    map[key]chan struct{}{},
		stuck:   map[key]string{},
		blocked: map[providers.LoginName]bool{},
		faults:  map[Op][]plannedFault{},
	}
}

// SetClock makes the fake read the time from now: it is the outside system's own clock.
func (f *Fake) SetClock(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
}

// SetRootPassword makes the fake refuse Backends whose connection has another password; empty: it accepts every one.
func (f *Fake) SetRootPassword(password string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roots = nil
	if password != "" {
		f.roots = []string{password}
	}
}

// Logins returns every login that exists now at any system, sorted by system and name.
func (f *Fake) Logins() []FakeLogin {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]FakeLogin, 0, len(f.logins))
	for _, login := range f.logins {
		all = append(all, *login)
	}
	slices.SortFunc(all, func(a, b FakeLogin) int {
		return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// Login returns the login of that name, wherever it lives, and whether it exists.
func (f *Fake) Login(name providers.LoginName) (FakeLogin, bool) {
	for _, login := range f.Logins() {
		if login.Name == name {
			return login, true
		}
	}
	return FakeLogin{}, false
}

// Removed returns every login that was removed, in the order of removal.
func (f *Fake) Removed() []FakeLogin {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.removed)
}

// Calls returns all calls so far in the order in which they arrived; given operations, those only.
func (f *Fake) Calls(ops ...Op) []FakeCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	var calls []FakeCall
	for _, call := range f.calls {
		if len(ops) == 0 || slices.Contains(ops, call.Op) {
			calls = append(calls, call)
		}
	}
	return calls
}

// AcceptRemoved makes the fake accept the log-ins of removed logins too, as a broken outside system would, or no more.
func (f *Fake) AcceptRemoved(accept bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.undead = accept
}

// LogIn tries to log in as a user would. It returns an error when the login is absent, stopped or
// expired by itself, or the password is wrong.
func (f *Fake) LogIn(username, password string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, login := range f.logins {
		if string(k.name) != username || login.Password != password {
			continue
		}
		if !login.CanLogin {
			return errors.New("log-ins are stopped")
		}
		if f.now().After(login.ExpiresAt.Add(FakeGrace)) {
			return errors.New("the login has expired")
		}
		return nil
	}
	if f.undead && slices.ContainsFunc(f.removed, func(l FakeLogin) bool { return string(l.Name) == username && l.Password == password }) {
		return nil
	}
	return errors.New("no such login or wrong password")
}

// Add puts a login there that no Backend made, as an orphan or a restored backup would be.
func (f *Fake) Add(login FakeLogin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	login.System = cmp.Or(login.System, fakeMain)
	f.logins[key{login.System, login.Name}] = &login
}

// Remove takes a login away behind the broker's back.
func (f *Fake) Remove(name providers.LoginName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.logins {
		if k.name == name {
			delete(f.logins, k)
		}
	}
}

// Stick makes every Revoke of the login stop its log-ins and then fail for the reason given, until
// Unstick.
func (f *Fake) Stick(name providers.LoginName, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck[key{"", name}] = reason
}

// Block is Stick for what goes away by itself, such as a lock: the login is blocked, not refused.
func (f *Fake) Block(name providers.LoginName, reason string) {
	f.Stick(name, reason)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked[name] = true
}

// Unstick ends what Stick or Block began.
func (f *Fake) Unstick(name providers.LoginName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.blocked, name)
	delete(f.stuck, key{"", name})
}

// OpenCreate begins a create at the main system and leaves it open, as a transaction without its
// COMMIT. Nobody sees the login and ConfirmAbsent waits, until finish is called once: with true the
// login exists unless the grant's deadline has passed, with false it never did.
func (f *Fake) OpenCreate(grant providers.Grant) (finish func(commit bool)) {
	k := key{fakeMain, grant.Name}
	f.mu.Lock()
	defer f.mu.Unlock()
	done := make(chan struct{})
	f.open[k] = done
	return func(commit bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.open, k)
		close(done)
		if commit && !f.now().After(grant.Deadline) {
			f.logins[k] = &FakeLogin{System: k.system, Name: k.name, LeaseID: grant.LeaseID,
				ExpiresAt: grant.ExpiresAt, CanLogin: true, MadeAt: f.now()}
		}
	}
}

// createLocked makes a login, as an outside system with transactions would.
func (f *Fake) createLocked(b *fakeBackend, grant providers.Grant) (providers.Values, error) {
	k := key{b.system, grant.Name}
	if now := f.now(); now.After(grant.Deadline) {
		return nil, providers.Errorf(providers.KindRejected, "creating login %q: its deadline has passed", grant.Name)
	}
	if _, exists := f.logins[k]; exists {
		return nil, providers.Errorf(providers.KindExists, "creating login %q: it exists", grant.Name)
	}
	for _, group := range grant.Options.List("member_of") {
		if group == fakeBrokenGroup {
			return nil, providers.Errorf(providers.KindRejected, "creating login %q: no group %q", grant.Name, group)
		}
	}
	password, err := providers.Password(b.random, grant.Options)
	if err != nil {
		return nil, providers.Errorf(providers.KindUnavailable, "creating login %q: %w", grant.Name, err)
	}
	f.logins[k] = &FakeLogin{
		System: k.system, Name: k.name, Password: password.Reveal(), LeaseID: grant.LeaseID, ClusterID: b.clusterID,
		Groups: grant.Options.List("member_of"), ExpiresAt: grant.ExpiresAt, CanLogin: true,
		MadeAt: f.now(), MadeInTerm: b.term,
	}
	url := fmt.Sprintf("fake://%s:%s@%s", grant.Name, password.Reveal(), b.system)
	return providers.Values{
		"username": providers.NewSecret(string(grant.Name)),
		"password": password,
		"host":     providers.NewSecret(b.system),
		"url":      providers.NewSecret(url),
	}, nil
}

func (f *Fake) renewLocked(b *fakeBackend, login providers.Login) error {
	existing, exists := f.logins[key{b.system, login.Name}]
	if !exists {
		return providers.Errorf(providers.KindRejected, "renewing login %q: it does not exist", login.Name)
	}
	if !existing.CanLogin {
		return providers.Errorf(providers.KindRejected, "renewing login %q: it is being revoked", login.Name)
	}
	if login.ExpiresAt.After(existing.ExpiresAt) {
		existing.ExpiresAt = login.ExpiresAt
	}
	return nil
}

func (f *Fake) revokeLocked(b *fakeBackend, login providers.Login) error {
	k := key{b.system, login.Name}
	existing, exists := f.logins[k]
	if !exists {
		return nil
	}
	existing.CanLogin = false
	if reason, stuck := f.stuck[key{"", login.Name}]; stuck {
		err := providers.Errorf(providers.KindRejected, "removing login %q: %s", login.Name, reason)
		if f.blocked[login.Name] {
			err.Kind, err.Blocked = providers.KindUnavailable, true
		}
		return err
	}
	f.removed = append(f.removed, *existing)
	delete(f.logins, k)
	return nil
}

func (f *Fake) confirmAbsentLocked(b *fakeBackend, login providers.Login, notBefore time.Time) error {
	if !f.now().After(notBefore) {
		return providers.Errorf(providers.KindTooEarly, "confirming that login %q is absent: a create may still come", login.Name)
	}
	if _, exists := f.logins[key{b.system, login.Name}]; exists {
		return providers.Errorf(providers.KindExists, "confirming that login %q is absent: it exists", login.Name)
	}
	return nil
}

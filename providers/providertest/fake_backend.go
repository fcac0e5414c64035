package providertest

import (
	"context"
	"crypto/rand"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"broker/providers"
)

const (
	fakeMain        = "main"
	fakeBrokenGroup = "no_such_group"
)

// Provider returns a provider named "fake" whose Backends all work on this fake.
func (f *Fake) Provider() providers.Provider { return fakeProvider{f, "fake", false} }

// Fixed returns a provider named "fake-fixed" that is like the other one, and cannot renew: the end of its logins is fixed
// as they are made.
func (f *Fake) Fixed() providers.Provider { return fakeProvider{f, "fake-fixed", true} }

type fakeProvider struct {
	fake  *Fake
	name  string
	fixed bool
}

func (p fakeProvider) Describe() providers.Description {
	return providers.Description{
		Name: p.name, Title: "Fake", Summary: "An outside system in memory, for tests.",
		Connection: []providers.Field{
			{Name: "system", Type: providers.TypeString, Default: fakeMain, Locates: true, Help: "Which of the fake's systems."},
			{Name: "password", Type: providers.TypeString, Secret: true, Help: "The root password."},
		},
		Options: append([]providers.Field{
			{Name: "member_of", Type: providers.TypeList, Help: "Groups of the login; " + fakeBrokenGroup + " does not exist."},
			providers.LoginNameOption(),
		}, providers.PasswordOptions(128)...),
		Outputs: []providers.Output{
			{Name: "username", Help: "The login's name."},
			{Name: "password", Help: "Its password.", Secret: true},
			{Name: "host", Help: "The system."},
			{Name: "url", Help: "All in one.", Secret: true},
		},
		NativeExpiry: true, Fixed: p.fixed, MaxLoginName: 63, Rotates: true,
	}
}

func (p fakeProvider) ValidateOptions(providers.Options) []providers.FieldError { return nil }

func (p fakeProvider) Open(settings providers.Settings, env providers.Env) (providers.Backend, error) {
	b := &fakeBackend{fake: p.fake, fixed: p.fixed, system: settings.String("system"), password: settings.String("password"),
		term: env.Term, clusterID: env.ClusterID, prefix: env.Prefix, random: rand.Reader}
	if b.system == "" {
		b.system = fakeMain
	}
	b.ctx, b.close = context.WithCancel(context.Background())
	return b, nil
}

type fakeBackend struct {
	fake      *Fake
	fixed     bool
	system    string
	password  string
	term      uint64
	clusterID string
	prefix    string
	random    io.Reader
	ctx       context.Context // done when the Backend is closed
	close     context.CancelFunc
}

// call runs one operation under the caller's context, ended early by Close.
func (b *fakeBackend) call(ctx context.Context, op Op, names []providers.LoginName, do func(keep func(i int) bool)) *providers.Error {
	refused := &providers.Error{NotSent: true}
	if i := slices.IndexFunc(names, func(name providers.LoginName) bool { return !strings.HasPrefix(string(name), b.prefix) }); i >= 0 {
		refused.Kind, refused.Err = providers.KindRejected, errFault("login name "+string(names[i])+" does not begin with "+b.prefix)
		return refused
	}
	if b.ctx.Err() != nil {
		refused.Kind, refused.Err = providers.KindUnavailable, errFault("the backend is closed")
		return refused
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	return b.fake.arrive(ctx, FakeCall{Op: op, System: b.system, Term: b.term, Names: names}, b.password, do)
}

func (b *fakeBackend) Check(ctx context.Context) (providers.SystemID, error) {
	if err := b.call(ctx, OpCheck, nil, func(func(int) bool) {}); err != nil {
		return "", err
	}
	return providers.SystemID("fake-" + b.system), nil
}

func (b *fakeBackend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	// A late call is done after Create has returned; the mutex keeps it from the answer.
	var mu sync.Mutex
	var values providers.Values
	var failure error
	err := b.call(ctx, OpCreate, []providers.LoginName{grant.Name}, func(func(int) bool) {
		b.fake.mu.Lock()
		defer b.fake.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		values, failure = b.fake.createLocked(b, grant)
	})
	mu.Lock()
	defer mu.Unlock()
	if failure != nil {
		return nil, failure
	}
	if err != nil {
		return nil, err
	}
	return values, nil
}

// each runs a batch operation login by login, in the order of names.
func (b *fakeBackend) each(ctx context.Context, op Op, logins []providers.Login, one func(providers.Login) error) map[providers.LoginName]error {
	logins = slices.Clone(logins)
	slices.SortFunc(logins, func(a, b providers.Login) int { return strings.Compare(string(a.Name), string(b.Name)) })
	names := make([]providers.LoginName, len(logins))
	for i, login := range logins {
		names[i] = login.Name
	}
	var mu sync.Mutex
	answers := make(map[providers.LoginName]error, len(logins))
	err := b.call(ctx, op, names, func(keep func(int) bool) {
		for i, login := range logins {
			if keep(i) {
				failure := one(login)
				mu.Lock()
				answers[login.Name] = failure
				mu.Unlock()
			}
		}
	})
	mu.Lock()
	defer mu.Unlock()
	if err != nil {
		failed := make(map[providers.LoginName]error, len(names))
		for _, name := range names {
			failed[name] = err
		}
		return failed
	}
	return answers
}

func (b *fakeBackend) Renew(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return b.each(ctx, OpRenew, logins, func(login providers.Login) error {
		if b.fixed {
			return providers.Errorf(providers.KindUnsupported, "renewing login %q: its end is fixed", login.Name)
		}
		b.fake.mu.Lock()
		defer b.fake.mu.Unlock()
		return b.fake.renewLocked(b, login)
	})
}

func (b *fakeBackend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return b.each(ctx, OpRevoke, logins, func(login providers.Login) error {
		b.fake.mu.Lock()
		defer b.fake.mu.Unlock()
		return b.fake.revokeLocked(b, login)
	})
}

func (b *fakeBackend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	return b.each(ctx, OpConfirmAbsent, logins, func(login providers.Login) error {
		b.fake.mu.Lock()
		defer b.fake.mu.Unlock()
		for {
			open, under := b.fake.open[key{b.system, login.Name}]
			if !under {
				return b.fake.confirmAbsentLocked(b, login, notBefore)
			}
			b.fake.mu.Unlock()
			select {
			case <-open:
			case <-ctx.Done():
			}
			b.fake.mu.Lock()
			if ctx.Err() != nil {
				return &providers.Error{Kind: providers.KindUnknown, Err: ctx.Err()}
			}
		}
	})
}

func (b *fakeBackend) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		var list []providers.Found
		err := b.call(ctx, OpList, nil, func(func(int) bool) {
			for _, login := range b.fake.Logins() {
				if login.System == b.system && strings.HasPrefix(string(login.Name), prefix) {
					list = append(list, providers.Found{Name: login.Name, Ours: login.ClusterID == b.clusterID})
				}
			}
		})
		if err != nil {
			yield(providers.Found{}, err)
			return
		}
		for _, found := range list {
			if !yield(found, nil) {
				return
			}
		}
	}
}

func (b *fakeBackend) Close() error {
	b.close()
	return nil
}

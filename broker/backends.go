package broker

import (
	"encoding/json"
	"fmt"
	"sync"

	"broker/fsm"
	"broker/providers"
)

// backends holds the open backend of each outside system in this period.
type backends struct {
	p *period

	closing sync.WaitGroup

	mu      sync.Mutex
	open    map[system]*backend
	leaving map[system]int           // backends that were replaced and are not closed yet
	held    map[system]chan struct{} // see hold; closed when calls may go on
}

// backend is an open backend and how many use it. It is closed when it was replaced or the period is
// over, and nobody uses it any more.
type backend struct {
	providers.Backend
	system  system
	version uint64 // of the System record it was opened from
	users   int
	retired bool
}

func newBackends(p *period) *backends {
	return &backends{p: p, open: map[system]*backend{}, leaving: map[system]int{}, held: map[system]chan struct{}{}}
}

// use returns the backend of a system with its newest settings, as soon as nobody holds it. release must be called.
func (bs *backends) use(s system) (opened providers.Backend, release func(), err error) {
	if err := bs.pass(s); err != nil {
		return nil, nil, err
	}
	record, found, err := recall(bs.p.Broker, s, func(v *fsm.View) (fsm.System, bool) { return v.System(s.connection, s.number) })
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, fmt.Errorf("connection %q has no system %d", s.connection, s.number)
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.open[s]
	if b == nil || b.version < record.Version {
		opened, err := bs.p.openBackend(record)
		if err != nil {
			return nil, nil, err
		}
		if b != nil {
			bs.retire(b)
		}
		b = &backend{Backend: opened, system: s, version: record.Version}
		bs.open[s] = b
	}
	b.users++
	// The backend itself, not what is embedded here: it may have optional abilities.
	return b.Backend, func() { bs.release(b) }, nil
}

func (bs *backends) release(b *backend) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b.users--
	if b.retired && b.users == 0 {
		bs.shut(b)
	}
}

func (bs *backends) retire(b *backend) {
	b.retired = true
	bs.leaving[b.system]++
	if b.users == 0 {
		bs.shut(b)
	}
}

// shut closes a backend beside everything else: it may take its time.
func (bs *backends) shut(b *backend) {
	bs.closing.Go(func() {
		if err := b.Close(); err != nil {
			bs.p.log.Warn("closing a backend failed", "error", err)
		}
		bs.mu.Lock()
		defer bs.mu.Unlock()
		if bs.leaving[b.system]--; bs.leaving[b.system] == 0 {
			delete(bs.leaving, b.system)
		}
	})
}

// close closes all backends and waits for it. Nobody uses them any more.
func (bs *backends) close() {
	bs.mu.Lock()
	for _, b := range bs.open {
		bs.retire(b)
	}
	bs.mu.Unlock()
	bs.closing.Wait()
}

// forget closes the backends of systems that are gone, with the root credentials they hold.
func (bs *backends) forget() error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	return bs.p.view(func(v *fsm.View) {
		for s, b := range bs.open {
			if _, there := v.System(s.connection, s.number); !there {
				delete(bs.open, s)
				bs.retire(b)
			}
		}
	})
}

// openBackend opens a backend for a system record. Its errors hold no secret.
func (p *period) openBackend(record fsm.System) (providers.Backend, error) {
	settings, err := p.settings(record)
	if err != nil {
		return nil, err
	}
	return p.openWith(record.Provider, record.Connection, settings, providers.SystemID(record.Identity))
}

// openWith opens a backend that refuses to work at any other system than the one named, if one is.
func (p *period) openWith(provider string, name fsm.ConnectionName, settings providers.Settings, identity providers.SystemID) (providers.Backend, error) {
	kind, ok := p.Providers.Get(provider)
	if !ok {
		return nil, fmt.Errorf("this node has no provider %q", provider)
	}
	backend, err := kind.Open(settings, providers.Env{
		ClusterID: p.clusterID, Term: p.term, Dialer: p.Dialer, Identity: identity,
		Prefix: providers.Prefix(p.Prefix, providers.Cluster4(p.clusterID)), ReadOnly: p.restored != nil,
	})
	secrets := kind.Describe().Secrets(settings)
	if err != nil {
		return nil, fmt.Errorf("opening provider %q: %s", provider, providers.Redact(err.Error(), secrets...))
	}
	return p.watchCalls(&freezing{Backend: providers.Redacting(backend, secrets...), p: p}, provider, name), nil
}

// settings returns all settings of a system, the sealed ones opened.
func (b *Broker) settings(record fsm.System) (providers.Settings, error) {
	secret, err := b.Keyring.Open(record.Sealed, fsm.ConnectionSeal(record.Connection))
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, data := range [][]byte{record.Settings, secret} {
		if err := json.Unmarshal(data, &all); err != nil {
			return nil, fmt.Errorf("reading the settings of connection %q: they are damaged", record.Connection)
		}
	}
	kind, ok := b.Providers.Get(record.Provider)
	if !ok {
		return nil, fmt.Errorf("this node has no provider %q", record.Provider)
	}
	settings, problems := kind.Describe().ValidateConnection(all)
	if len(problems) > 0 {
		return nil, fmt.Errorf("the settings of connection %q do not fit this version: %w", record.Connection, problems[0])
	}
	return settings, nil
}

// encodeFields writes validated values as JSON that validates to the same values again.
func encodeFields(values map[string]any) ([]byte, error) {
	data, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encoding settings: %w", err)
	}
	return data, nil
}

// loginOf names a lease's login with the options it was made with. An orphan's are not always known.
func (p *period) loginOf(l fsm.Lease) (providers.Login, error) {
	login := providers.Login{Name: providers.LoginName(l.Username), ExpiresAt: l.ExpiresAt.Time()}
	var problem error
	options, found, err := recall(p.Broker, loginKey{systemOf(l), l.Secret, l.SecretVersion}, func(v *fsm.View) (options providers.Options, ok bool) {
		record, ok := v.System(l.Connection, l.System)
		if !ok || l.Secret == "" {
			return nil, ok
		}
		secret, ok := v.SecretVersion(l.Secret, l.SecretVersion)
		if ok {
			options, problem = p.options(record.Provider, secret.Options)
		}
		return options, ok && problem == nil
	})
	switch {
	case err != nil:
		return login, err
	case problem != nil:
		return login, problem
	case !found:
		return login, fmt.Errorf("version %d of secret %q is not there any more: a bug", l.SecretVersion, l.Secret)
	}
	login.Options = options
	return login, nil
}

// loginKey names the options of logins among what is remembered of the configuration.
type loginKey struct {
	system  system
	secret  fsm.SecretName
	version uint64
}

func (b *Broker) options(provider string, data []byte) (providers.Options, error) {
	kind, ok := b.Providers.Get(provider)
	if !ok {
		return nil, fmt.Errorf("this node has no provider %q", provider)
	}
	raw := map[string]any{}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("reading options: %w", err)
	}
	options, problems := kind.Describe().ValidateOptions(raw)
	if len(problems) > 0 {
		return nil, fmt.Errorf("options do not fit this version: %w", problems[0])
	}
	return options, nil
}

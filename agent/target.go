package agent

import (
	"context"
	"errors"
)

// target is what is written: a file or a Secret of Kubernetes.
type target struct {
	id      string
	spec    string // a digest of how it is made
	sources []*source
	reloads []*Reload
	file    *File   // one of the two
	object  *Object // is nil
	api     *kubernetes

	found *opaque // the object as it was when it was looked at

	good    bool  // it is as it should be
	wanted  bool  // a lease was asked for, for its values
	failure error // why it could not be written
}

func newTarget(id string, how any, sources []*source, reloads ...*Reload) *target {
	t := &target{id: id, sources: sources}
	text, _ := asJSON(how, "") // a struct of texts
	t.spec = digest(text)
	for _, one := range reloads {
		if one != nil {
			t.reloads = append(t.reloads, one)
		}
	}
	return t
}

// targetsOf returns what the configuration has be written.
func targetsOf(c *Config, sources map[string]*source, api *kubernetes) (targets []*target) {
	file := func(f *File, reloads ...*Reload) {
		var of []*source
		for _, name := range f.Secrets {
			of = append(of, sources[name])
		}
		how := *f
		how.Reload = nil // whom to tell changes nothing in the file
		t := newTarget(f.Path, how, of, append(reloads, f.Reload)...)
		t.file = f
		targets = append(targets, t)
	}
	for _, one := range c.Secrets {
		for _, f := range one.Files {
			file(f, one.Reload)
		}
		if one.Kubernetes != nil {
			t := newTarget(one.Kubernetes.id(), one.Kubernetes, []*source{sources[one.As]}, one.Reload)
			t.object, t.api = one.Kubernetes, api
			targets = append(targets, t)
		}
	}
	for _, f := range c.Files {
		file(f)
	}
	return targets
}

// present returns the digest of what is there.
func (t *target) present(ctx context.Context) (string, error) {
	if t.file != nil {
		return t.file.present()
	}
	var err error
	if t.found, err = t.api.readSecret(ctx, t.object); err != nil || t.found == nil {
		return "", err
	}
	return digestOf(t.found.Data), nil
}

// make returns how to write the values in place of what present found, and the digest of what is there then.
func (t *target) make(g given, leases []string) (write func(context.Context) error, content string, err error) {
	if t.file != nil {
		text, err := t.file.render(g)
		return func(context.Context) error { return t.file.write(text) }, digest(text), err
	}
	data, err := t.object.render(g)
	secret := t.sources[0].config.Secret
	return func(ctx context.Context) error {
		return t.api.writeSecret(ctx, t.object, t.found, secret, leases, data)
	}, digestOf(data), err
}

// remove takes away what present found.
func (t *target) remove(ctx context.Context) error {
	if t.file != nil {
		return t.file.remove()
	}
	return t.api.removeSecret(ctx, t.object, t.found)
}

func (t *target) required() bool {
	for _, one := range t.sources {
		if !one.config.required() {
			return false
		}
	}
	return true
}

// problem says why it is not as it should be.
func (t *target) problem() error {
	if t.good {
		return nil
	}
	for _, one := range t.sources {
		if err := one.problem(); err != nil {
			return err
		}
	}
	if t.failure != nil {
		return t.failure
	}
	return errors.New(t.id + " is not written yet")
}

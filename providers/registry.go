package providers

import (
	"fmt"
	"maps"
	"slices"
)

// Registry holds the providers that a daemon knows, by name. It does not change after NewRegistry
// and is safe for concurrent use.
type Registry struct {
	byName map[string]Provider
}

// NewRegistry returns a Registry of the given providers. It refuses two providers of one name and a
// description that contradicts itself.
func NewRegistry(ps ...Provider) (*Registry, error) {
	r := &Registry{byName: make(map[string]Provider, len(ps))}
	for _, p := range ps {
		d := p.Describe()
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("registering provider %q: %w", d.Name, err)
		}
		if _, taken := r.byName[d.Name]; taken {
			return nil, fmt.Errorf("registering provider %q: another provider has that name", d.Name)
		}
		r.byName[d.Name] = p
	}
	return r, nil
}

// Get returns the provider of that name and whether there is one.
func (r *Registry) Get(name string) (Provider, bool) {
	p, ok := r.byName[name]
	return p, ok
}

// Names returns the names of all providers, sorted.
func (r *Registry) Names() []string {
	return slices.Sorted(maps.Keys(r.byName))
}

// Descriptions returns the descriptions of all providers, sorted by name.
func (r *Registry) Descriptions() []Description {
	descriptions := make([]Description, 0, len(r.byName))
	for _, name := range r.Names() {
		descriptions = append(descriptions, r.byName[name].Describe())
	}
	return descriptions
}

package api

import (
	"context"
	"net/http"
	"slices"

	"broker/access"
	"broker/api/types"
	"broker/providers"
)

// ProviderList asks for all descriptions.
type ProviderList struct{ Read }

func (ProviderList) resource() Resource { return Resource{Kind: access.KindProvider} }

// ProviderGet asks for one description.
type ProviderGet struct {
	Read
	Name string `path:"name"`
}

func (in ProviderGet) resource() Resource { return Resource{Kind: access.KindProvider, Name: in.Name} }

func (r *routes) providers() {
	s := r.server
	register(r, route{id: "provider-list", action: "provider:list", method: http.MethodGet, path: "/providers", summary: "List the providers' descriptions"}, s.listProviders)
	register(r, route{id: "provider-get", action: "provider:get", method: http.MethodGet, path: "/providers/{name}", summary: "Get a provider's description"}, s.getProvider)
}

func (s *Server) listProviders(context.Context, *call, *ProviderList) (*body[types.Page[types.Provider]], error) {
	out := body[types.Page[types.Provider]]{types.Page[types.Provider]{Items: []types.Provider{}}}
	for _, name := range s.config.Providers.Names() {
		if one, ok := s.config.Providers.Get(name); ok {
			out.Body.Items = append(out.Body.Items, providerOf(one))
		}
	}
	return &out, nil
}

func (s *Server) getProvider(_ context.Context, _ *call, in *ProviderGet) (*body[types.Provider], error) {
	found, ok := s.config.Providers.Get(in.Name)
	if !ok {
		return nil, notFound("provider", in.Name)
	}
	return &body[types.Provider]{providerOf(found)}, nil
}

// secretFields returns the secret fields of a provider's connections by name, and whether each is
// required.
func (s *Server) secretFields(provider string) map[string]bool {
	out := map[string]bool{}
	found, ok := s.config.Providers.Get(provider)
	if !ok {
		return out // of a newer node than this one
	}
	for _, field := range found.Describe().Connection {
		if field.Secret {
			out[field.Name] = field.Required
		}
	}
	return out
}

func requiredNames(fields map[string]bool) []string {
	out := []string{}
	for name, required := range fields {
		if required {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func providerOf(p providers.Provider) types.Provider {
	d := p.Describe()
	_, previews := p.(providers.Previewer)
	out := types.Provider{
		Name:         d.Name,
		Title:        d.Title,
		Summary:      d.Summary,
		Connection:   fieldsOf(d.Connection),
		Options:      fieldsOf(d.Options),
		Parameters:   fieldsOf(d.Parameters),
		Outputs:      []types.ProviderOutput{},
		NativeExpiry: d.NativeExpiry,
		Fixed:        d.Fixed,
		Rotates:      d.Rotates,
		Previews:     previews,
		MaxLoginName: d.MaxLoginName,
	}
	for _, one := range d.Outputs {
		out.Outputs = append(out.Outputs, types.ProviderOutput{Name: one.Name, Help: one.Help, Secret: one.Secret})
	}
	return out
}

func fieldsOf(fields []providers.Field) []types.Field {
	out := []types.Field{}
	for _, f := range fields {
		out = append(out, types.Field{
			Name:     f.Name,
			Type:     types.FieldType(f.Type),
			Help:     f.Help,
			Required: f.Required,
			Secret:   f.Secret,
			Default:  f.Default,
			Example:  f.Example,
			Enum:     f.Enum,
			Min:      f.Min,
			Max:      f.Max,
			Locates:  f.Locates,

			Derived:    f.Derived,
			Made:       f.Made,
			Statements: f.Statements,
		})
	}
	return out
}

package providers

import "context"

// Warner is an optional ability of a Provider: to say what is allowed but unwise in settings that
// have passed [Description.ValidateConnection], such as a connection without verified TLS. The
// warnings are sentences for people and hold no secret value.
type Warner interface {
	Warnings(settings Settings) []string
}

// OptionsChecker is an optional ability of a Backend: to look at the outside system whether a
// secret with these options could be leased there. It changes nothing. The error says that looking
// failed; the field errors, what is wrong with the options.
type OptionsChecker interface {
	CheckOptions(ctx context.Context, options Options) ([]FieldError, error)
}

// Warnings returns what the provider warns of in the settings, nothing when it cannot.
func Warnings(p Provider, settings Settings) []string {
	if w, ok := p.(Warner); ok {
		return w.Warnings(settings)
	}
	return nil
}

// CheckOptions asks the backend whether a secret with these options could be leased; a backend
// without that ability finds nothing wrong.
func CheckOptions(ctx context.Context, b Backend, options Options) ([]FieldError, error) {
	if c, ok := b.(OptionsChecker); ok {
		return c.CheckOptions(ctx, options)
	}
	return nil, nil
}

package providertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"
	"time"

	"broker/providers"
)

// Authority is a provider named "authority" whose credentials are checked without asking anybody, as certificates are: it
// makes its key itself, takes a public key with a request, and publishes what ended before its time. Nothing it makes
// opens anything.
type Authority struct{}

// Describe returns its description.
func (Authority) Describe() providers.Description {
	return providers.Description{
		Name: "authority", Title: "Authority", Summary: "A certificate authority that certifies nothing, for tests.",
		Connection: []providers.Field{
			{Name: "key", Type: providers.TypeString, Secret: true, Help: "Its key; made when left out."},
			{Name: "title", Type: providers.TypeString, Made: true, Help: "What it is called; made when left out."},
			{Name: "public", Type: providers.TypeString, Derived: true, Locates: true, Help: "Its public key."},
		},
		Parameters: []providers.Field{
			{Name: "public_key", Type: providers.TypeText, Help: "The key to certify; made when left out."},
		},
		Outputs:      []providers.Output{{Name: "username", Help: "The login's name."}, {Name: "certificate", Help: "Names both."}},
		NativeExpiry: true, Fixed: true, MaxLoginName: 63,
	}
}

// ValidateOptions finds nothing wrong: there are no options.
func (Authority) ValidateOptions(providers.Options) []providers.FieldError { return nil }

// CheckParameters refuses the key "bad".
func (Authority) CheckParameters(parameters providers.Parameters) []providers.FieldError {
	if parameters.String("public_key") == "bad" {
		return []providers.FieldError{{Field: "public_key", Message: "is no key"}}
	}
	return nil
}

// Complete makes the key, and the public key from it.
func (Authority) Complete(settings providers.Settings) (providers.Settings, error) {
	completed := providers.Settings{"key": settings.String("key"), "title": settings.String("title")}
	if completed["title"] == "" {
		completed["title"] = "authority " + rand.Text()
	}
	if completed["key"] == "" {
		completed["key"] = "key-" + rand.Text()
	}
	sum := sha256.Sum256([]byte(completed.String("key")))
	completed["public"] = "public-" + hex.EncodeToString(sum[:8])
	if given := settings.String("public"); given != "" && given != completed["public"] {
		return nil, providers.FieldError{Field: "public", Message: "is not the key's"}
	}
	return completed, nil
}

// Documents are its public keys, and what ended before its time with the keys that it was made by.
func (Authority) Documents() []providers.Document {
	return []providers.Document{
		{Name: "public.txt", ContentType: "text/plain", Help: "The public keys."},
		{Name: "revoked.txt", ContentType: "text/plain", Help: "What was revoked."},
	}
}

// Publish writes a line for each key, or for each login that ended.
func (Authority) Publish(document string, systems []providers.PublishedSystem, _ time.Time) ([]byte, error) {
	var text bytes.Buffer
	for _, system := range systems {
		if document == "public.txt" && system.Settings != nil {
			fmt.Fprintln(&text, system.Settings.String("public"))
		}
		for _, login := range system.Ended {
			if document == "revoked.txt" {
				fmt.Fprintln(&text, system.Settings.String("public"), login.Name)
			}
		}
	}
	return text.Bytes(), nil
}

// Open returns a Backend.
func (Authority) Open(settings providers.Settings, env providers.Env) (providers.Backend, error) {
	return authority{settings.String("public"), env.Prefix}, nil
}

type authority struct{ public, prefix string }

func (a authority) Check(context.Context) (providers.SystemID, error) {
	return providers.SystemID(a.public), nil
}

func (a authority) Create(_ context.Context, grant providers.Grant) (providers.Values, error) {
	if !strings.HasPrefix(string(grant.Name), a.prefix) {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("login %q is not ours", grant.Name)}
	}
	certified := fmt.Sprintf("%s for %s of %s: %s by %s", grant.Name, grant.For.Account, grant.For.App, grant.Parameters.String("public_key"), a.public)
	return providers.Values{"username": providers.NewSecret(string(grant.Name)), "certificate": providers.NewSecret(certified)}, nil
}

func (authority) Renew(_ context.Context, logins []providers.Login) map[providers.LoginName]error {
	answers := map[providers.LoginName]error{}
	for _, login := range logins {
		answers[login.Name] = providers.Errorf(providers.KindUnsupported, "what was made has its end in it")
	}
	return answers
}

func (authority) Revoke(_ context.Context, logins []providers.Login) map[providers.LoginName]error {
	answers := map[providers.LoginName]error{}
	for _, login := range logins {
		answers[login.Name] = nil
	}
	return answers
}

func (a authority) ConfirmAbsent(ctx context.Context, logins []providers.Login, _ time.Time) map[providers.LoginName]error {
	return a.Revoke(ctx, logins)
}

func (authority) List(context.Context, string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		yield(providers.Found{}, providers.Errorf(providers.KindUnsupported, "listing: nothing is kept"))
	}
}

func (authority) Close() error { return nil }

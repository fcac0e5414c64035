package x509

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"broker/providers"
)

// Open returns a Backend that signs with the connection's authority.
func (Provider) Open(settings providers.Settings, env providers.Env) (providers.Backend, error) {
	authority, err := readAuthority(settings)
	if err != nil {
		return nil, err
	}
	return &backend{
		Detached: providers.NewDetached(env.Prefix), authority: authority,
		allowed: settings.List(fieldAllowedNames), listURL: settings.String(fieldListURL),
	}, nil
}

type backend struct {
	*providers.Detached
	authority *authority
	allowed   []string // patterns of names; empty: all
	listURL   string
}

// Check names the authority by its key. One whose own time is over signs nothing that is good.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	if err := b.Ready(ctx); err != nil {
		return "", err
	}
	for _, one := range b.authority.chain {
		if now := time.Now(); now.After(one.NotAfter) || now.Before(one.NotBefore) {
			return "", rejected("the certificate of the authority %s is good from %s to %s only", one.Subject, one.NotBefore.UTC().Format(time.RFC3339), one.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return b.authority.fingerprint(), nil
}

// CheckOptions refuses names that the connection does not allow.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	var problems []providers.FieldError
	for _, kind := range names {
		for _, template := range kind.templates(options) {
			// What placeholders stand for is not known yet.
			if !strings.Contains(template, "{{") && !allows(b.allowed, template, template) {
				problems = append(problems, providers.FieldError{Field: kind.option, Message: fmt.Sprintf("%q is not among the connection's allowed_names", template)})
			}
		}
	}
	return problems, b.Ready(ctx)
}

// Create signs a certificate for the key of the request that the grant brings, or for one that it makes.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := b.Admit(ctx, grant); err != nil {
		return nil, err
	}
	private, public, err := b.key(ctx, grant)
	if err != nil {
		return nil, rejected("making a key for login %q: %w", string(grant.Name), err)
	}
	certificate, err := b.certify(grant, public)
	if err != nil {
		return nil, rejected("making the certificate of login %q: %w", string(grant.Name), err)
	}
	if err := b.Admit(ctx, grant); err != nil { // making an RSA key takes its time
		return nil, err
	}
	text := encode("CERTIFICATE", certificate.Raw)
	plain := providers.NewSecret
	return providers.Values{
		"username":    plain(string(grant.Name)),
		"certificate": plain(text),
		"private_key": private,
		"ca_chain":    plain(b.authority.pem()),
		"bundle":      plain(private.Reveal() + text + b.authority.pem()),
		"serial":      plain(certificate.SerialNumber.Text(16)),
		"valid_until": plain(certificate.NotAfter.Format(time.RFC3339)),
	}, nil
}

// key returns the key to certify, with its private key when it is made here.
func (b *backend) key(ctx context.Context, grant providers.Grant) (private providers.Secret, public crypto.PublicKey, err error) {
	if text := grant.Parameters.String(parameterRequest); text != "" {
		public, err = readRequest(text)
		return private, public, err
	}
	key, err := newKey(grant.Options.String(optionKeyType))
	if err != nil {
		return private, nil, err
	}
	text, err := encodeKey(key)
	if err != nil {
		return private, nil, err
	}
	private = providers.NewSecret(text)
	providers.Conceal(ctx, private)
	return private, key.Public(), nil
}

// LogIn examines a lease's certificate and key as a server would that trusts the authority. Whether the certificate was
// revoked, servers know from the list.
func (b *backend) LogIn(ctx context.Context, values providers.Values) error {
	if err := b.Ready(ctx); err != nil {
		return err
	}
	if err := b.examine(values["certificate"].Reveal(), values["private_key"].Reveal()); err != nil {
		return rejected("examining the certificate: %w", err)
	}
	return nil
}

func (b *backend) examine(certificateText, privateText string) error {
	block, _ := pem.Decode([]byte(certificateText))
	if block == nil {
		return errors.New("there is none")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return errors.New("it cannot be read")
	}
	roots := x509.NewCertPool()
	roots.AddCert(b.authority.certificate)
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return err
	}
	if privateText == "" {
		return nil // the requester's own
	}
	key, err := readKey(privateText)
	if err != nil || !same(key.Public(), certificate.PublicKey) {
		return errors.New("the private key is not the one that it is for")
	}
	return nil
}

// rejected is an error of a call that changed nothing anywhere.
func rejected(format string, args ...any) error {
	return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf(format, args...)}
}

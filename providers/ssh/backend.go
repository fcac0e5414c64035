package ssh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"broker/providers"
)

// Open returns a Backend that signs with the connection's authority.
func (Provider) Open(settings providers.Settings, env providers.Env) (providers.Backend, error) {
	authority, err := readAuthority(settings.String(fieldPrivateKey))
	if err != nil {
		return nil, fmt.Errorf("%s %w", fieldPrivateKey, err)
	}
	if line(authority.PublicKey()) != settings.String(fieldPublicKey) {
		return nil, fmt.Errorf("%s is not the public key of %s", fieldPublicKey, fieldPrivateKey)
	}
	return &backend{Detached: providers.NewDetached(env.Prefix), authority: authority, allowed: settings.List(fieldAllowedPrincipals)}, nil
}

type backend struct {
	*providers.Detached
	authority ssh.Signer
	allowed   []string // principals; empty: all
}

// Check names the authority by its fingerprint.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	if err := b.Ready(ctx); err != nil {
		return "", err
	}
	return providers.SystemID(ssh.FingerprintSHA256(b.authority.PublicKey())), nil
}

// CheckOptions refuses principals that the connection does not allow.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	var problems []providers.FieldError
	for _, template := range options.List(optionPrincipals) {
		// What placeholders stand for is not known yet.
		if !strings.Contains(template, "{{") && !b.allows(template, template) {
			problems = append(problems, providers.FieldError{Field: optionPrincipals, Message: fmt.Sprintf("%q is not among the connection's allowed_principals", template)})
		}
	}
	return problems, b.Ready(ctx)
}

func (b *backend) allows(template, principal string) bool {
	return len(b.allowed) == 0 || slices.Contains(b.allowed, template) || slices.Contains(b.allowed, principal)
}

// principals are those of a login, if the connection allows them.
func (b *backend) principals(grant providers.Grant) ([]string, error) {
	for _, template := range grant.Options.List(optionPrincipals) {
		if principal := grant.For.Middle(template); !b.allows(template, principal) {
			return nil, fmt.Errorf("principal %q is not among the connection's allowed_principals", principal)
		}
	}
	return principals(grant.Options, grant.For)
}

// Create signs the key that the grant brings, or one of a pair that it makes.
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
	plain := providers.NewSecret
	return providers.Values{
		"username":      plain(string(grant.Name)),
		"private_key":   private,
		"public_key":    plain(line(public)),
		"certificate":   plain(line(certificate) + " " + string(grant.Name)),
		"principals":    plain(strings.Join(certificate.ValidPrincipals, ",")),
		"ca_public_key": plain(line(b.authority.PublicKey())),
		"valid_until":   plain(validUntil(grant.Login).Format(time.RFC3339)),
	}, nil
}

// key returns the key to certify, with its private key when it is made here.
func (b *backend) key(ctx context.Context, grant providers.Grant) (private providers.Secret, public ssh.PublicKey, err error) {
	if text := grant.Parameters.String(parameterPublicKey); text != "" {
		public, err = readPublicKey(text)
		return private, public, err
	}
	key, err := newKey(grant.Options.String(optionKeyType))
	if err != nil {
		return private, nil, err
	}
	text, err := encodeKey(key, string(grant.Name))
	if err != nil {
		return private, nil, err
	}
	private = providers.NewSecret(text)
	providers.Conceal(ctx, private)
	public, err = ssh.NewPublicKey(key.Public())
	return private, public, err
}

// LogIn examines a lease's certificate and key as a host would that trusts the authority. Whether the certificate was
// revoked, hosts know from the list.
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
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(certificateText))
	certificate, ok := key.(*ssh.Certificate)
	if err != nil || !ok || len(certificate.ValidPrincipals) == 0 {
		return errors.New("there is none, or it is for everybody")
	}
	checker := ssh.CertChecker{
		SupportedCriticalOptions: []string{"force-command", "source-address"},
		IsUserAuthority:          func(auth ssh.PublicKey) bool { return same(auth, b.authority.PublicKey()) },
	}
	if !checker.IsUserAuthority(certificate.SignatureKey) {
		return errors.New("it is of another authority")
	}
	if err := checker.CheckCert(certificate.ValidPrincipals[0], certificate); err != nil {
		return err
	}
	if privateText == "" {
		return nil // the requester's own
	}
	signer, err := ssh.ParsePrivateKey([]byte(privateText))
	if err != nil || !same(signer.PublicKey(), certificate.Key) {
		return errors.New("the private key is not the one that it is for")
	}
	return nil
}

// rejected is an error of a call that changed nothing anywhere.
func rejected(format string, args ...any) error {
	return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf(format, args...)}
}

package ssh

import (
	"maps"

	"broker/providers"
)

// Complete makes the authority's key when there is none, and its public key.
func (Provider) Complete(settings providers.Settings) (providers.Settings, error) {
	completed := maps.Clone(settings)
	text, given := settings.String(fieldPrivateKey), settings.String(fieldPublicKey)
	if text == "" {
		if given != "" {
			return nil, providers.FieldError{Field: fieldPrivateKey, Message: "is required with ca_public_key; without both the broker makes a key"}
		}
		key, err := newKey(settings.String(fieldKeyType))
		if err != nil {
			return nil, err
		}
		if text, err = encodeKey(key, ""); err != nil {
			return nil, err
		}
		completed[fieldPrivateKey] = text
	}
	signer, err := readAuthority(text)
	if err != nil {
		return nil, providers.FieldError{Field: fieldPrivateKey, Message: err.Error()}
	}
	if given != "" {
		public, err := readPublicKey(given)
		switch {
		case err != nil:
			return nil, providers.FieldError{Field: fieldPublicKey, Message: err.Error()}
		case !same(public, signer.PublicKey()):
			return nil, providers.FieldError{Field: fieldPublicKey, Message: "is not the public key of ca_private_key: leave it out, it follows from that"}
		}
	}
	completed[fieldPublicKey] = line(signer.PublicKey())
	return completed, nil
}

// Warnings tells when secrets may name any principal.
func (Provider) Warnings(settings providers.Settings) []string {
	if len(settings.List(fieldAllowedPrincipals)) > 0 {
		return nil
	}
	return []string{"whoever may write secrets on this connection can have certificates for every user of every host that trusts it: name some in allowed_principals"}
}

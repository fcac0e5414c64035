package x509

import (
	"maps"
	"time"

	"broker/providers"
)

// Complete makes the authority when there is none.
func (Provider) Complete(settings providers.Settings) (providers.Settings, error) {
	completed := maps.Clone(settings)
	if settings.String(fieldCertificate) == "" && settings.String(fieldPrivateKey) == "" {
		key, err := newKey(settings.String(fieldKeyType))
		if err != nil {
			return nil, err
		}
		if completed[fieldPrivateKey], err = encodeKey(key); err != nil {
			return nil, err
		}
		if completed[fieldCertificate], err = newAuthority(settings.String(fieldCommonName), key, time.Now()); err != nil {
			return nil, err
		}
	}
	for field, other := range map[string]string{fieldCertificate: fieldPrivateKey, fieldPrivateKey: fieldCertificate} {
		if completed.String(field) == "" {
			return nil, providers.FieldError{Field: field, Message: "is required with " + other + "; without both the broker makes an authority"}
		}
	}
	if ttl := settings.Duration(fieldListTTL); ttl < time.Hour {
		return nil, providers.FieldError{Field: fieldListTTL, Message: "want at least 1h: lists are made anew every ten minutes, and fetched when servers get to it"}
	}
	if text := settings.String(fieldListURL); text != "" {
		if wrong := unfitURI(text); wrong != "" {
			return nil, providers.FieldError{Field: fieldListURL, Message: wrong}
		}
	}
	if wrong := unfitPatterns(settings.List(fieldAllowedNames)); wrong != "" {
		return nil, providers.FieldError{Field: fieldAllowedNames, Message: wrong}
	}
	_, err := readAuthority(completed)
	return completed, err
}

// Warnings tells when secrets may name anybody, and when the authority's own end is near.
func (Provider) Warnings(settings providers.Settings) []string {
	var warnings []string
	if len(settings.List(fieldAllowedNames)) == 0 {
		warnings = append(warnings, "whoever may write secrets on this connection can have certificates of every name: name some in allowed_names")
	}
	if chain, err := readChain(settings.String(fieldCertificate)); err == nil {
		for _, one := range chain {
			if left := time.Until(one.NotAfter); left < 30*24*time.Hour {
				warnings = append(warnings, "the authority's certificate "+one.Subject.String()+" ends at "+one.NotAfter.UTC().Format(time.RFC3339)+": no certificate is good for longer")
			}
		}
	}
	return warnings
}

package webhook

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"broker/providers"
)

// settings are a connection's fields, read once.
type settings struct {
	url         *url.URL
	secret      providers.Secret
	tls         *tls.Config // nil: http on loopback
	timeout     time.Duration
	maxRequests int
}

func readSettings(s providers.Settings) (settings, error) {
	read := settings{
		secret:      providers.NewSecret(s.String(fieldSecret)),
		timeout:     s.Duration(fieldTimeout),
		maxRequests: int(s.Integer(fieldMaxRequests)),
	}
	if read.timeout <= 0 {
		read.timeout = defaultTimeout
	}
	if read.maxRequests <= 0 {
		read.maxRequests = defaultMaxRequests
	}
	if len(read.secret.Reveal()) < minSecret {
		return settings{}, fmt.Errorf("%s is shorter than %d characters", fieldSecret, minSecret)
	}
	var err error
	if read.url, err = readURL(s.String(fieldURL)); err != nil {
		return settings{}, err
	}
	if read.url.Scheme == "https" {
		if read.tls, err = providers.TLSConfig(s, read.url.Hostname()); err != nil {
			return settings{}, err
		}
	}
	return read, nil
}

// readURL never repeats the text: a password may be in it.
func readURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("url is none: want one such as https://logins.internal/broker")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("url is scheme, host, port and path only, without an account, a query or a fragment")
	case u.Scheme == "http" && !providers.IsLoopback(u.Hostname()):
		return nil, errors.New("url is http off loopback, where whoever is on the way reads every credential: use https")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("url is neither https nor http")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// Warnings says which protection the settings give up.
func (Provider) Warnings(s providers.Settings) []string {
	u, err := readURL(s.String(fieldURL))
	if err != nil || u.Scheme != "https" {
		return nil
	}
	return providers.TLSWarnings(s, u.Hostname())
}

// ValidateOptions checks that the service's options are a JSON object.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	if _, err := serviceOptions(options); err != nil {
		return []providers.FieldError{{Field: optionServiceOptions, Message: err.Error()}}
	}
	return nil
}

// serviceOptions returns the secret's options for the service in compact form, nil when it has none.
func serviceOptions(options providers.Options) (json.RawMessage, error) {
	text := strings.TrimSpace(options.String(optionServiceOptions))
	if text == "" {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		return nil, errors.New(`want a JSON object such as {"role": "reader"}`)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

package providers

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Redact replaces every occurrence of the secrets in text by "[redacted]", also where they are
// escaped as in a URL, SQL, JSON or base64.
func Redact(text string, secrets ...Secret) string {
	var needles []string
	for _, s := range secrets {
		needles = append(needles, spellings(s.Reveal())...)
	}
	// The longest first: a spelling may hold another one.
	slices.SortFunc(needles, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for _, needle := range needles {
		text = strings.ReplaceAll(text, needle, redacted)
	}
	return text
}

// spellings returns the ways in which a value may stand in an error text.
func spellings(value string) []string {
	if value == "" {
		return nil
	}
	all := []string{
		value,
		url.QueryEscape(value), url.PathEscape(value), url.UserPassword("", value).String()[1:],
		strings.ReplaceAll(value, "'", "''"), strings.ReplaceAll(value, "'", `\'`),
		base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
	}
	if quoted, err := json.Marshal(value); err == nil {
		all = append(all, string(quoted[1:len(quoted)-1]))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// longestText is how long the text and the hint of an error may be, in bytes. A server's own can list
// every object that is in the way, and those of a whole batch are recorded in one command of the log.
const longestText = 1024

// cutOff ends a text that was cut.
const cutOff = "… (cut)"

// cut shortens a text that is too long, between two characters. The text is redacted already: half a
// secret would not be recognised.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD") // an outside system speaks as it likes
	if len(text) <= longestText {
		return text
	}
	end := longestText - len(cutOff)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cutOff
}

// Redacting wraps a Backend so that every error it returns is an *Error whose text and hint hold
// none of the given secrets, nor any that the call itself concealed (see [Conceal]), and are at most
// 1 KiB each. The cause's chain is cut, since it may carry them in fields; only whether a context ended
// or an address was refused can still be asked with errors.Is. This is the one place where provider
// errors are redacted; nobody hands out a Backend that is not wrapped.
func Redacting(b Backend, secrets ...Secret) Backend {
	return &redacting{backend: b, secrets: secrets}
}

type redacting struct {
	backend Backend
	secrets []Secret
}

// concealed collects what one call made secret while it ran.
type concealed struct {
	mu      sync.Mutex
	secrets []Secret
}

type concealedKey struct{}

// Conceal has the values removed from the errors of the Backend call that ctx belongs to. A Backend
// calls it for each secret it makes, before its first use.
func Conceal(ctx context.Context, secrets ...Secret) {
	if c, ok := ctx.Value(concealedKey{}).(*concealed); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.secrets = append(c.secrets, secrets...)
	}
}

func (r *redacting) begin(ctx context.Context) (context.Context, *concealed) {
	c := &concealed{}
	return context.WithValue(ctx, concealedKey{}, c), c
}

func (r *redacting) clean(err error, c *concealed) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	secrets := slices.Concat(r.secrets, c.secrets)
	c.mu.Unlock()
	clean := &Error{}
	var classified *Error
	if errors.As(err, &classified) {
		clean.Kind, clean.NotSent, clean.Busy, clean.Blocked = classified.Kind, classified.NotSent, classified.Busy, classified.Blocked
		clean.Hint = cut(Redact(classified.Hint, secrets...))
	}
	text := redactedError{text: cut(Redact(err.Error(), secrets...))}
	for _, sentinel := range []error{context.Canceled, context.DeadlineExceeded, ErrAddressRefused} {
		if errors.Is(err, sentinel) {
			text.is = append(text.is, sentinel)
		}
	}
	clean.Err = text
	return clean
}

func (r *redacting) cleanAll(answers map[LoginName]error, c *concealed) map[LoginName]error {
	for name, err := range answers {
		answers[name] = r.clean(err, c)
	}
	return answers
}

// redactedError is a text and the few sentinels that its lost chain held.
type redactedError struct {
	text string
	is   []error
}

func (e redactedError) Error() string   { return e.text }
func (e redactedError) Unwrap() []error { return e.is }

func (r *redacting) Check(ctx context.Context) (SystemID, error) {
	ctx, c := r.begin(ctx)
	id, err := r.backend.Check(ctx)
	return id, r.clean(err, c)
}

func (r *redacting) CheckOptions(ctx context.Context, options Options) ([]FieldError, error) {
	ctx, c := r.begin(ctx)
	fields, err := CheckOptions(ctx, r.backend, options)
	for i := range fields {
		fields[i].Message = Redact(fields[i].Message, r.secrets...)
	}
	return fields, r.clean(err, c)
}

// places are outputs that say where and as whom one logs in: without them an error would say nothing.
var places = []string{"username", "host", "port", "database"}

// shortestSecret is how long values are at least that are concealed without anybody having said that they are secret.
// Shorter ones are user names, ports and the like, and would hide words.
const shortestSecret = 8

func (r *redacting) LogIn(ctx context.Context, values Values) error {
	ctx, c := r.begin(ctx)
	for name, value := range values {
		if !slices.Contains(places, name) && len(value.Reveal()) >= shortestSecret {
			Conceal(ctx, value)
		}
	}
	return r.clean(LogIn(ctx, r.backend, values), c)
}

func (r *redacting) PlanRotation(ctx context.Context, abandoned Settings) (Settings, error) {
	ctx, c := r.begin(ctx)
	concealSettings(ctx, abandoned)
	plan, err := PlanRotation(ctx, r.backend, abandoned)
	return plan, r.clean(err, c)
}

func (r *redacting) Rotate(ctx context.Context, plan Settings) (Settings, error) {
	ctx, c := r.begin(ctx)
	concealSettings(ctx, plan)
	changed, err := Rotate(ctx, r.backend, plan)
	return changed, r.clean(err, c)
}

func (r *redacting) Retire(ctx context.Context, previous Settings) error {
	ctx, c := r.begin(ctx)
	concealSettings(ctx, previous)
	return r.clean(Retire(ctx, r.backend, previous), c)
}

// concealSettings conceals every text of settings that are sealed as a whole.
func concealSettings(ctx context.Context, settings Settings) {
	for _, value := range settings {
		if text := stringValue(value); len(text) >= shortestSecret {
			Conceal(ctx, NewSecret(text))
		}
	}
}

func (r *redacting) Create(ctx context.Context, grant Grant) (Values, error) {
	ctx, c := r.begin(ctx)
	values, err := r.backend.Create(ctx, grant)
	return values, r.clean(err, c)
}

func (r *redacting) Renew(ctx context.Context, logins []Login) map[LoginName]error {
	ctx, c := r.begin(ctx)
	return r.cleanAll(r.backend.Renew(ctx, logins), c)
}

func (r *redacting) Revoke(ctx context.Context, logins []Login) map[LoginName]error {
	ctx, c := r.begin(ctx)
	return r.cleanAll(r.backend.Revoke(ctx, logins), c)
}

func (r *redacting) ConfirmAbsent(ctx context.Context, logins []Login, notBefore time.Time) map[LoginName]error {
	ctx, c := r.begin(ctx)
	return r.cleanAll(r.backend.ConfirmAbsent(ctx, logins, notBefore), c)
}

func (r *redacting) List(ctx context.Context, prefix string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		ctx, c := r.begin(ctx)
		for found, err := range r.backend.List(ctx, prefix) {
			if !yield(found, r.clean(err, c)) {
				return
			}
		}
	}
}

func (r *redacting) Close() error {
	return r.clean(r.backend.Close(), &concealed{})
}

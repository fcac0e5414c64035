package providers_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"broker/providers"
)

var parts = providers.NameParts{App: "payments", Env: "production", Secret: "orders-ro", Account: "ci.deploy@example.com"}

func TestMiddle(t *testing.T) {
	tests := []struct{ template, want, name string }{
		{providers.DefaultLoginName, "orders-ro", "brk_c4c4_orders_ro_u"},
		{"{{app}}_{{env}}", "payments_production", "brk_c4c4_payments_production_u"},
		{"{{ account }}", "ci.deploy@example.com", "brk_c4c4_ci_deploy_example_com_u"},
		{"{{{app}}}", "{payments}", "brk_c4c4_payments_u"},
		{"fixed", "fixed", "brk_c4c4_fixed_u"},
		{"", "", "brk_c4c4_u"},
		{"{{colour}}", "", "brk_c4c4_u"},
	}
	for _, test := range tests {
		middle := parts.Middle(test.template)
		if middle != test.want {
			t.Errorf("%q: got %q, want %q", test.template, middle, test.want)
		}
		if got := providers.NewLoginName("brk_", "c4c4", middle, "u", 63); string(got) != test.name {
			t.Errorf("%q: got the name %q, want %q", test.template, got, test.name)
		}
	}
	// What a part holds is no template itself.
	if got := (providers.NameParts{App: "{{env}}", Env: "x"}).Middle("{{app}}"); got != "{{env}}" {
		t.Errorf("a part was filled in turn: %q", got)
	}
}

func TestCheckNameTemplate(t *testing.T) {
	tests := []struct{ template, wrong string }{
		{"{{app}}-{{ env }}_{{secret}}.{{account}}", ""},
		{"plain", ""},
		{"", ""},
		{"{{{app}}}", ""},
		{"{{name}}", "{{name}} is unknown; known are {{app}}"},
		{"{{}}", "is unknown"},
		{"{{app | upper}}", "is unknown"},
		{"{{app", "a placeholder is"},
		{"app}}", "a placeholder is"},
		{"{{app}} {{env", "a placeholder is"},
	}
	for _, test := range tests {
		got := providers.CheckNameTemplate(test.template)
		if (got == "") != (test.wrong == "") || !strings.Contains(got, test.wrong) {
			t.Errorf("%q: got %q, want %q", test.template, got, test.wrong)
		}
	}
	d := providers.Description{Options: append([]providers.Field{providers.LoginNameOption()}, providers.PasswordOptions(128)...)}
	options, problems := d.ValidateOptions(nil)
	if len(problems) > 0 || options.String(providers.OptionLoginName) != providers.DefaultLoginName || !providers.DefaultPasswords(options) {
		t.Errorf("defaults: %v, %v", options, problems)
	}
	if _, problems := d.ValidateOptions(map[string]any{"login_name": "{{who}}"}); len(problems) != 1 || problems[0].Field != "login_name" {
		t.Errorf("an unknown placeholder: %v", problems)
	}
	for _, wrong := range []map[string]any{{"password_length": 19}, {"password_length": 129}, {"password_alphabet": "emoji"}} {
		if _, problems := d.ValidateOptions(wrong); len(problems) != 1 {
			t.Errorf("%v: %v", wrong, problems)
		}
	}
}

// Whatever template and names people give, what was accepted makes a name that is ours, fits, needs no quoting
// anywhere, and holds nothing of the template's syntax.
func FuzzLoginNameTemplate(f *testing.F) {
	for _, template := range []string{"{{secret}}", "{{app}}_{{env}}", "{{ account }}", "a'b\"c\\d\x00\n{{app}}", "{{{{app}}}}", "{{é}}", "}}{{", "{{app}} {{"} {
		f.Add(template, "payments", "o'brien@example.com", 32)
	}
	f.Add("{{account}}", "", "\xff\xfe ㎅ \u0130", 26)
	f.Fuzz(func(t *testing.T, template, app, account string, limit int) {
		middle := providers.NameParts{App: app, Env: "e", Secret: "s", Account: account}.Middle(template)
		plain := providers.NameParts{App: "a", Env: "e", Secret: "s", Account: "c"}.Middle(template)
		braces := strings.Contains(template, "{{{") || strings.Contains(template, "}}}") // literal ones beside a placeholder
		if providers.CheckNameTemplate(template) == "" && !braces && (strings.Contains(plain, "{{") || strings.Contains(plain, "}}")) {
			t.Errorf("%q was accepted and left a placeholder: %q", template, plain)
		}
		const unique = "abcdefghij234567"
		name := string(providers.NewLoginName("brk_", "c4c4", middle, unique, limit))
		if !strings.HasPrefix(name, "brk_c4c4_") || !strings.HasSuffix(name, unique) {
			t.Fatalf("%q is not ours", name)
		}
		if shortest := len("brk_c4c4_" + unique); limit > 0 && len(name) > max(limit, shortest) {
			t.Errorf("%q is longer than %d", name, limit)
		}
		if i := strings.IndexFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }); i >= 0 {
			t.Errorf("%q holds what needs quoting", name)
		}
	})
}

func TestPassword(t *testing.T) {
	const symbols = "-_.~!@#%^*+=:"
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for _, test := range []struct {
		options providers.Options
		length  int
		symbols bool
	}{
		{nil, providers.DefaultPasswordLength, false},
		{providers.Options{"password_length": int64(20)}, 20, false},
		{providers.Options{"password_length": float64(64), "password_alphabet": "symbols"}, 64, true}, // as from JSON
		{providers.Options{"password_length": int64(20), "password_alphabet": "symbols"}, 20, true},
	} {
		seen := map[string]bool{}
		for range 200 {
			password, err := providers.Password(rand.Reader, test.options)
			if err != nil {
				t.Fatal(err)
			}
			text := password.Reveal()
			allowed := alphabet
			if test.symbols {
				allowed += symbols
				for _, kind := range []string{"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789", symbols} {
					if !strings.ContainsAny(text, kind) {
						t.Errorf("%v: %q has none of %q", test.options, text, kind)
					}
				}
			}
			if len(text) != test.length || strings.Trim(text, allowed) != "" || seen[text] {
				t.Errorf("%v: got %q", test.options, text)
			}
			seen[text] = true
		}
	}
	if !providers.DefaultPasswords(providers.Options{"password_length": int64(32), "password_alphabet": "alphanumeric"}) ||
		providers.DefaultPasswords(providers.Options{"password_length": int64(33)}) || providers.DefaultPasswords(providers.Options{"password_alphabet": "symbols"}) {
		t.Error("default passwords are not told from others")
	}
}

// A password that cannot be made is an error, and no endless loop.
func TestPasswordCannotBeMade(t *testing.T) {
	broken := errors.New("no entropy")
	for name, options := range map[string]providers.Options{"alphanumeric": nil, "symbols": {"password_alphabet": "symbols"}} {
		if _, err := providers.Password(iotest.ErrReader(broken), options); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	short := providers.Options{"password_alphabet": "symbols", "password_length": int64(3)} // no description lets that pass
	if _, err := providers.Password(rand.Reader, short); err == nil {
		t.Error("three characters of four kinds were found")
	}
}

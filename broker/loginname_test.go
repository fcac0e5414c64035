package broker_test

import (
	"regexp"
	"strings"
	"testing"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
)

// The middle of a login's name is what the secret says, and so are its passwords.
func TestLoginNamesAndPasswords(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for name, test := range map[string]struct {
			options            map[string]any
			username, password string
		}{
			"plain":   {nil, `^brk_[a-z2-7]{4}_plain_[a-z2-7]{16}$`, `^[A-Za-z0-9]{32}$`},
			"parts":   {map[string]any{"login_name": "{{env}}.{{account}}"}, `^brk_[a-z2-7]{4}_production_alice_[a-z2-7]{16}$`, `^[A-Za-z0-9]{32}$`},
			"long":    {map[string]any{"login_name": "{{app}}{{app}}{{app}}{{app}}{{app}}"}, `^brk_[a-z2-7]{4}_(payments){4}payme_[a-z2-7]{16}$`, `.`}, // 63 in all
			"nothing": {map[string]any{"login_name": "--", "password_length": 20}, `^brk_[a-z2-7]{4}_[a-z2-7]{16}$`, `^[A-Za-z0-9]{20}$`},
			"symbols": {map[string]any{"password_alphabet": "symbols"}, `_symbols_`, `[-_.~!@#%^*+=:]`},
		} {
			secret := env + "/" + fsm.EnvironmentName(name)
			spec := broker.SecretSpec{Name: fsm.SecretName(secret), Connection: "orders-db", Options: test.options,
				Outputs: []fsm.Output{{Key: strings.ToUpper(name) + "_USER", Source: "username"}}}
			if _, _, err := h.b.CreateSecret(t.Context(), alice(), spec); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			issued, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: spec.Name})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !regexp.MustCompile(test.username).MatchString(issued.Lease.Username) {
				t.Errorf("%s: the login is %s, want %s", name, issued.Lease.Username, test.username)
			}
			login, _ := h.fake.Login(providers.LoginName(issued.Lease.Username))
			if !regexp.MustCompile(test.password).MatchString(login.Password) {
				t.Errorf("%s: the password is %q, want %s", name, login.Password, test.password)
			}
		}
		spec := broker.SecretSpec{Name: "payments/production/wrong", Connection: "orders-db", Options: map[string]any{"login_name": "{{who}}"}}
		if _, _, err := h.b.CreateSecret(t.Context(), alice(), spec); err == nil || !strings.Contains(err.Error(), "options.login_name: {{who}} is unknown") {
			t.Errorf("an unknown placeholder: %v", err)
		}
	})
}

// A secret from before there was the option has logins as before.
func TestLoginNameOfAnOldSecret(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		cmd, err := fsm.NewCommand(&fsm.CreateSecret{
			Name: "payments/production/old", Connection: "orders-db", Options: []byte(`{"member_of":["readonly"]}`), DefaultTTL: 3600e9, MaxTTL: 3600e9,
			Outputs: []fsm.Output{{Key: "OLD", Source: "username"}},
		}, h.clock.now(), alice().Actor, 1)
		if err != nil {
			t.Fatal(err)
		}
		h.log.mu.Lock()
		h.log.apply(t, cmd)
		h.log.mu.Unlock()
		issued, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: "payments/production/old"})
		if err != nil {
			t.Fatal(err)
		}
		login, _ := h.fake.Login(providers.LoginName(issued.Lease.Username))
		if !strings.Contains(issued.Lease.Username, "_old_") || len(login.Password) != providers.DefaultPasswordLength {
			t.Errorf("the login is %s with a password of %d characters", issued.Lease.Username, len(login.Password))
		}
	})
}

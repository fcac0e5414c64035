package providers_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"broker/providers"
)

func TestNewLoginName(t *testing.T) {
	const unique = "abcdefghij234567"
	tests := []struct {
		middle string
		limit  int
		want   providers.LoginName
	}{
		{"orders-ro", 63, "brk_c4c4_orders_ro_" + unique},
		{"Payments/Production  RO", 63, "brk_c4c4_payments_production_ro_" + unique},
		{"", 63, "brk_c4c4_" + unique},
		{"---", 63, "brk_c4c4_" + unique},
		{"ünï", 63, "brk_c4c4_n_" + unique},
		{"orders", 32, "brk_c4c4_orders_" + unique},
		{"orders-readonly", 32, "brk_c4c4_orders_" + unique},
		{"orders", 26, "brk_c4c4_" + unique},
		{"orders", 10, "brk_c4c4_" + unique},
		{strings.Repeat("x", 100), 0, providers.LoginName("brk_c4c4_" + strings.Repeat("x", 100) + "_" + unique)},
	}
	for _, test := range tests {
		if got := providers.NewLoginName(providers.DefaultPrefix, "c4c4", test.middle, unique, test.limit); got != test.want {
			t.Errorf("middle %q, limit %d: got %q, want %q", test.middle, test.limit, got, test.want)
		}
	}
}

func TestLoginNameKeepsItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unique, err := providers.NewUnique(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		limit := rapid.IntRange(26, 80).Draw(t, "limit")
		name := string(providers.NewLoginName("brk_", "abcd", rapid.String().Draw(t, "middle"), unique, limit))
		if len(name) > limit || !strings.HasPrefix(name, providers.Prefix("brk_", "abcd")) || !strings.HasSuffix(name, "_"+unique) {
			t.Errorf("%q does not keep its parts within %d bytes", name, limit)
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%q holds other characters", name)
		}
	})
}

func TestNewUnique(t *testing.T) {
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil || len(unique) != 16 || strings.Trim(unique, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("got %q, %v, want 16 characters of base32", unique, err)
	}
	if _, err := providers.NewUnique(bytes.NewReader(nil)); err == nil {
		t.Error("no random bits and no error")
	}
	if got := providers.Cluster4("01J0"); len(got) != 4 || got != providers.Cluster4("01J0") || got == providers.Cluster4("01J1") {
		t.Errorf("cluster4 %q does not tell clusters apart", got)
	}
}

func TestNewPassword(t *testing.T) {
	counts := map[rune]int{}
	for range 2000 {
		password, err := providers.NewPassword(rand.Reader, 0)
		if err != nil || len(password.Reveal()) != providers.DefaultPasswordLength {
			t.Fatalf("got a password of %d characters, %v", len(password.Reveal()), err)
		}
		for _, r := range password.Reveal() {
			counts[r]++
		}
	}
	// 64000 characters over 62: about 1032 each; a biased draw from bytes would give some 1250.
	for r, n := range counts {
		if n < 850 || n > 1200 {
			t.Errorf("%q was drawn %d times of 64000", r, n)
		}
	}
	if len(counts) != 62 {
		t.Errorf("got %d different characters, want 62", len(counts))
	}
	if _, err := providers.NewPassword(bytes.NewReader([]byte{1, 2, 3}), 8); err == nil {
		t.Error("too few random bits and no error")
	}
}

package ssh

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"broker/providers"
)

// Whatever options pass, what is certified says no more than they do.
func FuzzOptions(f *testing.F) {
	for _, seed := range [][3]string{
		{"deploy", "permit-pty", "10.0.0.0/8"}, {"{{account}}", "login@github.com=ada", "::1"}, {"a\x00b", "x@y=\n", "0.0.0.0/0,1.1.1.1"},
		{"ro'ot\"", "=", "1.1.1.1 "}, {"ü{{app}}", "@", ""}, {"{{{{account}}}}", "no-touch-required=", "fe80::1%eth0"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, principal, extension, address string) {
		options := providers.Options{optionPrincipals: []string{principal}, optionExtensions: []string{extension}, optionSourceAddress: []string{address}}
		if len(Provider{}.ValidateOptions(options)) > 0 {
			return
		}
		names, err := principals(options, providers.NameParts{App: "a", Env: "b", Secret: "c", Account: "d"})
		if err != nil {
			t.Fatalf("principal %q was valid: %v", principal, err)
		}
		if len(names) != 1 || strings.ContainsAny(names[0], ", *?\t\r\n\x00") {
			t.Errorf("principal %q became %q", principal, names)
		}
		made := permissions(options)
		if len(made.Extensions) != 1 || strings.Contains(made.CriticalOptions["source-address"], ",") {
			t.Errorf("made are %v", made)
		}
	})
}

// What is read as a public key is one, and written as one line.
func FuzzPublicKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ada")
	f.Add("command=\"x\" ssh-ed25519 AAAA")
	f.Add("\x00\n\r")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := readPublicKey(text)
		if err != nil {
			return
		}
		written := line(key)
		again, err := readPublicKey(written)
		if err != nil || !same(key, again) || strings.ContainsAny(written, "\r\n") {
			t.Errorf("%q became %q: %v", text, written, err)
		}
		if _, certificate := key.(*ssh.Certificate); certificate {
			t.Error("a certificate passes for a key")
		}
	})
}

// Serial numbers follow from names alone, and differ.
func TestSerial(t *testing.T) {
	// Written into certificates that live: it must not change.
	if got := serial("brk_abcd_orders_ro_aaaaaaaaaaaaaaaa"); got != 6976335393627234388 {
		t.Errorf("serial %d, want what it was", got)
	}
	if serial("a") == serial("b") || serial("a")>>63 != 0 {
		t.Error("serials meet, or have 64 bits")
	}
}

func TestPreview(t *testing.T) {
	lines := Provider{}.Preview(providers.Settings{fieldPublicKey: "ssh-ed25519 AAAA"}, providers.Options{
		optionPrincipals: []string{"deploy"}, optionForceCommand: "/bin/date", optionExtensions: []string{"permit-pty"},
	}, "brk_x", time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC))
	for _, want := range []string{`Key ID: "brk_x"`, "Valid: until 2026-01-02T03:04:05Z", "Principals: deploy", "Critical option: force-command /bin/date", "Extension: permit-pty"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not in %q", want, lines)
		}
	}
}

// A key that is too long is not read at all.
func TestLongAuthority(t *testing.T) {
	if _, err := readAuthority(strings.Repeat("k", 24<<10+1)); err == nil || !strings.Contains(err.Error(), "more than 24576 bytes") {
		t.Errorf("got %v", err)
	}
}

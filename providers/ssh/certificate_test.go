package ssh_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"broker/providers"
	"broker/providers/ssh"
)

// file writes a file that only its owner reads, as ssh wants keys to be.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func run1(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	return string(output), err
}

// OpenSSH's own client logs in with a certificate for a key that never leaves it, until the list names the certificate.
func TestOpenSSHClient(t *testing.T) {
	settings := complete(t, nil)
	l := newLedger(t, server, settings)
	key := filepath.Join(t.TempDir(), "id")
	if out, err := run1(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key); err != nil {
		t.Fatal(err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	grant, values := mustIssue(t, settings, server.Options(), func(g *providers.Grant) {
		g.Parameters = providers.Parameters{"public_key": string(public)}
	})
	if !values["private_key"].IsZero() {
		t.Error("a private key was made for a public key that was given")
	}
	if err := os.WriteFile(key+"-cert.pub", []byte(values["certificate"].Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known := file(t, "known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s", server.Port(), xssh.MarshalAuthorizedKey(server.HostKey)))
	logIn := func() error {
		out, err := run1(t, "ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
			"-o", "UserKnownHostsFile="+known, "-p", fmt.Sprint(server.Port()), "-s", server.User+"@127.0.0.1", "sftp")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := logIn(); err != nil {
		t.Fatalf("logging in: %v", err)
	}
	listing, err := run1(t, "ssh-keygen", "-L", "-f", key+"-cert.pub")
	if err != nil || !strings.Contains(listing, `Key ID: "`+string(grant.Name)+`"`) || !strings.Contains(listing, "permit-pty") || strings.Contains(listing, "permit-X11") {
		t.Errorf("the certificate: %v %s", err, listing)
	}
	if err := l.publish(grant.Login); err != nil {
		t.Fatal(err)
	}
	if err := logIn(); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
}

// A lease of two to three seconds, which are whole ones for the certificate, ends at its end, at sshd, with nobody doing anything.
func TestEndsByItself(t *testing.T) {
	settings := complete(t, nil)
	newLedger(t, server, settings)
	grant, values := mustIssue(t, settings, server.Options(), func(g *providers.Grant) { g.ExpiresAt = time.Now().Truncate(time.Second).Add(3 * time.Second) })
	if err := server.LogIn(t.Context(), reveal(values)); err != nil {
		t.Fatalf("logging in before the end: %v", err)
	}
	for {
		began := time.Now()
		err := server.LogIn(t.Context(), reveal(values))
		if err == nil && began.After(grant.ExpiresAt) {
			t.Fatalf("a log-in was accepted %s after the lease's end", began.Sub(grant.ExpiresAt))
		}
		if err != nil {
			if left := time.Until(grant.ExpiresAt); left > time.Second {
				t.Errorf("refused %s before the lease's end: %v", left, err)
			}
			return
		}
	}
}

// Hosts hold the holder to what the secret says.
func TestLimits(t *testing.T) {
	settings := complete(t, nil)
	newLedger(t, server, settings)
	for name, change := range map[string]map[string]any{
		"another principal":   {"principals": []any{"somebody-else"}},
		"from somewhere else": {"source_address": []any{"192.0.2.0/24"}},
	} {
		options := server.Options()
		for k, v := range change {
			options[k] = v
		}
		_, values := mustIssue(t, settings, options, nil)
		if err := server.LogIn(t.Context(), reveal(values)); err == nil {
			t.Errorf("%s: a log-in was accepted", name)
		}
	}
	options := server.Options()
	options["source_address"] = []any{"127.0.0.0/8"}
	_, values := mustIssue(t, settings, options, nil)
	if err := server.LogIn(t.Context(), reveal(values)); err != nil {
		t.Errorf("from where it may: %v", err)
	}
	options["force_command"] = "/bin/false"
	_, values = mustIssue(t, settings, options, nil)
	session, err := server.Open(t.Context(), reveal(values))
	if err == nil {
		// The server's own forced command stands before the certificate's; what counts is that the certificate has it.
		_ = session.Close()
	}
	if certificate := parsed(t, values); certificate.CriticalOptions["force-command"] != "/bin/false" || certificate.CriticalOptions["source-address"] != "127.0.0.0/8" {
		t.Errorf("critical options: %v", certificate.CriticalOptions)
	}
}

func parsed(t *testing.T, values providers.Values) *xssh.Certificate {
	t.Helper()
	key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(values["certificate"].Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	return key.(*xssh.Certificate)
}

// Certificates of another authority are refused, and those of an authority that was replaced while it is published.
func TestReplacedAuthority(t *testing.T) {
	before, after := complete(t, nil), complete(t, map[string]any{"ca_key_type": "ecdsa"})
	old, oldValues := mustIssue(t, before, server.Options(), nil)
	_, newValues := mustIssue(t, after, server.Options(), nil)
	publish := func(systems ...providers.PublishedSystem) {
		t.Helper()
		for document, take := range map[string]func([]byte) error{"ca.pub": server.Trust, "krl": server.Refuse} {
			content, err := ssh.Provider{}.Publish(document, systems, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if err := take(content); err != nil {
				t.Fatal(err)
			}
		}
	}
	wants := func(when string, oldGood, newGood bool) {
		t.Helper()
		if err := server.LogIn(t.Context(), reveal(oldValues)); (err == nil) != oldGood {
			t.Errorf("%s, with a certificate of the old authority: %v", when, err)
		}
		if err := server.LogIn(t.Context(), reveal(newValues)); (err == nil) != newGood {
			t.Errorf("%s, with a certificate of the new authority: %v", when, err)
		}
	}
	publish(providers.PublishedSystem{Settings: before})
	wants("before", true, false)
	publish(providers.PublishedSystem{Settings: after}, providers.PublishedSystem{Settings: before})
	wants("while both are trusted", true, true)
	publish(providers.PublishedSystem{Settings: after}, providers.PublishedSystem{Settings: before, Ended: []providers.EndedLogin{{Name: old.Name}}})
	wants("after revoking", false, true)
	// The old one is gone from the ledger, and the host trusts it still: what was revoked stays revoked.
	both, err := ssh.Provider{}.Publish("ca.pub", []providers.PublishedSystem{{Settings: after}, {Settings: before}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	publish(providers.PublishedSystem{Settings: after}, providers.PublishedSystem{Ended: []providers.EndedLogin{{Name: old.Name}}})
	if err := server.Trust(both); err != nil {
		t.Fatal(err)
	}
	wants("when only the host knows the old one", false, true)
}

// The list is what OpenSSH makes and reads: ssh-keygen finds what is on it, and nothing else, in one of many thousands.
func TestRevocationList(t *testing.T) {
	settings := complete(t, nil)
	var ended []providers.EndedLogin
	for i := range 5000 {
		ended = append(ended, providers.EndedLogin{Name: providers.LoginName(fmt.Sprintf("brk_test_gone_%d", i))})
	}
	revoked, revokedValues := mustIssue(t, settings, server.Options(), nil)
	_, goodValues := mustIssue(t, settings, server.Options(), nil)
	for n, list := range map[int][]providers.EndedLogin{0: nil, 1: {{Name: revoked.Name}}, 5002: append(ended, providers.EndedLogin{Name: revoked.Name}, providers.EndedLogin{Name: revoked.Name})} {
		content, err := ssh.Provider{}.Publish("krl", []providers.PublishedSystem{{Settings: settings, Ended: list}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		krl := file(t, "krl", string(content))
		for name, values := range map[string]providers.Values{"revoked": revokedValues, "good": goodValues} {
			out, err := run1(t, "ssh-keygen", "-Q", "-f", krl, file(t, "cert.pub", values["certificate"].Reveal()+"\n"))
			if want := n > 0 && name == "revoked"; (err != nil) != want || strings.Contains(out, "REVOKED") != want {
				t.Errorf("of %d, the one that is %s: %v %s", n, name, err, out)
			}
		}
	}
}

// What has an RSA authority is signed with SHA-2, and a pair can be RSA: older hosts and clients want it.
func TestRSA(t *testing.T) {
	settings := complete(t, map[string]any{"ca_key_type": "rsa"})
	newLedger(t, server, settings)
	options := server.Options()
	options["key_type"] = "rsa"
	_, values := mustIssue(t, settings, options, nil)
	if err := server.LogIn(t.Context(), reveal(values)); err != nil {
		t.Error(err)
	}
	if got := parsed(t, values).Signature.Format; got == xssh.KeyAlgoRSA {
		t.Errorf("signed with %s", got)
	}
}

// Principals are filled in for whoever asks, and held against what the connection allows.
func TestPrincipals(t *testing.T) {
	open := complete(t, nil)
	options := map[string]any{"principals": []any{"{{account}}", "{{app}}-{{env}}", "deploy", "deploy"}}
	_, values := mustIssue(t, open, options, nil)
	if got := values["principals"].Reveal(); got != "ada,payments-production,deploy" {
		t.Errorf("principals %q", got)
	}
	for allowed, want := range map[string]bool{"{{account}}": true, "ada": true, "grace": false, "{{app}}": false} {
		settings := complete(t, map[string]any{"allowed_principals": allowed})
		_, _, err := issue(t, settings, map[string]any{"principals": "{{account}}"}, nil)
		var e *providers.Error
		if (err == nil) != want || err != nil && (!errors.As(err, &e) || e.Kind != providers.KindRejected || !e.NotSent) {
			t.Errorf("allowed is %s: %v", allowed, err)
		}
	}
	settings := complete(t, map[string]any{"allowed_principals": "deploy"})
	b, err := ssh.Provider{}.Open(settings, providers.Env{Prefix: "brk_"})
	if err != nil {
		t.Fatal(err)
	}
	for principal, want := range map[string]int{"deploy": 0, "root": 1, "{{account}}": 0} {
		problems, err := providers.CheckOptions(context.Background(), b, providers.Options{"principals": []string{principal}})
		if err != nil || len(problems) != want {
			t.Errorf("%s: %v, %v", principal, problems, err)
		}
	}
	if len((ssh.Provider{}).Warnings(open)) != 1 || len((ssh.Provider{}).Warnings(settings)) != 0 {
		t.Error("what is allowed is warned of wrongly")
	}
}

func TestValidateOptions(t *testing.T) {
	for _, row := range []struct {
		field string
		value any
		wrong bool
	}{
		{"principals", "deploy", false}, {"principals", "{{account}}@{{env}}", false}, {"principals", "a b", true}, {"principals", "a,b", true},
		{"principals", "*", true}, {"principals", "{{user}}", true}, {"principals", "{{account", true}, {"principals", "a\nb", true},
		{"extensions", []string{}, false}, {"extensions", "permit-agent-forwarding", false}, {"extensions", "login@github.com=ada", false},
		{"extensions", "permit-everything", true}, {"extensions", "permit-pty=yes", true}, {"extensions", "@", true}, {"extensions", "a b@c", true},
		{"source_address", "10.0.0.0/8", false}, {"source_address", "2001:db8::1", false}, {"source_address", "example.com", true}, {"source_address", "10.0.0.0/33", true},
	} {
		problems := ssh.Provider{}.ValidateOptions(providers.Options{row.field: row.value})
		if (len(problems) > 0) != row.wrong || row.wrong && problems[0].Field != row.field {
			t.Errorf("%s %q: %v", row.field, row.value, problems)
		}
	}
}

// The authority is made, or taken as it is given; what does not fit together is refused, and never quoted.
func TestComplete(t *testing.T) {
	made := complete(t, nil)
	again, err := ssh.Provider{}.Complete(made)
	if err != nil || again.String("ca_private_key") != made.String("ca_private_key") || again.String("ca_public_key") != made.String("ca_public_key") {
		t.Errorf("completing again changes something: %v", err)
	}
	key, public := made.String("ca_private_key"), made.String("ca_public_key")
	path := file(t, "ca", key)
	if out, err := run1(t, "ssh-keygen", "-y", "-f", path); err != nil || strings.TrimSpace(out) != public {
		t.Errorf("ssh-keygen says of the key that was made: %v %s, want %s", err, out, public)
	}
	if given := complete(t, map[string]any{"ca_private_key": key, "ca_public_key": public + " with a comment"}); given.String("ca_public_key") != public {
		t.Errorf("the public key is %q", given.String("ca_public_key"))
	}
	if out, err := run1(t, "ssh-keygen", "-q", "-p", "-P", "", "-N", "passphrase", "-f", path); err != nil {
		t.Fatal(err, out)
	}
	protected, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct{ key, public, field, message string }{
		"another public key":    {key, complete(t, nil).String("ca_public_key"), "ca_public_key", "is not the public key"},
		"a broken public key":   {key, "ssh-ed25519 x", "ca_public_key", "is no public key"},
		"a public key only":     {"", public, "ca_private_key", "is required"},
		"no key":                {"canary", "", "ca_private_key", "is no private key"},
		"a public key for both": {public, "", "ca_private_key", "is no private key"},
		"a passphrase":          {string(protected), "", "ca_private_key", "passphrase"},
	} {
		_, err := ssh.Provider{}.Complete(providers.Settings{"ca_private_key": row.key, "ca_public_key": row.public})
		var wrong providers.FieldError
		if !errors.As(err, &wrong) || wrong.Field != row.field || !strings.Contains(wrong.Message, row.message) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys that requests bring: what is no key, or a weak one, or a certificate, is refused before anything is recorded.
func TestGivenKeys(t *testing.T) {
	publicOf := func(key any) string {
		public, err := xssh.NewPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(xssh.MarshalAuthorizedKey(public))
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	settings := complete(t, nil)
	_, values := mustIssue(t, settings, server.Options(), nil)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		text  string
		wrong string
	}{
		"ed25519":                          {publicOf(ed), ""},
		"ecdsa":                            {publicOf(&ec.PublicKey), ""},
		"with a comment":                   {strings.TrimSpace(publicOf(ed)) + " ada@laptop\n", ""},
		"with options":                     {`command="x" ` + publicOf(ed), "options"},
		"two":                              {publicOf(ed) + publicOf(ed), "more than one line"},
		"none":                             {"hello", "is no public key"},
		"a certificate":                    {values["certificate"].Reveal(), "is of type"},
		"a private key":                    {values["private_key"].Reveal(), "is no public key"},
		"weak":                             {publicOf(&small.PublicKey), "is an RSA key of less"},
		"empty is as if it were not there": {"", ""},
	} {
		problems := ssh.Provider{}.CheckParameters(providers.Parameters{"public_key": row.text})
		if row.wrong == "" && len(problems) > 0 || row.wrong != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, row.wrong)) {
			t.Errorf("%s: %v", name, problems)
		}
	}
	_, _, err = issue(t, settings, server.Options(), func(g *providers.Grant) {
		g.Parameters = providers.Parameters{"public_key": settings.String("ca_public_key")}
	})
	if err == nil || !strings.Contains(err.Error(), "authority's own") {
		t.Errorf("certifying the authority's own key: %v", err)
	}
}

// Neither sshd's log nor any error holds a private key.
func TestNoSecretIsLogged(t *testing.T) {
	settings := complete(t, nil)
	newLedger(t, server, settings)
	_, values := mustIssue(t, settings, server.Options(), nil)
	if err := server.LogIn(t.Context(), reveal(values)); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(server.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("ID "+values["username"].Reveal())) {
		t.Error("sshd's log does not say whose certificate it was: the page says so")
	}
	for _, secret := range []string{values["private_key"].Reveal(), settings.String("ca_private_key")} {
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); len(line) > 40 && bytes.Contains(log, []byte(line)) {
				t.Error("the log holds a private key")
			}
		}
	}
}

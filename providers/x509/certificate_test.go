package x509_test

import (
	"bytes"
	stdx509 "crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/x509"
)

func openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	return string(output), err
}

func mustOpenSSL(t *testing.T, args ...string) string {
	t.Helper()
	out, err := openssl(t, args...)
	if err != nil {
		t.Fatalf("openssl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// file writes a file.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parsed(t *testing.T, values providers.Values) *stdx509.Certificate {
	t.Helper()
	block, rest := pem.Decode([]byte(values["certificate"].Reveal()))
	if block == nil || len(rest) > 0 {
		t.Fatal("the certificate is not one")
	}
	certificate, err := stdx509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func ended(grants ...providers.Grant) []providers.EndedLogin {
	var list []providers.EndedLogin
	for _, grant := range grants {
		list = append(list, providers.EndedLogin{Name: grant.Name, At: time.Now()})
	}
	return list
}

// OpenSSL verifies what is published and what was issued, and finds what was revoked, in both forms of the list.
func TestOpenSSLVerifies(t *testing.T) {
	for _, kind := range []string{"ecdsa", "rsa"} {
		settings := complete(t, map[string]any{"ca_key_type": kind})
		revoked, revokedValues := mustIssue(t, settings, map[string]any{"key_type": kind}, nil)
		_, goodValues := mustIssue(t, settings, map[string]any{"key_type": kind, "usages": []any{"client", "server"}}, nil)
		document := func(name string) string {
			content, err := x509.Provider{}.Publish(name, []providers.PublishedSystem{{Settings: settings, Ended: ended(revoked)}}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return file(t, name, string(content))
		}
		ca, list, der := document("ca.pem"), document("crl.pem"), document("crl.der")
		verify := func(values providers.Values) (string, error) {
			return openssl(t, "verify", "-x509_strict", "-purpose", "sslclient", "-crl_check", "-CAfile", ca, "-CRLfile", list, file(t, "cert.pem", values["certificate"].Reveal()))
		}
		if out, err := verify(goodValues); err != nil {
			t.Errorf("%s: %v %s", kind, err, out)
		}
		if out, err := verify(revokedValues); err == nil || !strings.Contains(out, "certificate revoked") {
			t.Errorf("%s, revoked: %v %s", kind, err, out)
		}
		mustOpenSSL(t, "crl", "-inform", "DER", "-in", der, "-CAfile", ca, "-noout")
		if out := mustOpenSSL(t, "crl", "-inform", "DER", "-in", der, "-noout", "-text"); !strings.Contains(out, strings.ToUpper(revokedValues["serial"].Reveal())) {
			t.Errorf("the list does not name serial %s: %s", revokedValues["serial"].Reveal(), out)
		}
	}
}

// A real server of OpenSSL lets in whom it should.
func TestOpenSSLServer(t *testing.T) {
	settings := complete(t, nil)
	revoked, revokedValues := mustIssue(t, settings, nil, nil)
	_, goodValues := mustIssue(t, settings, nil, nil)
	_, strangerValues := mustIssue(t, complete(t, nil), nil, nil)
	_, ownValues := mustIssue(t, settings, map[string]any{"usages": "server", "dns_sans": "localhost"}, nil)
	var files []string
	for _, name := range []string{"ca.pem", "crl.pem"} {
		content, err := x509.Provider{}.Publish(name, []providers.PublishedSystem{{Settings: settings, Ended: ended(revoked)}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file(t, name, string(content)))
	}
	server := startOpenSSL(t, "s_server", "-accept", "127.0.0.1:0", "-naccept", "100", "-Verify", "1", "-verify_return_error", "-CAfile", files[0], "-CRL", files[1], "-crl_check",
		"-cert", file(t, "own.pem", ownValues["bundle"].Reveal()), "-www", "-no_ticket")
	for name, row := range map[string]struct {
		values providers.Values
		good   bool
	}{"good": {goodValues, true}, "revoked": {revokedValues, false}, "a stranger's": {strangerValues, false}} {
		bundle := file(t, "client.pem", row.values["bundle"].Reveal())
		cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", server, "-servername", "localhost", "-CAfile", files[0], "-verify_return_error", "-verify_hostname", "localhost",
			"-cert", bundle, "-key", bundle, "-quiet")
		cmd.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
		out, err := cmd.CombinedOutput()
		if good := strings.Contains(string(out), "HTTP/1.0 200 ok"); good != row.good {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// A certificate ends by itself, at the server, by its lease's end.
func TestEndsByItself(t *testing.T) {
	settings := complete(t, nil)
	publish(t, providers.PublishedSystem{Settings: settings})
	grant, values := mustIssue(t, settings, nil, func(g *providers.Grant) { g.ExpiresAt = time.Now().Truncate(time.Second).Add(4 * time.Second) })
	if err := server.LogIn(t.Context(), reveal(values)); err != nil {
		t.Fatalf("before the end: %v", err)
	}
	for {
		began := time.Now()
		err := server.LogIn(t.Context(), reveal(values))
		if err == nil && began.After(grant.ExpiresAt) {
			t.Fatalf("let in %s after the lease's end", began.Sub(grant.ExpiresAt))
		}
		if err != nil {
			if left := time.Until(grant.ExpiresAt); left > 2*time.Second {
				t.Errorf("refused %s before the lease's end: %v", left, err)
			}
			return
		}
	}
}

// What the certificate says is what the secret says, whatever the signing request asks for; the request's key stays where
// it is.
func TestSigningRequest(t *testing.T) {
	dir := t.TempDir()
	key, csr := filepath.Join(dir, "key.pem"), filepath.Join(dir, "csr.pem")
	mustOpenSSL(t, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", csr,
		"-subj", "/CN=root/O=admins", "-addext", "subjectAltName=DNS:evil.example")
	request, err := os.ReadFile(csr)
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	settings := complete(t, nil)
	publish(t, providers.PublishedSystem{Settings: settings})
	grant, values := mustIssue(t, settings, nil, func(g *providers.Grant) { g.Parameters = providers.Parameters{"csr": string(request)} })
	if got := parsed(t, values); got.Subject.String() != "CN="+string(grant.Name) || len(got.DNSNames) > 0 {
		t.Errorf("the certificate is for %s, %v", got.Subject, got.DNSNames)
	}
	if !values["private_key"].IsZero() || strings.Contains(values["bundle"].Reveal(), "PRIVATE") {
		t.Error("a private key was made")
	}
	with := reveal(values)
	with["private_key"] = string(private)
	if err := server.LogIn(t.Context(), with); err != nil {
		t.Errorf("with the requester's own key: %v", err)
	}
	broken := strings.Replace(string(request), string(request[len(request)/2]), "A", 1)
	for name, text := range map[string]string{"broken": broken, "none": "hello", "a certificate": values["certificate"].Reveal(), "a key": string(private), "two": string(request) + string(request)} {
		if problems := (x509.Provider{}).CheckParameters(providers.Parameters{"csr": text}); len(problems) != 1 && text != string(request) {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

// Names are filled in for whoever asks, and held against what the connection allows.
func TestNames(t *testing.T) {
	options := map[string]any{
		"common_name": "{{account}}", "organization": "{{app}}", "organizational_units": []any{"{{env}}", "clients"}, "dns_sans": "{{app}}.internal",
		"uri_sans": "spiffe://example.com/{{app}}/{{env}}", "email_sans": "{{account}}@example.com", "ip_sans": []any{"10.1.2.3", "2001:db8::1"},
	}
	_, values := mustIssue(t, complete(t, map[string]any{"crl_url": "http://pki.example.com/c.crl"}), options, nil)
	certificate := parsed(t, values)
	got := fmt.Sprint(certificate.Subject.CommonName, certificate.Subject.Organization, certificate.Subject.OrganizationalUnit, certificate.DNSNames, certificate.URIs, certificate.EmailAddresses, certificate.IPAddresses, certificate.CRLDistributionPoints)
	const want = "ada[payments] [clients production] [payments.internal] [spiffe://example.com/payments/production] [ada@example.com] [10.1.2.3 2001:db8::1] [http://pki.example.com/c.crl]"
	if got != want {
		t.Errorf("certified is %s, want %s", got, want)
	}
	if certificate.IsCA || certificate.KeyUsage&stdx509.KeyUsageCertSign != 0 {
		t.Error("the certificate may sign others")
	}
	for _, row := range []struct {
		allowed []any
		options map[string]any
		good    bool
	}{
		{[]any{"{{account}}"}, nil, true},
		{[]any{"{{account}}"}, map[string]any{"common_name": "{{account}}"}, true},
		{[]any{"{{account}}"}, map[string]any{"common_name": "admin"}, false},
		{[]any{"ada"}, map[string]any{"common_name": "{{account}}"}, true},
		{[]any{"*.internal"}, map[string]any{"dns_sans": "a.b.internal"}, true},
		{[]any{"*.internal"}, map[string]any{"dns_sans": "internal.example"}, false},
		{[]any{"spiffe://example.com/*"}, map[string]any{"uri_sans": "spiffe://example.com/payments/x"}, true},
		{[]any{"spiffe://example.com/*"}, map[string]any{"uri_sans": "spiffe://example.org/payments"}, false},
		{[]any{"nothing"}, map[string]any{"ip_sans": "10.0.0.1"}, false},
		{[]any{"nothing"}, map[string]any{"organization": "admins"}, false},
	} {
		settings := complete(t, map[string]any{"allowed_names": row.allowed})
		_, _, err := issue(t, settings, row.options, nil)
		var e *providers.Error
		if (err == nil) != row.good || err != nil && (!errors.As(err, &e) || e.Kind != providers.KindRejected || !e.NotSent) {
			t.Errorf("%v where %v is allowed: %v", row.options, row.allowed, err)
		}
		b, err := x509.Provider{}.Open(settings, providers.Env{Prefix: "brk_"})
		if err != nil {
			t.Fatal(err)
		}
		validated, _ := x509.Provider{}.Describe().ValidateOptions(row.options)
		if problems, err := providers.CheckOptions(t.Context(), b, validated); err != nil || (len(problems) == 0) != row.good {
			t.Errorf("checking %v where %v is allowed: %v, %v", row.options, row.allowed, problems, err)
		}
	}
}

func TestValidateOptions(t *testing.T) {
	for _, row := range []struct {
		field string
		value any
		wrong bool
	}{
		{"common_name", "", false}, {"common_name", "{{user}}", true}, {"common_name", strings.Repeat("x", 65), true}, {"common_name", "a\x00", true},
		{"dns_sans", "*.example.com", false}, {"dns_sans", "a b", true}, {"dns_sans", "a..b", true}, {"dns_sans", "*", true}, {"dns_sans", "*.", true}, {"dns_sans", "é.example", true},
		{"uri_sans", "spiffe://a/b", false}, {"uri_sans", "urn:uuid:1", false}, {"uri_sans", "a/b", true}, {"uri_sans", "http://a b", true},
		{"email_sans", "a@b.c", false}, {"email_sans", "a", true}, {"email_sans", "@b", true}, {"email_sans", "a@*.b", true},
		{"ip_sans", "10.0.0.1", false}, {"ip_sans", "10.0.0.0/8", true}, {"ip_sans", "fe80::1%eth0", true},
		{"usages", []string{"client", "server"}, false}, {"usages", "signing", true}, {"usages", []string{}, true},
	} {
		problems := x509.Provider{}.ValidateOptions(providers.Options{row.field: row.value})
		if (len(problems) > 0) != row.wrong || row.wrong && problems[0].Field != row.field {
			t.Errorf("%s %q: %v", row.field, row.value, problems)
		}
	}
}

// Certificates of an authority that was replaced are let in while it is published, and refused when they were revoked.
func TestReplacedAuthority(t *testing.T) {
	before, after := complete(t, nil), complete(t, map[string]any{"ca_key_type": "rsa"})
	old, oldValues := mustIssue(t, before, nil, nil)
	_, newValues := mustIssue(t, after, nil, nil)
	wants := func(when string, oldGood, newGood bool) {
		t.Helper()
		if err := server.LogIn(t.Context(), reveal(oldValues)); (err == nil) != oldGood {
			t.Errorf("%s, with a certificate of the old authority: %v", when, err)
		}
		if err := server.LogIn(t.Context(), reveal(newValues)); (err == nil) != newGood {
			t.Errorf("%s, with a certificate of the new authority: %v", when, err)
		}
	}
	publish(t, providers.PublishedSystem{Settings: before})
	wants("before", true, false)
	publish(t, providers.PublishedSystem{Settings: after}, providers.PublishedSystem{Settings: before})
	wants("while both are trusted", true, true)
	publish(t, providers.PublishedSystem{Settings: after}, providers.PublishedSystem{Settings: before, Ended: ended(old)})
	wants("after revoking", false, true)
	// The same authority again under another number: one list, with everything.
	publish(t, providers.PublishedSystem{Settings: before}, providers.PublishedSystem{Settings: after}, providers.PublishedSystem{Settings: before, Ended: ended(old)})
	wants("after the old one came back", false, true)
	publish(t, providers.PublishedSystem{Settings: after}, providers.PublishedSystem{Ended: ended(old)})
	wants("when the old one is gone", false, true)
}

// The authority is made, or taken as it is given, also as an intermediate one; what does not fit together is refused.
func TestComplete(t *testing.T) {
	made := complete(t, map[string]any{"ca_common_name": "My authority"})
	again, err := x509.Provider{}.Complete(made)
	if err != nil || again.String("ca_private_key") != made.String("ca_private_key") || again.String("ca_certificate") != made.String("ca_certificate") {
		t.Errorf("completing again changes something: %v", err)
	}
	for _, f := range (x509.Provider{}).Describe().Connection {
		if _, filled := made[f.Name]; filled && f.Default == nil && !f.Secret && !f.Made {
			t.Errorf("%s is filled in, and its description does not say so", f.Name)
		}
	}
	if out := mustOpenSSL(t, "x509", "-in", file(t, "ca.pem", made.String("ca_certificate")), "-noout", "-subject", "-ext", "basicConstraints,keyUsage"); !strings.Contains(out, "My authority") || !strings.Contains(out, "CA:TRUE, pathlen:0") || !strings.Contains(out, "Certificate Sign, CRL Sign") {
		t.Errorf("the authority is %s", out)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		content, err := os.ReadFile(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	const ext = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
	signing := file(t, "ext", ext)
	mustOpenSSL(t, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", at("root.key"), "-out", at("root.pem"), "-subj", "/CN=Root", "-days", "2")
	mustOpenSSL(t, "ecparam", "-name", "prime256v1", "-genkey", "-out", at("between.key")) // with its parameters before it
	mustOpenSSL(t, "req", "-new", "-key", at("between.key"), "-out", at("between.csr"), "-subj", "/CN=Between")
	mustOpenSSL(t, "x509", "-req", "-in", at("between.csr"), "-CA", at("root.pem"), "-CAkey", at("root.key"), "-out", at("between.pem"), "-extfile", signing, "-days", "1")
	mustOpenSSL(t, "x509", "-req", "-in", at("between.csr"), "-CA", at("root.pem"), "-CAkey", at("root.key"), "-out", at("leaf.pem"), "-days", "1")
	mustOpenSSL(t, "pkcs8", "-topk8", "-in", at("between.key"), "-passout", "pass:canary", "-out", at("protected.key"))
	settings := complete(t, map[string]any{"ca_certificate": read("between.pem") + read("root.pem"), "ca_private_key": read("between.key")})
	grant, values := mustIssue(t, settings, nil, nil)
	publish(t, providers.PublishedSystem{Settings: settings})
	if err := server.LogIn(t.Context(), reveal(values)); err != nil {
		t.Errorf("with a certificate of an intermediate authority: %v", err)
	}
	publish(t, providers.PublishedSystem{Settings: settings, Ended: ended(grant)})
	if err := server.LogIn(t.Context(), reveal(values)); err == nil {
		t.Error("a revoked certificate of an intermediate authority was let in")
	}
	if _, _, err := issue(t, settings, nil, func(g *providers.Grant) { g.ExpiresAt = time.Now().Add(30 * time.Hour) }); err == nil || !strings.Contains(err.Error(), "CN=Between itself") {
		t.Errorf("a certificate beyond its authority's end: %v", err)
	}
	if got := (x509.Provider{}).Warnings(settings); len(got) != 3 {
		t.Errorf("warnings: %q", got)
	}
	for name, row := range map[string]struct{ certificate, key, field, message string }{
		"another key":     {made.String("ca_certificate"), read("between.key"), "ca_private_key", "is not the key of"},
		"only a key":      {"", read("between.key"), "ca_certificate", "is required"},
		"only a cert":     {read("between.pem"), "", "ca_private_key", "is required"},
		"no authority":    {read("leaf.pem"), read("between.key"), "ca_certificate", "is no authority"},
		"no chain":        {read("between.pem") + made.String("ca_certificate"), read("between.key"), "ca_certificate", "is no chain"},
		"a key in it":     {read("between.pem") + read("root.key"), read("between.key"), "ca_certificate", "certificates only"},
		"no PEM":          {"canary", read("between.key"), "ca_certificate", "no certificate"},
		"no key":          {read("between.pem"), "canary", "ca_private_key", "not in PEM"},
		"a protected key": {read("between.pem"), read("protected.key"), "ca_private_key", "passphrase"},
	} {
		_, err := x509.Provider{}.Complete(providers.Settings{"ca_certificate": row.certificate, "ca_private_key": row.key, "crl_ttl": "24h"})
		var wrong providers.FieldError
		if !errors.As(err, &wrong) || wrong.Field != row.field || !strings.Contains(wrong.Message, row.message) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for field, value := range map[string]any{"crl_ttl": "10m", "crl_url": "nowhere", "allowed_names": []any{"[a-"}} {
		validated, _ := x509.Provider{}.Describe().ValidateConnection(map[string]any{field: value})
		_, err := x509.Provider{}.Complete(validated)
		var wrong providers.FieldError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s %v: %v", field, value, err)
		}
	}
}

// No error holds a private key.
func TestNoSecretInErrors(t *testing.T) {
	settings := complete(t, nil)
	settings["ca_certificate"] = complete(t, nil).String("ca_certificate")
	_, err := x509.Provider{}.Open(settings, providers.Env{})
	if err == nil || bytes.Contains([]byte(err.Error()), []byte(strings.Split(settings.String("ca_private_key"), "\n")[1])) {
		t.Errorf("an authority whose parts do not fit: %v", err)
	}
}

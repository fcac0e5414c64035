package x509

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"broker/providers"
)

// Whatever names pass, they go into a certificate as they are, and a verifier reads the same.
func FuzzNames(f *testing.F) {
	for _, seed := range [][4]string{
		{"{{account}}", "a.example", "spiffe://example.com/a", "a@example.com"}, {"O=x,CN=y", "*.b", "urn:x:y", "\"a b\"@c"},
		{"ünï\U0001F600", "xn--nxasmq6b", "http://[::1]/", "a@b@c"}, {"a\x00b", "a\x00.example", "http://a\x00", "a\x00@b"}, {"'; DROP", "a\nb", "x:/", "a\n@b"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	key, err := newKey(keyECDSA)
	if err != nil {
		f.Fatal(err)
	}
	certificate, err := newAuthority("fuzz", key, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	chain, err := readChain(certificate)
	if err != nil {
		f.Fatal(err)
	}
	b := &backend{authority: &authority{chain[0], chain, key}}
	other, err := newKey(keyECDSA)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, common, host, uri, mail string) {
		options := providers.Options{optionCommonName: common, optionDNS: []string{host}, optionURI: []string{uri}, optionEmail: []string{mail}, optionUsages: []string{usageClient}}
		if common == "" || len(Provider{}.ValidateOptions(options)) > 0 {
			return
		}
		grant := providers.Grant{Login: providers.Login{Name: "brk_x", ExpiresAt: time.Now().Add(time.Hour), Options: options}}
		made, err := b.certify(grant, other.Public())
		if err != nil {
			return // a placeholder that is filled with nothing
		}
		read, err := x509.ParseCertificate(made.Raw)
		if err != nil {
			t.Fatal(err)
		}
		filled := grant.For.Middle
		if read.Subject.CommonName != filled(common) || !slices.Equal(read.DNSNames, []string{filled(host)}) || !slices.Equal(read.EmailAddresses, []string{filled(mail)}) || len(read.URIs) != 1 {
			t.Errorf("%q %q %q %q became %s %q %q %q", common, host, uri, mail, read.Subject, read.DNSNames, read.URIs, read.EmailAddresses)
		}
	})
}

// What is read as a signing request has a key that is fit.
func FuzzRequest(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := readRequest(text); err == nil && unfit(key) != "" {
			t.Errorf("%q was taken", text)
		}
	})
}

// Serial numbers follow from names alone, differ, and keep to RFC 5280: positive, at most 20 bytes.
func TestSerial(t *testing.T) {
	// Written into certificates that live: it must not change.
	if got := serial("brk_abcd_orders_ro_aaaaaaaaaaaaaaaa").Text(16); got != "41a1d8281645c0a8af4f944a5f698efd54914175" {
		t.Errorf("serial %s, want what it was", got)
	}
	if one := serial("a"); one.Cmp(serial("b")) == 0 || one.Sign() <= 0 || one.BitLen() > 159 {
		t.Error("serials meet, or are too long")
	}
}

func TestPreview(t *testing.T) {
	lines := Provider{}.Preview(providers.Settings{}, providers.Options{optionDNS: []string{"a.example"}, optionUsages: []string{usageClient}},
		"brk_x", time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC))
	for _, want := range []string{"Login: brk_x", "Subject common name: brk_x", "Valid: until 2026-01-02T03:04:04Z", "Usages: client", "dns_sans: a.example"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not in %q", want, lines)
		}
	}
	if strings.Contains(strings.Join(lines, ""), "PRIVATE") {
		t.Error("a key is shown")
	}
}

package x509

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"broker/providers"
)

// ValidateOptions checks names, addresses and usages.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	var problems []providers.FieldError
	add := func(field, format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	sample := providers.NameParts{App: "x", Env: "x", Secret: "x", Account: "x"}
	for _, kind := range names {
		for _, template := range kind.templates(options) {
			wrong := providers.CheckNameTemplate(template)
			if wrong == "" {
				wrong = kind.unfit(sample.Middle(template))
			}
			if wrong != "" {
				add(kind.option, "%q: %s", template, wrong)
			}
		}
	}
	for _, text := range options.List(optionIP) {
		if _, err := netip.ParseAddr(text); err != nil || strings.Contains(text, "%") {
			add(optionIP, "%q is no IP address", text)
		}
	}
	if _, given := options[optionUsages]; given && len(options.List(optionUsages)) == 0 {
		add(optionUsages, "want client, server, or both")
	}
	for _, usage := range options.List(optionUsages) {
		if usage != usageClient && usage != usageServer {
			add(optionUsages, "%q is neither %s nor %s", usage, usageClient, usageServer)
		}
	}
	return problems
}

// CheckParameters reads the signing request that a request for a lease brings.
func (Provider) CheckParameters(parameters providers.Parameters) []providers.FieldError {
	if text := parameters.String(parameterRequest); text != "" {
		if _, err := readRequest(text); err != nil {
			return []providers.FieldError{{Field: parameterRequest, Message: err.Error()}}
		}
	}
	return nil
}

// nameKind is an option that gives a certificate names.
type nameKind struct {
	option string
	unfit  func(name string) string // says why a name, filled in, cannot stand in a certificate, or ""
	put    func(to *x509.Certificate, name string)
}

// names are the options that give a certificate names, in the order in which they are judged.
var names = []nameKind{
	{optionCommonName, unfitText, func(to *x509.Certificate, name string) { to.Subject.CommonName = name }},
	{optionOrganization, unfitText, func(to *x509.Certificate, name string) {
		to.Subject.Organization = append(to.Subject.Organization, name)
	}},
	{optionUnits, unfitText, func(to *x509.Certificate, name string) {
		to.Subject.OrganizationalUnit = append(to.Subject.OrganizationalUnit, name)
	}},
	{optionDNS, unfitHost, func(to *x509.Certificate, name string) { to.DNSNames = append(to.DNSNames, name) }},
	{optionURI, unfitURI, func(to *x509.Certificate, name string) {
		parsed, err := url.Parse(name)
		if err == nil { // it was asked before
			to.URIs = append(to.URIs, parsed)
		}
	}},
	{optionEmail, unfitMail, func(to *x509.Certificate, name string) { to.EmailAddresses = append(to.EmailAddresses, name) }},
	{optionIP, func(string) string { return "" }, func(to *x509.Certificate, name string) {
		to.IPAddresses = append(to.IPAddresses, net.ParseIP(name))
	}},
}

// templates are what an option says.
func (k nameKind) templates(options providers.Options) []string {
	if k.option == optionCommonName {
		if text := options.String(k.option); text != "" {
			return []string{text}
		}
		return nil
	}
	return options.List(k.option)
}

func unfitText(text string) string {
	switch {
	case strings.TrimSpace(text) == "":
		return "is empty"
	case len(text) > 64:
		return "is longer than 64 bytes"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "holds control characters"
	}
	return ""
}

func unfitHost(name string) string {
	rest := strings.TrimPrefix(name, "*.")
	if len(rest) == 0 || len(name) > 253 || strings.ContainsFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}) || slices.Contains(strings.Split(rest, "."), "") {
		return "is no host name"
	}
	return ""
}

func unfitURI(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme == "" || parsed.Host == "" && parsed.Opaque == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "is no URI such as spiffe://example.com/payments"
	}
	return ""
}

func unfitMail(text string) string {
	local, domain, ok := strings.Cut(text, "@")
	if !ok || local == "" || unfitHost(domain) != "" || strings.HasPrefix(domain, "*") || strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "is no mail address"
	}
	return ""
}

func unfitPatterns(patterns []string) string {
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil || strings.Contains(pattern, "[") {
			return fmt.Sprintf("%q is no name with * for what may vary", pattern)
		}
	}
	return ""
}

// allows reports whether a name may be given. A star of a pattern stands for anything, slashes too.
func allows(patterns []string, template, name string) bool {
	if len(patterns) == 0 {
		return true
	}
	flat := strings.NewReplacer("/", "\x00")
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == template {
			return true
		}
		matched, err := path.Match(flat.Replace(pattern), flat.Replace(name))
		return err == nil && matched
	})
}

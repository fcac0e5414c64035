package ssh

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"broker/providers"
)

// The extensions that OpenSSH knows.
var extensions = []string{"permit-pty", "permit-port-forwarding", "permit-agent-forwarding", "permit-X11-forwarding", "permit-user-rc", "no-touch-required"}

// ValidateOptions checks principals, extensions and addresses.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	var problems []providers.FieldError
	add := func(field, format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	for _, principal := range options.List(optionPrincipals) {
		wrong := providers.CheckNameTemplate(principal)
		if wrong == "" {
			wrong = unfitPrincipal((providers.NameParts{App: "x", Env: "x", Secret: "x", Account: "x"}).Middle(principal))
		}
		if wrong != "" {
			add(optionPrincipals, "%q: %s", principal, wrong)
		}
	}
	for _, extension := range options.List(optionExtensions) {
		name, _, valued := strings.Cut(extension, "=")
		switch {
		case strings.ContainsFunc(extension, unicode.IsControl), strings.ContainsAny(name, " \t"):
			add(optionExtensions, "%q holds spaces or control characters", extension)
		case strings.Contains(strings.Trim(name, "@"), "@"):
		case !slices.Contains(extensions, name):
			add(optionExtensions, "%q is unknown: there is %s, or name@domain", extension, strings.Join(extensions, ", "))
		case valued:
			add(optionExtensions, "%q takes no value", name)
		}
	}
	for _, text := range options.List(optionSourceAddress) {
		if _, err := netip.ParsePrefix(text); err == nil {
			continue
		}
		if _, err := netip.ParseAddr(text); err != nil {
			add(optionSourceAddress, "%q is neither an address nor a network such as 10.0.0.0/8", text)
		}
	}
	return problems
}

// CheckParameters reads the public key that a request brings.
func (Provider) CheckParameters(parameters providers.Parameters) []providers.FieldError {
	if text := parameters.String(parameterPublicKey); text != "" {
		if _, err := readPublicKey(text); err != nil {
			return []providers.FieldError{{Field: parameterPublicKey, Message: err.Error()}}
		}
	}
	return nil
}

// unfitPrincipal says why a principal cannot stand in a certificate, or "".
func unfitPrincipal(principal string) string {
	switch {
	case principal == "":
		return "is empty"
	case len(principal) > 256:
		return "is longer than 256 bytes"
	case strings.ContainsFunc(principal, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == ',' || r == '*' || r == '?'
	}):
		return "holds spaces, commas, * or ?"
	}
	return ""
}

// principals fills in the principals of a secret, each once.
func principals(options providers.Options, parts providers.NameParts) (list []string, err error) {
	for _, template := range options.List(optionPrincipals) {
		principal := parts.Middle(template)
		if wrong := unfitPrincipal(principal); wrong != "" {
			return nil, fmt.Errorf("principal %q, which is %q, %s", template, principal, wrong)
		}
		if !slices.Contains(list, principal) {
			list = append(list, principal)
		}
	}
	if len(list) == 0 {
		// Such a certificate would be good for every user of every host.
		return nil, fmt.Errorf("there are no principals")
	}
	return list, nil
}

// permissions are the parts of a certificate that limit and permit.
func permissions(options providers.Options) ssh.Permissions {
	made := ssh.Permissions{CriticalOptions: map[string]string{}, Extensions: map[string]string{}}
	if command := options.String(optionForceCommand); command != "" {
		made.CriticalOptions["force-command"] = command
	}
	if addresses := options.List(optionSourceAddress); len(addresses) > 0 {
		made.CriticalOptions["source-address"] = strings.Join(addresses, ",")
	}
	for _, extension := range options.List(optionExtensions) {
		name, value, _ := strings.Cut(extension, "=")
		made.Extensions[name] = value
	}
	return made
}

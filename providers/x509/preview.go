package x509

import (
	"fmt"
	"strings"
	"time"

	"broker/providers"
)

// Preview shows what the certificate would say.
func (Provider) Preview(settings providers.Settings, options providers.Options, name providers.LoginName, expiresAt time.Time) []string {
	common := options.String(optionCommonName)
	if common == "" {
		common = string(name)
	}
	lines := []string{"Login: " + string(name), "Subject common name: " + common}
	if chain, err := readChain(settings.String(fieldCertificate)); err == nil {
		lines = append(lines, "Issuer: "+chain[0].Subject.String())
	}
	lines = append(lines,
		fmt.Sprintf("Serial: %x", serial(name)),
		"Valid: until "+lastSecond(providers.Login{ExpiresAt: expiresAt}).Format(time.RFC3339),
		"Usages: "+strings.Join(options.List(optionUsages), ", "),
	)
	for _, kind := range names {
		if templates := kind.templates(options); len(templates) > 0 && kind.option != optionCommonName {
			lines = append(lines, kind.option+": "+strings.Join(templates, ", "))
		}
	}
	return lines
}

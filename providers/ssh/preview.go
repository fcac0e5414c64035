package ssh

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"broker/providers"
)

// Preview shows the certificate in the words of ssh-keygen -L.
func (Provider) Preview(settings providers.Settings, options providers.Options, name providers.LoginName, expiresAt time.Time) []string {
	lines := []string{
		"Type: user certificate, signed by " + settings.String(fieldPublicKey),
		fmt.Sprintf("Key ID: %q", string(name)),
		fmt.Sprintf("Serial: %d", serial(name)),
		"Valid: until " + validUntil(providers.Login{ExpiresAt: expiresAt}).Format(time.RFC3339),
		"Principals: " + strings.Join(options.List(optionPrincipals), ", "),
	}
	made := permissions(options)
	for _, option := range slices.Sorted(maps.Keys(made.CriticalOptions)) {
		lines = append(lines, "Critical option: "+option+" "+made.CriticalOptions[option])
	}
	for _, extension := range slices.Sorted(maps.Keys(made.Extensions)) {
		lines = append(lines, strings.TrimSpace("Extension: "+extension+" "+made.Extensions[extension]))
	}
	return lines
}

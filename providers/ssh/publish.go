package ssh

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"broker/providers"
)

// Names of documents.
const (
	documentPublicKey = "ca.pub"
	documentRevoked   = "krl"
)

// Documents are the authority's public key and the list of revoked certificates.
func (Provider) Documents() []providers.Document {
	return []providers.Document{
		{Name: documentPublicKey, ContentType: "text/plain; charset=utf-8",
			Help: "Public key of the authority, for sshd's TrustedUserCAKeys. While leases of an authority that was replaced live, its key is there too."},
		{Name: documentRevoked, ContentType: "application/octet-stream",
			Help: "Certificates that were revoked before their end, as an OpenSSH key revocation list for sshd's RevokedKeys."},
	}
}

// Publish writes a document.
func (Provider) Publish(document string, systems []providers.PublishedSystem, now time.Time) ([]byte, error) {
	var keys bytes.Buffer
	var serials []uint64
	for _, system := range systems {
		if system.Settings != nil {
			fmt.Fprintln(&keys, system.Settings.String(fieldPublicKey))
		}
		for _, login := range system.Ended {
			serials = append(serials, serial(login.Name))
		}
	}
	switch document {
	case documentPublicKey:
		return keys.Bytes(), nil
	case documentRevoked:
		slices.Sort(serials)
		return revocationList(slices.Compact(serials), now), nil
	}
	return nil, fmt.Errorf("there is no document %q: there is %s", document, strings.Join([]string{documentPublicKey, documentRevoked}, ", "))
}

package x509

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"time"

	"broker/providers"
)

// Names of documents.
const (
	documentAuthority = "ca.pem"
	documentList      = "crl.pem"
	documentListDER   = "crl.der"
)

// Documents are the authority's certificate and its list of revoked certificates.
func (Provider) Documents() []providers.Document {
	return []providers.Document{
		{Name: documentAuthority, ContentType: "application/x-pem-file",
			Help: "Certificates of the authority and those above it (PEM). While leases of an authority that was replaced live, it is there too."},
		{Name: documentList, ContentType: "application/x-pem-file",
			Help: "List of certificates that were revoked before their end (PEM); one for each authority in ca.pem that signs."},
		{Name: documentListDER, ContentType: "application/pkix-crl",
			Help: "The same list (DER), of the present authority only."},
	}
}

// Publish writes a document.
func (Provider) Publish(document string, systems []providers.PublishedSystem, now time.Time) ([]byte, error) {
	// Each list names them all: a serial number is no other authority's, and of a system that is gone it is not known
	// which authority it had.
	var ended []providers.EndedLogin
	for _, system := range systems {
		ended = append(ended, system.Ended...)
	}
	var text bytes.Buffer
	written := map[providers.SystemID]bool{}
	for _, system := range systems {
		if system.Settings == nil {
			continue // nothing can be signed any more, and no server trusts that authority by ca.pem
		}
		authority, err := readAuthority(system.Settings)
		if err != nil {
			return nil, err
		}
		if written[authority.fingerprint()] {
			continue // of two lists of one authority a server may take either
		}
		written[authority.fingerprint()] = true
		if document == documentAuthority {
			text.WriteString(authority.pem())
			continue
		}
		list, err := authority.revocationList(ended, now, system.Settings.Duration(fieldListTTL))
		if err != nil {
			return nil, err
		}
		switch document {
		case documentListDER:
			return list, nil
		case documentList:
			text.WriteString(encode("X509 CRL", list))
		default:
			return nil, fmt.Errorf("there is no document %q", document)
		}
	}
	return text.Bytes(), nil
}

// revocationList signs a list of the certificates of logins.
func (a *authority) revocationList(ended []providers.EndedLogin, now time.Time, ttl time.Duration) ([]byte, error) {
	entries := make([]x509.RevocationListEntry, 0, len(ended))
	for _, login := range ended {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: serial(login.Name), RevocationTime: login.At})
	}
	slices.SortFunc(entries, func(x, y x509.RevocationListEntry) int { return x.SerialNumber.Cmp(y.SerialNumber) })
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		RevokedCertificateEntries: entries, Number: big.NewInt(now.UnixMilli()), // a later list is greater
		// Servers' clocks differ, and one that is behind would not take a list of its future.
		ThisUpdate: now.Add(-backdate), NextUpdate: now.Add(ttl),
	}, a.certificate, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing the list of what was revoked: %w", err)
	}
	return list, nil
}

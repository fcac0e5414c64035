package x509

import "broker/providers"

// Names of connection fields.
const (
	fieldCertificate  = "ca_certificate"
	fieldPrivateKey   = "ca_private_key"
	fieldCommonName   = "ca_common_name"
	fieldKeyType      = "ca_key_type"
	fieldAllowedNames = "allowed_names"
	fieldListURL      = "crl_url"
	fieldListTTL      = "crl_ttl"
)

// Names of options.
const (
	optionCommonName   = "common_name"
	optionOrganization = "organization"
	optionUnits        = "organizational_units"
	optionDNS          = "dns_sans"
	optionURI          = "uri_sans"
	optionEmail        = "email_sans"
	optionIP           = "ip_sans"
	optionUsages       = "usages"
	optionKeyType      = "key_type"
)

// parameterRequest is what a request for a lease may bring: a certificate signing request.
const parameterRequest = "csr"

// The types of keys.
const (
	keyECDSA   = "ecdsa"
	keyEd25519 = "ed25519"
	keyRSA     = "rsa"
)

// What a certificate may be used for.
const (
	usageClient = "client"
	usageServer = "server"
)

// maxLoginName is the longest common name that RFC 5280 allows.
const maxLoginName = 64

// Provider is the provider "x509". It has no state.
type Provider struct{}

// Describe returns the description of the provider "x509".
func (Provider) Describe() providers.Description {
	const filled = " {{account}}, {{app}}, {{env}} and {{secret}} are replaced."
	return providers.Description{
		Name:    "x509",
		Title:   "X.509 certificates",
		Summary: "TLS client certificates, signed by an authority of the connection; servers need its certificate and its revocation list.",
		Connection: []providers.Field{
			{Name: fieldCertificate, Type: providers.TypeText, Locates: true, Made: true,
				Help: "Certificate of the authority (PEM), followed by those above it when it is an intermediate one. Left out together with the key, the broker makes an authority of its own, good for ten years."},
			{Name: fieldPrivateKey, Type: providers.TypeText, Secret: true,
				Help: "Private key of the authority (PEM), without a passphrase. Left out together with the certificate, the broker makes one that nobody ever sees."},
			{Name: fieldCommonName, Type: providers.TypeString, Default: "Broker client authority",
				Help: "Common name of the authority that the broker makes."},
			{Name: fieldKeyType, Type: providers.TypeString, Enum: []string{keyECDSA, keyRSA}, Default: keyECDSA,
				Help: "Type of the key of the authority that the broker makes: ECDSA is P-256, RSA has 3072 bits."},
			{Name: fieldAllowedNames, Type: providers.TypeList, Example: "*.internal",
				Help: "Common names and alternative names that secrets may give certificates, as they stand there ({{account}}) or filled in; * stands for any part of one. The login's own name is always allowed. Without any, whoever may write secrets on this connection can have a certificate of every name."},
			{Name: fieldListURL, Type: providers.TypeString, Example: "http://pki.example.com/clients.crl",
				Help: "Where certificates say that the revocation list is (CRL distribution point). Empty: they do not say it."},
			{Name: fieldListTTL, Type: providers.TypeDuration, Default: "24h",
				Help: "For how long a revocation list is good, at least an hour. Servers that hold fast to it refuse everybody when they cannot get a newer one in that time."},
		},
		Options: []providers.Field{
			{Name: optionCommonName, Type: providers.TypeString, Example: "{{account}}",
				Help: "Common name of the certificate's subject. Empty: the login's name, which no two certificates share." + filled},
			{Name: optionOrganization, Type: providers.TypeList, Help: "Organizations of the subject." + filled},
			{Name: optionUnits, Type: providers.TypeList, Help: "Organizational units of the subject." + filled},
			{Name: optionDNS, Type: providers.TypeList, Example: "{{app}}.internal", Help: "Host names that the certificate is for." + filled},
			{Name: optionURI, Type: providers.TypeList, Example: "spiffe://example.com/{{app}}/{{env}}", Help: "URIs that the certificate is for." + filled},
			{Name: optionEmail, Type: providers.TypeList, Example: "{{account}}@example.com", Help: "Mail addresses that the certificate is for." + filled},
			{Name: optionIP, Type: providers.TypeList, Help: "IP addresses that the certificate is for."},
			{Name: optionUsages, Type: providers.TypeList, Default: []string{usageClient}, Example: usageServer,
				Help: "What the certificate may be used for: client, server, or both."},
			{Name: optionKeyType, Type: providers.TypeString, Enum: []string{keyECDSA, keyEd25519, keyRSA}, Default: keyECDSA,
				Help: "Type of the keys that the broker makes when a request brings none: ECDSA is P-256, RSA has 3072 bits."},
			providers.LoginNameOption(),
		},
		Parameters: []providers.Field{
			{Name: parameterRequest, Type: providers.TypeText,
				Help: "Certificate signing request (PEM). Only its public key is taken: what the certificate says is the secret's. Its private key stays where it is."},
		},
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the lease's login; the certificate's common name unless the secret has another."},
			{Name: "certificate", Help: "The certificate (PEM)."},
			{Name: "private_key", Help: "Its private key (PEM, PKCS #8); empty when the request brought a signing request.", Secret: true},
			{Name: "ca_chain", Help: "The authority's certificate and those above it (PEM)."},
			{Name: "bundle", Help: "Private key, certificate and chain in one (PEM).", Secret: true},
			{Name: "serial", Help: "The certificate's serial number, in hexadecimal digits."},
			{Name: "valid_until", Help: "The certificate's end, as RFC 3339: the lease's, cut to the second."},
		},
		NativeExpiry: true,
		Fixed:        true,
		MaxLoginName: maxLoginName,
	}
}

package ssh

import "broker/providers"

// Names of connection fields.
const (
	fieldPrivateKey        = "ca_private_key"
	fieldPublicKey         = "ca_public_key"
	fieldKeyType           = "ca_key_type"
	fieldAllowedPrincipals = "allowed_principals"
)

// Names of options.
const (
	optionPrincipals    = "principals"
	optionExtensions    = "extensions"
	optionForceCommand  = "force_command"
	optionSourceAddress = "source_address"
	optionKeyType       = "key_type"
)

// parameterPublicKey is what a request for a lease may bring: the key to certify.
const parameterPublicKey = "public_key"

// The types of keys.
const (
	keyEd25519 = "ed25519"
	keyECDSA   = "ecdsa"
	keyRSA     = "rsa"
)

// maxLoginName bounds the id of a certificate's key, which sshd writes into its log at each log-in.
const maxLoginName = 63

// Provider is the provider "ssh". It has no state.
type Provider struct{}

// Describe returns the description of the provider "ssh".
func (Provider) Describe() providers.Description {
	return providers.Description{
		Name:    "ssh",
		Title:   "SSH certificates",
		Summary: "User certificates for OpenSSH, signed by an authority of the connection; hosts need its public key and nothing else.",
		Connection: []providers.Field{
			{Name: fieldPrivateKey, Type: providers.TypeText, Secret: true,
				Help: "Private key of the authority, as OpenSSH writes it, without a passphrase. Left out, the broker makes one that nobody ever sees."},
			{Name: fieldPublicKey, Type: providers.TypeString, Derived: true, Locates: true, Example: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…",
				Help: "Public key of the authority. It follows from the private key; given besides, the two must match."},
			{Name: fieldKeyType, Type: providers.TypeString, Enum: []string{keyEd25519, keyECDSA, keyRSA}, Default: keyEd25519,
				Help: "Type of the authority's key when the broker makes it: ECDSA is P-256, RSA has 3072 bits."},
			{Name: fieldAllowedPrincipals, Type: providers.TypeList, Example: "deploy",
				Help: "Principals that secrets may name, as they stand there ({{account}}) or filled in. Without any, whoever may write secrets on this connection can have certificates for every user of every host, root included."},
		},
		Options: []providers.Field{
			{Name: optionPrincipals, Type: providers.TypeList, Required: true, Example: "deploy",
				Help: "Whom hosts let the certificate's holder be: user names, or names that their AuthorizedPrincipalsFile lists. {{account}}, {{app}}, {{env}} and {{secret}} are replaced."},
			{Name: optionExtensions, Type: providers.TypeList, Default: []string{"permit-pty"}, Example: "permit-port-forwarding",
				Help: "What the holder may do besides running commands: permit-pty, permit-port-forwarding, permit-agent-forwarding, permit-X11-forwarding, permit-user-rc, no-touch-required, or name@domain, with =value where it takes one. An empty list permits none."},
			{Name: optionForceCommand, Type: providers.TypeString, Example: "/usr/local/bin/backup",
				Help: "The only command that hosts run for the holder, whatever is asked for."},
			{Name: optionSourceAddress, Type: providers.TypeList, Example: "10.0.0.0/8",
				Help: "Addresses or networks that the holder may come from. Empty: from everywhere."},
			{Name: optionKeyType, Type: providers.TypeString, Enum: []string{keyEd25519, keyECDSA, keyRSA}, Default: keyEd25519,
				Help: "Type of the key pairs that the broker makes when a request brings no public key: ECDSA is P-256, RSA has 3072 bits."},
			providers.LoginNameOption(),
		},
		Parameters: []providers.Field{
			{Name: parameterPublicKey, Type: providers.TypeText, Example: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…",
				Help: "Public key to certify, as in id_ed25519.pub; its private key then stays where it is. Without it the broker makes a pair."},
		},
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of the lease's login: the id of the certificate's key, which hosts write into their log. It is no user of theirs."},
			{Name: "private_key", Help: "The private key, as OpenSSH writes it; empty when the request brought a public key.", Secret: true},
			{Name: "public_key", Help: "The public key that is certified."},
			{Name: "certificate", Help: "The certificate, as in id_ed25519-cert.pub."},
			{Name: "principals", Help: "The certificate's principals, separated by commas."},
			{Name: "ca_public_key", Help: "The authority's public key."},
			{Name: "valid_until", Help: "The certificate's end, as RFC 3339: the lease's, cut to the second."},
		},
		NativeExpiry: true,
		Fixed:        true,
		MaxLoginName: maxLoginName,
	}
}

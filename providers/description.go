package providers

// Description tells everything people and programs need to know to use a provider. Forms, CLI help,
// API validation and documentation are made from it.
type Description struct {
	Name       string  `json:"name"`    // as in `--provider postgres`
	Title      string  `json:"title"`   // as people write it: "PostgreSQL"
	Summary    string  `json:"summary"` // one sentence
	Connection []Field `json:"connection"`
	Options    []Field `json:"options"`

	// Parameters are what a request for a lease may say besides, such as a public key to be certified. None is secret:
	// they are kept with the lease.
	Parameters []Field `json:"parameters,omitempty"`

	Outputs []Output `json:"outputs"`

	// NativeExpiry is true when the outside system ends a login by itself after the lease's end.
	NativeExpiry bool `json:"native_expiry"`

	// Fixed is true when the end of a credential is fixed as it is made, such as that of a certificate. Its lease
	// cannot be renewed.
	Fixed bool `json:"fixed,omitempty"`

	// Rotates is true when Backends are RootRotators.
	Rotates bool `json:"rotates,omitempty"`

	// MaxLoginName is the longest login name the outside system takes, in bytes.
	MaxLoginName int `json:"max_login_name"`
}

// FieldType is the type of a field's value.
type FieldType string

// The types of fields, with the Go type that validated values have.
const (
	TypeString   FieldType = "string"   // string
	TypeText     FieldType = "text"     // string of several lines
	TypeInteger  FieldType = "integer"  // int64
	TypeBoolean  FieldType = "boolean"  // bool
	TypeDuration FieldType = "duration" // string such as "1h30m0s", which survives every encoding; read with Duration
	TypeList     FieldType = "list"     // []string
)

// Field describes one setting of a connection or one option of a secret.
type Field struct {
	Name     string    `json:"name"`
	Type     FieldType `json:"type"`
	Help     string    `json:"help"` // one or two sentences
	Required bool      `json:"required,omitempty"`
	Secret   bool      `json:"secret,omitempty"` // write-only, sealed
	Default  any       `json:"default,omitempty"`
	Example  string    `json:"example,omitempty"`
	Enum     []string  `json:"enum,omitempty"` // the only values allowed, for TypeString
	Min      *int64    `json:"min,omitempty"`  // for TypeInteger
	Max      *int64    `json:"max,omitempty"`  // for TypeInteger

	// Locates is true for fields that say which system a connection points at, as opposed to how
	// it is reached or authenticated.
	Locates bool `json:"locates,omitempty"`

	// Derived is true for a field of a connection that a [Completer] works out of others: when a connection is changed
	// and this field is not given, it is worked out anew.
	Derived bool `json:"derived,omitempty"`

	// Made is true for a field of a connection that a [Completer] fills in when it is left out, and that stays then.
	Made bool `json:"made,omitempty"`

	// Statements is true for options that the outside system carries out as they are: whoever may set them can do
	// there whatever the root credential can.
	Statements bool `json:"statements,omitempty"`
}

// Limit returns a bound for Field.Min and Field.Max.
func Limit(n int64) *int64 { return &n }

// Output describes one field of the values that a lease carries.
type Output struct {
	Name   string `json:"name"`
	Help   string `json:"help"`
	Secret bool   `json:"secret,omitempty"` // masked where people look
}

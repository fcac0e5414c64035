package types

// Provider describes one kind of outside system: what its connections, secrets and leases hold.
type Provider struct {
	Name         string           `json:"name" example:"postgres"`
	Title        string           `json:"title" example:"PostgreSQL"`
	Summary      string           `json:"summary"`
	Connection   []Field          `json:"connection" nullable:"false" doc:"Fields of a connection's settings"`
	Options      []Field          `json:"options" nullable:"false" doc:"Options of a secret"`
	Parameters   []Field          `json:"parameters" nullable:"false" doc:"What a request for a lease may say besides"`
	Outputs      []ProviderOutput `json:"outputs" nullable:"false" doc:"Fields of the leased values"`
	NativeExpiry bool             `json:"native_expiry" doc:"The outside system ends a login by itself after the lease's end"`
	Fixed        bool             `json:"fixed" doc:"The end of a credential is fixed as it is made: its leases cannot be renewed"`
	Rotates      bool             `json:"rotates" doc:"The root credential of a connection can be exchanged by the broker"`
	Previews     bool             `json:"previews" doc:"It can be shown what a lease would do at the outside system"`
	MaxLoginName int              `json:"max_login_name" doc:"Longest login name in bytes"`
}

// FieldType is the type of a field's value.
type FieldType string

// The types of fields.
const (
	FieldString   FieldType = "string"
	FieldText     FieldType = "text"
	FieldInteger  FieldType = "integer"
	FieldBoolean  FieldType = "boolean"
	FieldDuration FieldType = "duration"
	FieldList     FieldType = "list"
)

// Field describes one setting of a connection or one option of a secret.
type Field struct {
	Name     string    `json:"name"`
	Type     FieldType `json:"type" doc:"string, text, integer, boolean, duration or list"`
	Help     string    `json:"help"`
	Required bool      `json:"required,omitempty"`
	Secret   bool      `json:"secret,omitempty" doc:"Write-only"`
	Default  any       `json:"default,omitempty"`
	Example  string    `json:"example,omitempty"`
	Enum     []string  `json:"enum,omitempty"`
	Min      *int64    `json:"min,omitempty"`
	Max      *int64    `json:"max,omitempty"`
	Locates  bool      `json:"locates,omitempty" doc:"Says which system a connection points at"`

	Derived    bool `json:"derived,omitempty" doc:"Worked out of other fields unless given"`
	Made       bool `json:"made,omitempty" doc:"Made by the broker unless given; stays then"`
	Statements bool `json:"statements,omitempty" doc:"Setting it needs connection:statements: the outside system carries it out as it is"`
}

// Document is what a connection publishes for those who check its credentials.
type Document struct {
	Name        string `json:"name" example:"ca.pem"`
	ContentType string `json:"content_type"`
	Help        string `json:"help"`
}

// ProviderOutput describes one field of the leased values.
type ProviderOutput struct {
	Name   string `json:"name"`
	Help   string `json:"help"`
	Secret bool   `json:"secret,omitempty" doc:"Hidden where people look"`
}

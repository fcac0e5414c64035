package declare

// Type is the type of a field's value.
type Type string

// The types of fields.
const (
	Text     Type = "text"
	Number   Type = "whole number"
	Truth    Type = "true or false"
	Length   Type = "duration" // kept as whole seconds
	Instant  Type = "time"     // kept as RFC 3339 text in UTC
	Texts    Type = "list of texts"
	Labels   Type = "texts by name"
	Settings Type = "the provider's fields"
	Outputs  Type = "list of outputs"
	Scope    Type = "scope"
)

// Field is one field of a kind of document. Its name is that of the API.
type Field struct {
	Name     string
	Type     Type
	Help     string
	Required bool
	Fixed    bool // cannot be changed once the object exists
	Kept     bool // left out: stays as it is, in place of having its default
	Sourced  bool // the value may be from_env or from_file
	Default  any  // what it is when it is left out; nil: empty
	Enum     []string
}

// Kind is a kind of documents.
type Kind struct {
	Name   string
	Help   string
	Fields []Field
}

// The names of the kinds. An account's document has the kind of the account.
const (
	Environment = "environment"
	User        = "user"
	Service     = "service"
	Group       = "group"
	Connection  = "connection"
	Secret      = "secret"
	Policy      = "policy"
	RoleBinding = "role-binding"
	Lock        = "lock"
)

// Kinds returns all kinds in the order in which objects are made: each may refer to those before it.
func Kinds() []Kind {
	name := Field{Name: "name", Type: Text, Required: true, Fixed: true}
	description := Field{Name: "description", Type: Text, Help: "what it is for"}
	maxLeases := Field{Name: "max_leases", Type: Number, Default: int64(0), Help: "live at one time; 0: no limit"}
	issueRate := Field{Name: "issue_rate", Type: Text, Help: "leases in a length of time, such as 10/1m; empty: no limit"}
	account := []Field{name, description, maxLeases, issueRate}
	return []Kind{
		{Environment, "where secrets live, named app/env", []Field{name, description}},
		{User, "a person's account; passwords, tokens and whether it is disabled are not in files", account},
		{Service, "a program's account; client secrets, tokens and whether it is disabled are not in files", account},
		{Group, "accounts that are given roles together", []Field{name, description,
			{Name: "members", Type: Texts, Help: "names of accounts"}}},
		{Connection, "an outside system and its root credential", []Field{name,
			{Name: "provider", Type: Text, Required: true, Fixed: true, Help: "the kind of outside system; brokerctl provider list"},
			description,
			{Name: "environments", Type: Texts, Help: "environments that may use it: app/env, app/* or *"},
			{Name: "settings", Type: Settings, Sourced: true, Help: "brokerctl provider get NAME lists them; secret ones are from_env or from_file and stay as they are when left out"},
			{Name: "sweep", Type: Text, Default: "remove", Enum: []string{"remove", "report", "off"}, Help: "what happens to logins that no lease knows"}}},
		{Secret, "what kind of login is made, and for how long", []Field{name,
			{Name: "environment", Type: Text, Required: true, Fixed: true, Help: "app/env"},
			{Name: "connection", Type: Text, Required: true, Fixed: true, Help: "the connection that makes its logins"},
			description,
			{Name: "options", Type: Settings, Sourced: true, Help: "the provider's options; brokerctl provider get NAME lists them"},
			{Name: "default_ttl", Type: Length, Help: "how long a lease lives unless said; 1h, or max_ttl where that is less"},
			{Name: "max_ttl", Type: Length, Help: "how long a lease can live with all renewals; 24h, or default_ttl where that is more"},
			{Name: "outputs", Type: Outputs, Help: "each with key, source and masked; left out: every field of the provider's values under its upper-case name"},
			{Name: "labels", Type: Labels, Help: "--prune chooses by them"},
			{Name: "disabled", Type: Truth, Kept: true, Help: "issue and renew no leases of it; stays as it is when left out"},
			maxLeases, issueRate}},
		{Policy, "rules in Cedar, besides roles", []Field{name, description,
			{Name: "text", Type: Text, Required: true, Sourced: true, Help: "the rules, or from_file"}}},
		{RoleBinding, "gives an account or a group a role; it is what its fields say and has no name", []Field{
			{Name: "role", Type: Text, Required: true, Fixed: true, Help: "brokerctl role list"},
			{Name: "account", Type: Text, Fixed: true, Help: "whom, or"},
			{Name: "group", Type: Text, Fixed: true, Help: "which group"},
			{Name: "scope", Type: Text, Required: true, Fixed: true, Help: "*, app/*, app/env or app/env/secret"}}},
		{Lock, "stops issue and renew; it is known by its scope and reason and has no name: with another reason it is another lock, beside the old one", []Field{
			{Name: "scope", Type: Scope, Required: true, Fixed: true, Help: "what it covers: environment, account, secret, connection, label, or several of them"},
			{Name: "reason", Type: Text, Required: true, Fixed: true, Help: "shown to everybody whom it stops"},
			{Name: "until", Type: Instant, Help: "left out: until it is deleted"}}},
	}
}

// kindOf returns a kind by its name.
func kindOf(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// rank is the place of a kind in the order in which objects are made.
func rank(name string) int {
	for i, k := range Kinds() {
		if k.Name == name {
			return i
		}
	}
	return len(Kinds())
}

func (k Kind) field(name string) (Field, bool) {
	for _, f := range k.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

func (k Kind) fieldNames() []string {
	names := []string{"kind"}
	for _, f := range k.Fields {
		names = append(names, f.Name)
	}
	return names
}

// scopeFields are what a lock's scope is made of.
var scopeFields = []string{"environment", "account", "secret", "connection", "label"}

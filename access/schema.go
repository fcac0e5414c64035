package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// attributes are those of the context, with whether they are always there.
func attributes() map[string]bool {
	return map[string]bool{"own": true, "token": true, "ttl": false, "address": false, "connection": false}
}

// schemaHead is what there is, and what it can be in.
const schemaHead = `
entity Group;
entity Account in [Group];
entity Cluster;
entity App in [Cluster];
entity Environment in [App];
entity Secret in [Environment];
entity Lease in [Secret, Environment, App, Cluster];
entity Connection in [Environment, App, Cluster];
entity Object in [Secret, Environment, App, Cluster];
type Context = { own: Bool, token: String, ttl?: Long, address?: ipaddr, connection?: String };
`

// resourceTypes says what kinds of entities the actions of a noun are about. What is not listed is about objects.
func resourceTypes() map[string]string {
	const anywhere = "Cluster, App, Environment, Secret, Lease, Connection, Object"
	return map[string]string{
		"environment": "Cluster, App, Environment",
		"secret":      "Cluster, App, Environment, Secret",
		"lease":       "Cluster, App, Environment, Secret, Lease",
		"connection":  "Cluster, App, Environment, Secret, Connection",
		"event":       anywhere,
		"lock":        anywhere,
		"operation":   anywhere,
		"orphan":      anywhere,
		"access":      anywhere,
	}
}

// schemaText is the vocabulary of policies in Cedar's schema language.
func schemaText() string {
	var text strings.Builder
	text.WriteString(schemaHead)
	known := resourceTypes()
	for _, action := range slices.Sorted(maps.Keys(Actions)) {
		noun, _, _ := strings.Cut(string(action), ":")
		on, ok := known[noun]
		if !ok {
			on = "Cluster, Object"
		}
		fmt.Fprintf(&text, "action %q appliesTo { principal: [Account], resource: [%s], context: Context };\n", string(action), on)
	}
	return text.String()
}

// newValidator makes what checks the types of policies.
func newValidator() (*validate.Validator, error) {
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(schemaText())); err != nil {
		return nil, fmt.Errorf("reading the vocabulary of policies: %w", err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("resolving the vocabulary of policies: %w", err)
	}
	return validate.New(resolved), nil
}

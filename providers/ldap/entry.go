package ldap

import (
	"slices"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// defaultCreation is what makes a login unless the secret has a template of its own.
const defaultCreation = `dn: {{dn}}
objectClass: inetOrgPerson
cn: {{name}}
sn: {{name}}
uid: {{name}}
`

// recordOf marks an entry as the cluster's, beyond the few characters that its name has room for.
func recordOf(clusterID, leaseID string) string {
	return "broker cluster=" + clusterID + " lease=" + leaseID
}

// creation reads how a secret's logins are made.
func creation(options providers.Options) (template, error) {
	text := options.String(optionCreationLDIF)
	if strings.TrimSpace(text) == "" {
		text = defaultCreation
	}
	return parseCreation(text)
}

// fillings are what a template's placeholders stand for. Only a create knows what the lease is for.
func (b *backend) fillings(grant providers.Grant) values {
	return values{
		placeholderName: string(grant.Name), placeholderDN: b.settings.dn(grant.Name), placeholderBase: b.settings.userBase,
		placeholderCluster: b.env.ClusterID, placeholderLease: grant.LeaseID,
		placeholderApp: grant.For.App, placeholderEnv: grant.For.Env, placeholderSecret: grant.For.Secret, placeholderAccount: grant.For.Account,
	}
}

// entry returns the login's entry: what the template says, its name, and the record of cluster and lease.
func (b *backend) entry(t template, grant providers.Grant) *goldap.AddRequest {
	name, v := grant.Name, b.fillings(grant)
	request := goldap.NewAddRequest(b.settings.dn(name), nil)
	add := func(attribute, value string) {
		for i := range request.Attributes {
			a := &request.Attributes[i]
			if !strings.EqualFold(a.Type, attribute) {
				continue
			}
			if !slices.Contains(a.Vals, value) { // a value twice is an error of the whole entry
				a.Vals = append(a.Vals, value)
			}
			return
		}
		request.Attribute(attribute, []string{value})
	}
	for _, a := range t.records[0].attributes {
		add(a.name, v.fill(a.value))
	}
	add(b.settings.nameAttribute, string(name))
	add(b.settings.recordAttribute, recordOf(b.env.ClusterID, grant.LeaseID))
	return request
}

// memberships returns the changes that make the login a member of the secret's groups, in the order of their DNs, or
// that end it.
func (b *backend) memberships(options providers.Options, name providers.LoginName, operation uint) []*goldap.ModifyRequest {
	attribute := options.String(optionGroupAttribute)
	if attribute == "" {
		attribute = memberAttribute
	}
	groups := slices.Clone(options.List(optionGroups))
	slices.Sort(groups)
	var requests []*goldap.ModifyRequest
	for _, group := range slices.Compact(groups) {
		requests = append(requests, &goldap.ModifyRequest{DN: group, Changes: []goldap.Change{{Operation: operation,
			Modification: goldap.PartialAttribute{Type: attribute, Vals: []string{b.memberValue(attribute, name)}}}}})
	}
	return requests
}

// memberValue is how a group names the login.
func (b *backend) memberValue(attribute string, name providers.LoginName) string {
	if strings.EqualFold(attribute, memberUIDAttribute) {
		return string(name)
	}
	return b.settings.dn(name)
}

package fsm

import "fmt"

// Policy is a text of rules in the language Cedar. What it means, package access says; here it is a text.
type Policy struct {
	Name        PolicyName `cbor:"1,keyasint"`
	Description string     `cbor:"2,keyasint,omitempty"`
	Text        string     `cbor:"3,keyasint"`
	CreatedAt   Instant    `cbor:"4,keyasint"`
	UpdatedAt   Instant    `cbor:"5,keyasint"`
	Version     uint64     `cbor:"6,keyasint"`
}

// CreatePolicy makes a policy. Value: Policy.
type CreatePolicy struct {
	Name        PolicyName `cbor:"1,keyasint"`
	Description string     `cbor:"2,keyasint,omitempty"`
	Text        string     `cbor:"3,keyasint"`
}

// UpdatePolicy changes a policy; nil fields stay. Value: Policy.
type UpdatePolicy struct {
	Name        PolicyName `cbor:"1,keyasint"`
	Description *string    `cbor:"2,keyasint,omitempty"`
	Text        *string    `cbor:"3,keyasint,omitempty"`
	IfVersion   uint64     `cbor:"4,keyasint,omitempty"`
}

// DeletePolicy removes a policy. Value: Policy.
type DeletePolicy struct {
	Name      PolicyName `cbor:"1,keyasint"`
	IfVersion uint64     `cbor:"2,keyasint,omitempty"`
}

func (*CreatePolicy) commandType() CommandType { return TypeCreatePolicy }
func (*UpdatePolicy) commandType() CommandType { return TypeUpdatePolicy }
func (*DeletePolicy) commandType() CommandType { return TypeDeletePolicy }

var policies = table[Policy]{
	bucket: "policies",
	key:    func(r *Policy) []byte { return []byte(r.Name) },
}

func (p Policy) ref() string { return string(p.Name) }

func recallPolicy(v *View, ref string) (any, bool) { return recalled(v.Policy(PolicyName(ref))) }

// The bounds of policies: each decision may have to look at all of them.
const (
	MaxPolicyText = 64 << 10
	maxPolicies   = 1000
)

func badPolicyText(text string) *Refusal {
	if text == "" || len(text) > MaxPolicyText {
		return &Refusal{Code: CodeInvalid, Field: "text", Message: fmt.Sprintf("a policy has a text of 1 to %d bytes, not %d", MaxPolicyText, len(text))}
	}
	return nil
}

func applyCreatePolicy(t *txn, c *CreatePolicy) (Policy, *Refusal) {
	if !ValidName(string(c.Name)) {
		return Policy{}, badName("policy", string(c.Name))
	}
	if r := badPolicyText(c.Text); r != nil {
		return Policy{}, r
	}
	if _, ok := t.Policy(c.Name); ok {
		return Policy{}, exists("name", "policy", string(c.Name))
	}
	if len(t.Policies("", maxPolicies)) == maxPolicies {
		return Policy{}, &Refusal{Code: CodeQuotaExceeded, Message: fmt.Sprintf("there are %d policies, which is the most: one policy may hold many rules", maxPolicies)}
	}
	p := Policy{Name: c.Name, Description: c.Description, Text: c.Text, CreatedAt: t.now(), UpdatedAt: t.now(), Version: t.meta.Index}
	policies.put(t, p)
	t.record(Event{Type: EventPolicyCreated, Subject: string(p.Name)})
	return p, nil
}

func applyUpdatePolicy(t *txn, c *UpdatePolicy) (Policy, *Refusal) {
	p, ok := t.Policy(c.Name)
	if !ok {
		return p, notFound("name", "policy", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, p.Version, "policy", string(c.Name)); r != nil {
		return p, r
	}
	if c.Text != nil {
		if r := badPolicyText(*c.Text); r != nil {
			return p, r
		}
	}
	set(&p.Description, c.Description)
	set(&p.Text, c.Text)
	p.UpdatedAt, p.Version = t.now(), t.meta.Index
	policies.put(t, p)
	t.record(Event{Type: EventPolicyUpdated, Subject: string(p.Name)})
	return p, nil
}

func applyDeletePolicy(t *txn, c *DeletePolicy) (Policy, *Refusal) {
	p, ok := t.Policy(c.Name)
	if !ok {
		return p, notFound("name", "policy", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, p.Version, "policy", string(c.Name)); r != nil {
		return p, r
	}
	policies.delete(t, []byte(p.Name))
	t.record(Event{Type: EventPolicyDeleted, Subject: string(p.Name)})
	return p, nil
}

// Policy returns the policy of that name.
func (v *View) Policy(name PolicyName) (Policy, bool) { return policies.get(v.tx, []byte(name)) }

// Policies returns up to limit policies in order of name, beginning after the one named.
func (v *View) Policies(after PolicyName, limit int) []Policy {
	return page(v.tx, policies, []byte(after), limit, nil)
}

package fsm

import "fmt"

func applyCreateSecret(t *txn, c *CreateSecret) (Secret, *Refusal) {
	if _, short := c.Name.Split(); !ValidName(short) {
		return Secret{}, badName("secret", string(c.Name))
	}
	if _, ok := t.Secret(c.Name); ok {
		return Secret{}, exists("name", "secret", string(c.Name))
	}
	s := Secret{
		Name: c.Name, Description: c.Description, Connection: c.Connection, Options: c.Options,
		DefaultTTL: c.DefaultTTL, MaxTTL: c.MaxTTL, Outputs: c.Outputs, Labels: c.Labels,
		MaxLeases: c.MaxLeases, IssueRate: c.IssueRate, Disabled: c.Disabled,
		CreatedAt: t.now(), UpdatedAt: t.now(), Version: t.meta.Index,
	}
	if r := t.checkSecret(s); r != nil {
		return Secret{}, r
	}
	// Later the connection may be narrowed: then nothing is issued any more, and the secret can still
	// be changed.
	if c, _ := t.Connection(s.Connection); !c.Allows(s.environment()) {
		return Secret{}, notAllowed(c, s.environment())
	}
	t.putOutputKeys(nil, s)
	secrets.put(t, s)
	t.record(Event{Type: EventSecretCreated, Subject: string(c.Name), Details: map[string]string{"connection": string(c.Connection)}})
	return s, nil
}

func applyUpdateSecret(t *txn, c *UpdateSecret) (Secret, *Refusal) {
	old, ok := t.Secret(c.Name)
	if !ok {
		return old, notFound("name", "secret", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, old.Version, "secret", string(c.Name)); r != nil {
		return old, r
	}
	s := old
	set(&s.Description, c.Description)
	set(&s.DefaultTTL, c.DefaultTTL)
	set(&s.MaxTTL, c.MaxTTL)
	set(&s.Outputs, c.Outputs)
	set(&s.Labels, c.Labels)
	set(&s.Disabled, c.Disabled)
	set(&s.MaxLeases, c.MaxLeases)
	set(&s.IssueRate, c.IssueRate)
	if c.Options != nil {
		s.Options = c.Options
	}
	s.UpdatedAt, s.Version = t.now(), t.meta.Index
	if r := t.checkSecret(s); r != nil {
		return old, r
	}
	if t.Count(secretVersionCounter(s.Name, old.Version)) > 0 {
		secretVersions.put(t, old)
	}
	t.putOutputKeys(old.Outputs, s)
	secrets.put(t, s)
	t.record(Event{Type: EventSecretUpdated, Subject: string(c.Name)})
	return s, nil
}

func applyDeleteSecret(t *txn, c *DeleteSecret) (Secret, *Refusal) {
	s, ok := t.Secret(c.Name)
	if !ok {
		return s, notFound("name", "secret", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, s.Version, "secret", string(c.Name)); r != nil {
		return s, r
	}
	if r := going(TargetSecret, string(c.Name), s.Going); r != nil {
		return s, r
	}
	if live := t.LiveLeases(c.Name); live > 0 {
		return s, (&Refusal{Code: CodeActiveLeases, Message: fmt.Sprintf("secret %q has %d live leases: revoke them first", c.Name, live)}).
			With("leases", fmt.Sprint(live))
	}
	t.dropSecret(s)
	return s, nil
}

func (t *txn) dropSecret(s Secret) {
	env, _ := s.Name.Split()
	for _, o := range s.Outputs {
		t.delete(bucketOutputKeys, outputKey(env, o.Key))
	}
	secrets.delete(t, []byte(s.Name))
	t.record(Event{Type: EventSecretDeleted, Subject: string(s.Name)})
}

// checkSecret holds what must be true of a secret in relation to other records.
func (t *txn) checkSecret(s Secret) *Refusal {
	env, _ := s.Name.Split()
	e, ok := t.Environment(env)
	if !ok {
		return notFound("environment", "environment", string(env))
	}
	c, ok := t.Connection(s.Connection)
	if !ok {
		return notFound("connection", "connection", string(s.Connection))
	}
	if r := going(TargetEnvironment, string(env), e.Going); r != nil {
		return r
	}
	if r := going(TargetConnection, string(c.Name), c.Going); r != nil {
		return r
	}
	if s.DefaultTTL > s.MaxTTL {
		return &Refusal{Code: CodeInvalid, Field: "default_ttl", Message: fmt.Sprintf("default_ttl %s is above max_ttl %s", FormatTTL(s.DefaultTTL), FormatTTL(s.MaxTTL))}
	}
	for _, o := range s.Outputs {
		if !ValidOutputKey(o.Key) {
			return badName("output", o.Key)
		}
		if owner := t.tx.Bucket([]byte(bucketOutputKeys)).Get(outputKey(env, o.Key)); owner != nil && string(owner) != string(s.Name) {
			return &Refusal{Code: CodeOutputKeyTaken, Field: "outputs", Message: fmt.Sprintf("output %q of environment %q belongs to secret %q: choose another key", o.Key, env, owner)}
		}
	}
	return nil
}

func (r Secret) environment() EnvironmentName {
	env, _ := r.Name.Split()
	return env
}

func notAllowed(c Connection, env EnvironmentName) *Refusal {
	return &Refusal{Code: CodeEnvironmentDenied, Field: "connection", Message: fmt.Sprintf("connection %q does not allow environment %q: it allows %v", c.Name, env, c.Environments)}
}

// putOutputKeys makes the output keys of the secret its own within the environment.
func (t *txn) putOutputKeys(old []Output, s Secret) {
	env, _ := s.Name.Split()
	for _, o := range old {
		t.delete(bucketOutputKeys, outputKey(env, o.Key))
	}
	for _, o := range s.Outputs {
		t.put(bucketOutputKeys, outputKey(env, o.Key), []byte(s.Name))
	}
}

func outputKey(env EnvironmentName, key string) []byte { return rowKey([]byte(env), []byte(key)) }

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

package rabbitmq

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"broker/providers"
)

// What the identity of a cluster begins with: its own, or the address for want of one.
const (
	identityOwn     = "rabbitmq-"
	identityAddress = "rabbitmq-at-"
)

// tagAdministrator is the tag of those who may do everything.
const tagAdministrator = "administrator"

// Check looks whether the root account is an administrator, and which cluster this is.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	if err := b.ready(ctx); err != nil {
		return "", err
	}
	const doing = "asking RabbitMQ who the root account is"
	a, err := b.do(ctx, doing, http.MethodGet, "whoami", nil, http.StatusOK)
	if err != nil {
		return "", err
	}
	var self struct {
		Tags tags `json:"tags"`
	}
	if err := json.Unmarshal(a.body, &self); err != nil {
		return "", b.notRabbitMQ(doing)
	}
	if !slices.Contains(self.Tags, tagAdministrator) {
		return "", &providers.Error{Kind: providers.KindRejected, Hint: fmt.Sprintf("Run at a node: rabbitmqctl set_user_tags %s administrator", b.settings.username),
			Err: fmt.Errorf("the root account %q lacks the tag administrator, without which it can make no users", b.settings.username)}
	}
	return b.systemID(ctx)
}

// systemID is the id that the cluster gave itself when it was made, or the address where it has none.
func (b *backend) systemID(ctx context.Context) (providers.SystemID, error) {
	const doing = "asking RabbitMQ which cluster it is"
	a, err := b.do(ctx, doing, http.MethodGet, "global-parameters/internal_cluster_id", nil, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return "", err
	}
	if a.status == http.StatusNotFound {
		return providers.SystemID(identityAddress + b.settings.address()), nil
	}
	var parameter struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(a.body, &parameter); err != nil || parameter.Value == "" {
		return "", b.notRabbitMQ(doing)
	}
	return providers.SystemID(identityOwn + parameter.Value), nil
}

// prove refuses any cluster but the one that is meant, where every login is absent of course: an address can come to
// mean another. Nothing of a call that it begins has been sent when it fails.
func (b *backend) prove(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	found, err := b.systemID(ctx)
	if err != nil {
		return notSent(err)
	}
	if meant := b.env.Identity; meant != "" && found != meant && meant != providers.SystemID(identityAddress+b.settings.address()) {
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true,
			Hint: "Let the connection's address lead to the cluster again that its leases were made at. If another has taken its place for good, say that the connection was replaced.",
			Err:  fmt.Errorf("the cluster at %s is another one than the one that is meant: %s, not %s", b.settings.address(), found, meant)}
	}
	return nil
}

// notSent marks the error of a request that only asked, before anything else of its call.
func notSent(err error) error {
	e := *err.(*providers.Error)
	e.NotSent = true
	if e.Kind == providers.KindUnknown {
		e.Kind = providers.KindUnavailable
	}
	return &e
}

func (b *backend) notRabbitMQ(doing string) *providers.Error {
	return &providers.Error{Kind: providers.KindRejected, NotSent: true, Hint: "Is this the port of the management API?",
		Err: fmt.Errorf("%s at %s: the answer is not RabbitMQ's", doing, b.settings.address())}
}

// CheckOptions looks whether the virtual hosts exist that the options name.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	r, problems := readRights(options)
	if len(problems) > 0 {
		return problems, nil
	}
	if err := b.prove(ctx); err != nil {
		return nil, err
	}
	const doing = "listing virtual hosts"
	a, err := b.do(ctx, doing, http.MethodGet, "vhosts?columns=name", nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	var vhosts []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(a.body, &vhosts); err != nil {
		return nil, b.notRabbitMQ(doing)
	}
	for _, p := range r.permissions {
		if !slices.ContainsFunc(vhosts, func(v struct {
			Name string `json:"name"`
		}) bool {
			return v.Name == p.vhost
		}) {
			problems = append(problems, providers.FieldError{Field: optionPermissions, Message: fmt.Sprintf("virtual host %q does not exist", p.vhost)})
		}
	}
	return problems, nil
}

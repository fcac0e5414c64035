package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"broker/providers"
)

// LogIn has the management API judge a lease's values. It says of a good password that its user may not use the API, when
// it has no tag for that. What the login may do is not asked.
func (b *backend) LogIn(ctx context.Context, values providers.Values) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	who := credential{values["username"].Reveal(), values["password"]}
	_, err := b.doAs(ctx, who, fmt.Sprintf("logging in as %q", who.username), http.MethodGet, "whoami", nil, http.StatusOK)
	var status statusError
	if errors.As(err, &status) && status.status == http.StatusUnauthorized {
		if strings.Contains(status.reason, "Not management user") {
			return nil
		}
		return &providers.Error{Kind: providers.KindRejected, NotSent: true,
			Err: fmt.Errorf("logging in at %s: the password of user %q was refused, or there is no such user", b.settings.address(), who.username)}
	}
	return err
}

// Preview shows the requests that make and remove a user.
func (Provider) Preview(_ providers.Settings, options providers.Options, name providers.LoginName, _ time.Time) []string {
	r, problems := readRights(options)
	if len(problems) > 0 {
		return []string{problems[0].Error()}
	}
	line := func(path string, body any) string {
		content, err := json.Marshal(body)
		if err != nil {
			return err.Error()
		}
		return "PUT /api/" + path + " " + string(content)
	}
	user := user{PasswordHash: "{{salted SHA-256 of password}}", HashingAlgorithm: "rabbit_password_hashing_sha256",
		Tags: strings.Join(append(r.tags, tagCluster+"{{cluster}}", tagLease+"{{lease}}"), ",")}
	lines := []string{line(path("users", string(name)), user)}
	for _, p := range r.permissions {
		lines = append(lines, line(path("permissions", p.vhost, string(name)), map[string]string{"configure": p.configure, "write": p.write, "read": p.read}))
	}
	for _, p := range r.topics {
		lines = append(lines, line(path("topic-permissions", p.vhost, string(name)), map[string]string{"exchange": p.exchange, "write": p.write, "read": p.read}))
	}
	return append(lines, "at the end: DELETE /api/"+path("users", string(name)), "and, while there are any: DELETE /api/"+path("connections", "username", string(name)))
}

package webhook

import (
	"encoding/json"
	"time"

	"broker/providers"
)

// Preview shows the calls of a login's life.
func (Provider) Preview(s providers.Settings, options providers.Options, name providers.LoginName, expiresAt time.Time) []string {
	target, err := readURL(s.String(fieldURL))
	if err != nil {
		return []string{"# " + err.Error()}
	}
	b := &backend{env: providers.Env{ClusterID: "{{cluster}}", Prefix: string(name)}}
	login, err := b.login(providers.Login{Name: name, ExpiresAt: expiresAt, Options: options})
	if err != nil {
		return []string{"# " + err.Error()}
	}
	var lines []string
	for _, step := range []struct {
		operation string
		request   any
	}{
		{operationCreate, CreateRequest{Call: b.head(operationCreate, login.Name), Login: login, Lease: "{{lease}}", Deadline: login.ExpiresAt}},
		{operationRenew, LoginRequest{Call: b.head(operationRenew, login.Name), Login: login}},
		{operationRevoke, LoginRequest{Call: b.head(operationRevoke, login.Name), Login: login}},
	} {
		body, err := json.Marshal(step.request)
		if err != nil {
			return []string{"# " + err.Error()}
		}
		lines = append(lines, "POST "+target.JoinPath(step.operation).String()+" "+string(body))
	}
	return lines
}

package broker

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"broker/fsm"
	"broker/providers"
)

// uniquePlace stands for the unique part of a login's name, which is drawn for each lease.
var uniquePlace = strings.Repeat("x", 16)

// Preview is what a lease of a secret would do at the outside system.
type Preview struct {
	Username string // of the login, with x in place of its unique part
	Provider string
	Steps    []string // one step a line, secret values as placeholders; empty: the provider cannot tell
}

// Preview tells what a lease of the secret for the account would do. It calls nothing and changes nothing, at whichever
// node; the secret need not be stored. Errors: *fsm.Refusal.
func (b *Broker) Preview(secret fsm.Secret, account fsm.AccountName) (Preview, error) {
	var record fsm.System
	var clusterID string
	found := false
	if err := b.peek(func(v *fsm.View) {
		clusterID = v.Meta().ClusterID
		if c, ok := v.Connection(secret.Connection); ok {
			record, found = v.System(c.Name, c.System)
		}
	}); err != nil {
		return Preview{}, err
	}
	if !found {
		return Preview{}, notFoundConnection(secret.Connection)
	}
	options, err := b.options(record.Provider, secret.Options)
	if err != nil {
		return Preview{}, err
	}
	kind, _ := b.Providers.Get(record.Provider)
	// The fields that are sealed stay so: nothing that is shown needs them.
	settings := providers.Settings{}
	if err := json.Unmarshal(record.Settings, &settings); err != nil {
		return Preview{}, fmt.Errorf("reading the settings of connection %q: they are damaged", record.Connection)
	}
	name := loginName(b.Prefix, clusterID, kind, options, secret.Name, account, uniquePlace)
	out := Preview{Username: string(name), Provider: record.Provider}
	if p, ok := kind.(providers.Previewer); ok {
		out.Steps = p.Preview(settings, options, name, b.Now().Add(secret.DefaultTTL).Truncate(time.Second))
	}
	return out, nil
}

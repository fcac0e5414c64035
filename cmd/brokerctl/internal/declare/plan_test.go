package declare_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/api/types"
	"broker/cmd/brokerctl/internal/declare"
)

var fake = types.Provider{
	Name: "fake",
	Connection: []types.Field{
		{Name: "host", Type: types.FieldString, Required: true},
		{Name: "port", Type: types.FieldInteger, Default: float64(5432)},
		{Name: "public", Type: types.FieldString, Derived: true},
		{Name: "certificate", Type: types.FieldString, Made: true},
		{Name: "password", Type: types.FieldString, Required: true, Secret: true},
	},
	Options: []types.Field{{Name: "groups", Type: types.FieldList}, {Name: "idle", Type: types.FieldDuration, Default: "1m"}},
	Outputs: []types.ProviderOutput{{Name: "username"}, {Name: "password", Secret: true}},
}

func read(t *testing.T, text string, lenient bool) []declare.Object {
	t.Helper()
	reader := declare.Reader{
		Lenient: lenient,
		Getenv:  func(name string) (string, bool) { return "hunter2", name == "PW" },
		Open:    func(string, string) (string, error) { return "", fmt.Errorf("there is no such file") },
		Nearest: func(string, []string) string { return "" },
	}
	objects, problems := reader.Read("f", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return objects
}

func TestPlan(t *testing.T) {
	const (
		env        = "kind: environment\nname: a/b\n---\n"
		connection = "kind: connection\nname: db\nprovider: fake\nenvironments: ['*']\nsettings: {host: h, password: {from_env: PW}}\n---\n"
		secret     = "kind: secret\nname: a/b/s\nconnection: db\n---\n"
	)
	hour := types.Duration(time.Hour)
	open, masked, past := false, true, time.Unix(1, 0)
	have := map[string]any{
		"env":  types.Environment{Name: "a/b", Version: 3},
		"db":   types.Connection{Name: "db", Provider: "fake", Environments: []string{"*"}, Settings: map[string]any{"host": "h", "port": 5432, "public": "k", "certificate": "c"}, Sweep: "remove", SecretFields: []string{"password"}},
		"far":  types.Connection{Name: "db", Provider: "fake", Environments: []string{"*"}, Settings: map[string]any{"host": "far", "port": 1}, Sweep: "off"},
		"s":    types.Secret{Name: "s", Environment: "a/b", Connection: "db", Provider: "fake", Options: map[string]any{"idle": "1m0s"}, DefaultTTL: hour, MaxTTL: 24 * hour, Outputs: []types.Output{{Key: "USERNAME", Source: "username", Masked: &open}, {Key: "PASSWORD", Source: "password", Masked: &masked}}, Labels: map[string]string{}, Disabled: true},
		"old":  types.Secret{Name: "old", Environment: "a/b", Connection: "db", DefaultTTL: hour, MaxTTL: 24 * hour, Outputs: []types.Output{{Key: "OLD", Source: "username"}}, Labels: map[string]string{"by": "git"}},
		"team": types.Group{Name: "team", Members: []string{"alice", "bob"}},
		"ci":   types.Account{Name: "ci", Kind: "service"}, "alice": types.Account{Name: "alice", Kind: "user"}, "bob": types.Account{Name: "bob", Kind: "user"},
		"other": types.Lock{ID: "1", Scope: types.LockScope{Account: "ci"}, Reason: "r"}, "over": types.Lock{ID: "2", Scope: types.LockScope{Account: "ci"}, Reason: "r", Until: &past},
	}
	kinds := map[string]string{"env": declare.Environment, "db": declare.Connection, "far": declare.Connection, "s": declare.Secret, "old": declare.Secret, "team": declare.Group, "ci": declare.Service, "alice": declare.User, "bob": declare.User, "over": declare.Lock, "other": declare.Lock}
	for _, row := range []struct{ name, files, have, want string }{
		{"all new, in the order of dependencies", secret + connection + env, "", "create environment a/b; create connection db; create secret a/b/s"},
		{"all there, with defaults, what is derived or made, and what is kept", secret + connection + env, "env db s", "keep environment a/b; keep connection db; keep secret a/b/s"},
		{"a connection that one may not read", secret + env, "env s, but one may not list connections", "keep environment a/b; keep secret a/b/s"},
		{"of which nobody tells the provider", strings.Replace(secret, "name: a/b/s", "name: a/b/t", 1) + env, "env s, but one may not list connections", "keep environment a/b; create secret a/b/t"},
		{"settings and fields back to what the file says", env + connection, "env far", "keep environment a/b; update connection db settings.host settings.port sweep"},
		{"a new connection without its secret field", strings.ReplaceAll(connection, ", password: {from_env: PW}", ""), "", "! f:1:1: connection db is new and has no settings.password: password: {from_env: NAME} or {from_file: PATH}"},
		{"a new connection in a job without secrets", strings.ReplaceAll(connection, "PW", "ABSENT") + env, "leniently", "create environment a/b; create connection db"},
		{"a connection that is there may leave it out", strings.ReplaceAll(connection, ", password: {from_env: PW}", ""), "db", "keep connection db"},
		{"twice", env + env, "", "! f:4:1: environment a/b is in f:1:1 already"},
		{"nothing to refer to", secret, "env", `! f:3:13: there is no connection "db"`},
		{"not let in", secret + strings.Replace(connection, "'*'", "x/*", 1), "env", "! f:3:13: connection db may not be used in a/b: its environments do not say so"},
		{"what cannot be changed", "kind: secret\nname: a/b/s\nconnection: other\n---\n" + strings.Replace(connection, "name: db", "name: other", 1), "env s", "! f:3:13: the connection of secret a/b/s is db, and that cannot be changed: delete it first, or give this one another name"},
		{"keys of two secrets", secret + strings.Replace(secret, "a/b/s", "a/b/t", 1) + connection, "env s", "! f:5:1: the key USERNAME is a/b/s's in this environment: give outputs with keys of its own; ! f:5:1: the key PASSWORD is a/b/s's in this environment: give outputs with keys of its own"},
		{"another name for a secret that is pruned", strings.Replace(secret, "a/b/s", "a/b/new", 1) + "kind: secret\nname: a/b/new2\nconnection: db\noutputs: [{key: OLD, source: username}]\n---\n" + connection, "env old", "! f:8:10: the key OLD is a/b/old's in this environment: give outputs with keys of its own, or delete that one first: this apply would, as the last thing it does"},
		{"members in any order", "kind: group\nname: team\nmembers: [bob, alice]\n", "team alice bob", "keep group team"},
		{"a member less", "kind: group\nname: team\nmembers: [bob]\n", "team alice bob", "update group team members"},
		{"an account of another kind", "kind: user\nname: ci\n", "ci", "! f:1:1: account ci is a service, and that cannot be changed"},
		{"a lock whose end has passed", "kind: lock\nscope: {account: ci}\nreason: r\nuntil: 2000-01-01T00:00:00Z\n", "ci", "keep lock account ci"},
		{"a lock's other reason", "kind: lock\nscope: {account: ci}\nreason: s\n", "ci other", "create lock account ci"},
		{"a lock that is there", "kind: lock\nscope: {account: ci}\nreason: r\n", "ci other", "keep lock account ci"},
		{"a lock's other end", "kind: lock\nscope: {account: ci}\nreason: r\nuntil: 2040-01-01T00:00:00Z\n", "ci other", "update lock account ci until"},
		{"a lock that was there until its end", "kind: lock\nscope: {account: ci}\nreason: r\n", "ci over", "create lock account ci"},
		{"pruned last", env + connection + secret, "env db s old", "keep environment a/b; keep connection db; keep secret a/b/s; delete secret a/b/old"},
	} {
		t.Run(row.name, func(t *testing.T) {
			there, unread := strings.CutSuffix(row.have, ", but one may not list connections")
			there, lenient := strings.CutSuffix(there, "leniently")
			state := declare.State{
				Lenient:   lenient,
				Providers: map[string]types.Provider{"fake": fake}, Prune: map[string]string{"by": "git"}, Now: time.Unix(1e9, 0),
				Nearest: func(string, []string) string { return "" }, Seen: map[string]bool{declare.Connection: !unread, declare.User: true, declare.Group: true},
			}
			for name := range strings.FieldsSeq(there) {
				o, err := declare.There(kinds[name], have[name])
				if err != nil {
					t.Fatal(err)
				}
				state.Have = append(state.Have, o)
			}
			actions, problems := declare.Plan(read(t, row.files, state.Lenient), state)
			var got []string
			for _, one := range problems {
				got = append(got, "! "+one.Error())
			}
			for _, one := range actions {
				if len(problems) > 0 {
					break
				}
				text := string(one.Verb) + " " + one.Object().Kind + " " + one.Object().Name
				for _, change := range one.Changes {
					text += " " + change.Path
				}
				got = append(got, text)
				if printed := fmt.Sprintf("%v %+v %#v", one, one, one); strings.Contains(printed, "hunter2") {
					t.Errorf("printing an action shows a secret value: %s", printed)
				}
			}
			if diff := cmp.Diff(row.want, strings.Join(got, "; ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

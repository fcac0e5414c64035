package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"broker/providers"
)

// LogIn logs in with a lease's values and out again. What the login may do is not asked.
func (b *backend) LogIn(ctx context.Context, values providers.Values) error {
	ctx, cancel := b.bound(ctx, 1)
	defer cancel()
	s, err := b.logIn(ctx, values["username"].Reveal(), values["password"])
	if err != nil {
		return err
	}
	s.close()
	return nil
}

// Preview shows the commands that make and remove a user.
func (Provider) Preview(s providers.Settings, options providers.Options, name providers.LoginName, _ time.Time) []string {
	rules, err := rulesOf(options)
	if err != nil {
		return []string{err.Error()}
	}
	var save []string
	switch s.String(fieldPersist) {
	case persistConfig:
		save = []string{"CONFIG REWRITE"}
	case persistFile, "":
		save = []string{"ACL SAVE"}
	}
	guard := guardPrefix + string(name)
	lines := []string{
		fmt.Sprintf("SET %s {{token}} PXAT {{deadline}}", guard),
		"WATCH " + guard,
		"MULTI",
		fmt.Sprintf("ACL SETUSER %s resetchannels %s (&%s{{cluster}}:{{lease}}) #{{sha256 of password}} on", name, strings.Join(rules, " "), loginMark),
		"DEL " + guard,
		"EXEC",
	}
	lines = append(lines, save...)
	lines = append(lines, "at the end: ACL DELUSER "+string(name))
	return append(lines, save...)
}

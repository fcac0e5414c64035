package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"broker/providers"
)

// rootCommands are those that the broker gives as the root account, each with arguments of the kind it uses. %s is the
// name of a login.
var rootCommands = []string{
	"ACL SETUSER %s on", "ACL DELUSER %s", "ACL GETUSER %s", "ACL USERS", "MULTI", "EXEC", "WATCH broker:create:%s", "UNWATCH",
	"SET broker:create:%s x", "GET broker:create:%s", "DEL broker:create:%s", "TIME", "CLIENT LIST", "CLIENT KILL ID 1",
}

// Check looks at the server's kind and identity, where it saves its users, and at the root account's permissions.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	ctx, cancel := b.bound(ctx, 4)
	defer cancel()
	// Whichever server answers: Check is how its identity becomes known.
	s, release, err := b.reach(ctx, b.turns)
	if err != nil {
		return "", err
	}
	defer release()
	a, err := b.ask(ctx, s)
	if err != nil {
		return "", err
	}
	if err := b.judge(a, ""); err != nil {
		return "", err
	}
	if err := b.permitted(ctx, s, a); err != nil {
		return "", err
	}
	if err := b.persistProblem(ctx, s, a); err != nil {
		return "", err
	}
	return b.systemID(a), nil
}

// permitted has the server say what it would answer the root account's commands. Servers before 7.0 cannot.
func (b *backend) permitted(ctx context.Context, s *session, a about) error {
	if a.version.before(7, 0) {
		return nil
	}
	commands := append([]string{}, rootCommands...)
	switch b.settings.persist {
	case persistFile:
		commands = append(commands, "ACL SAVE")
	case persistConfig:
		commands = append(commands, "CONFIG REWRITE")
	}
	answers := make([]*redis.Cmd, len(commands))
	_, err := s.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, command := range commands {
			args := []any{"ACL", "DRYRUN", b.settings.username}
			for word := range strings.FieldsSeq(strings.ReplaceAll(command, "%s", b.env.Prefix+"check")) {
				args = append(args, word)
			}
			answers[i] = p.Do(ctx, args...)
		}
		return nil
	})
	const doing = "reading the root account's permissions"
	if err != nil {
		return replyError(doing, err)
	}
	for i, answer := range answers {
		if answer.Val() != "OK" {
			command := strings.ReplaceAll(commands[i], "%s", "<login>")
			return &providers.Error{Kind: providers.KindRejected,
				Hint: fmt.Sprintf("Run as an administrator: ACL SETUSER %s %s", b.settings.username, permissionFor(commands[i])),
				Err:  fmt.Errorf("the root account %q may not give the command %s", b.settings.username, command)}
		}
	}
	return nil
}

// permissionFor is the rule that permits one of rootCommands.
func permissionFor(command string) string {
	words := strings.Fields(strings.ToLower(command))
	if words[0] == "acl" || words[0] == "config" || words[0] == "client" {
		return "+" + words[0] + "|" + words[1]
	}
	if len(words) > 1 {
		return "~" + guardPrefix + "* +" + words[0]
	}
	return "+" + words[0]
}

// probe is no rule, so that a command that ends with it is never carried out.
const probe = "no-such-rule"

// CheckOptions has the server say what it thinks of each rule, by commands that it refuses for their last word if for
// nothing else.
func (b *backend) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	if b.env.ReadOnly {
		return nil, nil
	}
	ctx, cancel := b.bound(ctx, 1)
	defer cancel()
	s, release, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	var problems []providers.FieldError
	for _, field := range []string{optionRules, optionAdminRules} {
		rules, err := parseRules(options.List(field))
		if err != nil {
			problems = append(problems, providers.FieldError{Field: field, Message: err.Error()})
			continue
		}
		answers := make([]*redis.Cmd, len(rules))
		_, _ = s.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, rule := range rules {
				answers[i] = p.Do(ctx, "ACL", "SETUSER", b.env.Prefix+"check", rule, probe)
			}
			return nil
		})
		for i, answer := range answers {
			err := answer.Err()
			if !isReply(err, "ERR") || !strings.Contains(err.Error(), "modifier") {
				if err == nil {
					err = errors.New("the server took what is no rule")
				}
				return nil, replyError("trying rules", err)
			}
			if !strings.Contains(err.Error(), "'"+probe+"'") {
				_, why, _ := strings.Cut(err.Error(), "': ")
				problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf("the server does not take the rule %q: %s", rules[i], why)})
			}
		}
	}
	return problems, nil
}

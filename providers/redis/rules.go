package redis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"broker/providers"
)

// noAdmin ends what a secret's rules give, in each selector too: whatever they say, and whichever commands a server of
// any version counts as administrative, none of them is given.
const noAdmin = "-@admin"

var (
	// commandName takes a command, with a subcommand or a first argument, as modules name theirs too.
	commandName  = regexp.MustCompile(`^[a-z0-9_.\-]+(\|[a-z0-9_.\-]+)?$`)
	categoryName = regexp.MustCompile(`^[a-z0-9_\-]+$`)

	// bare are the rules that are one word.
	bare = []string{"allkeys", "resetkeys", "allchannels", "resetchannels", "allcommands", "nocommands", "clearselectors"}

	// accounts are the rules that say who may log in and how, which is the broker's.
	accounts = []string{"on", "off", "nopass", "resetpass", "reset", "sanitize-payload", "skip-sanitize-payload"}

	// administrative are the commands that noAdmin takes away again, so that a rule that gives one alone is a mistake.
	administrative = []string{"acl", "bgrewriteaof", "bgsave",
		"client|kill", "client|list", "client|no-evict", "client|pause", "client|unblock", "client|unpause", "cluster", "commandlog", "config", "debug", "failover", "lastsave", "latency", "module",
		"monitor", "pfdebug", "pfselftest", "psync", "replconf", "replicaof", "role", "save", "shutdown", "slaveof", "slowlog", "sync"}
)

// isPlain reports whether a text has only characters that may stand in a file with a line for each user.
func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
}

// parseRules divides rules as people write them, several in one text or each by itself, into those that ACL SETUSER
// takes as one argument each; a selector, in parentheses, is one.
func parseRules(texts []string) ([]string, error) {
	var rules []string
	for _, text := range texts {
		for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
			end := strings.IndexFunc(rest, unicode.IsSpace)
			if rest[0] == '(' {
				end = strings.IndexByte(rest, ')') + 1
				if end == 0 {
					return nil, fmt.Errorf("selector %q does not end with a parenthesis", rest)
				}
			} else if end < 0 {
				end = len(rest)
			}
			rule, err := parseRule(rest[:end])
			if err != nil {
				return nil, err
			}
			rules, rest = append(rules, rule), rest[end:]
		}
	}
	return rules, nil
}

func parseRule(text string) (string, error) {
	if text[0] != '(' {
		return text, ruleProblem(text)
	}
	inner := strings.Fields(text[1 : len(text)-1])
	if len(inner) == 0 {
		return "", fmt.Errorf("selector %q is empty", text)
	}
	for _, rule := range inner {
		if err := ruleProblem(rule); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(inner, " ") + ")", nil
}

// ruleProblem says what is wrong with one rule outside of or in a selector.
func ruleProblem(rule string) error {
	// Quotes and parentheses mean something where the server reads its file of users again.
	if !isPlain(rule) || strings.ContainsAny(rule, `"'()`) {
		return fmt.Errorf("rule %q holds a quote, a parenthesis or a character that cannot be printed", rule)
	}
	lower := strings.ToLower(rule)
	switch {
	case slices.Contains(bare, lower):
		return nil
	case slices.Contains(accounts, lower) || strings.ContainsRune("><#!", rune(rule[0])):
		// Not repeated when it may be a password.
		return fmt.Errorf("rules say what a login may do; whether it is on and its password (on, off, nopass, reset, >, <, #, !) are the broker's")
	case strings.HasPrefix(lower, "+@") || strings.HasPrefix(lower, "-@"):
		if categoryName.MatchString(lower[2:]) {
			return nil
		}
	case rule[0] == '+' || rule[0] == '-':
		if commandName.MatchString(lower[1:]) {
			return nil
		}
	case rule[0] == '~' || rule[0] == '&':
		if len(rule) > 1 {
			return nil
		}
	case rule[0] == '%':
		permissions, pattern, found := strings.Cut(lower[1:], "~")
		if found && pattern != "" && slices.Contains([]string{"r", "w", "rw", "wr"}, permissions) {
			return nil
		}
	}
	return fmt.Errorf("rule %q is none: want keys (~orders:*, %%R~orders:*), channels (&orders:*), commands (+get, +@read, -@dangerous) or a selector (+get ~orders:*)", rule)
}

// givesAdministrative returns the rule that gives an administrative command by name, or "".
func givesAdministrative(rules []string) string {
	for _, rule := range rules {
		for _, part := range strings.Fields(strings.Trim(rule, "()")) {
			command, given := strings.CutPrefix(strings.ToLower(part), "+")
			whole, _, _ := strings.Cut(command, "|")
			if given && (slices.Contains(administrative, command) || slices.Contains(administrative, whole)) {
				return part
			}
		}
	}
	return ""
}

// withoutAdmin ends each selector, and the rules that stand outside of one, with noAdmin.
func withoutAdmin(rules []string) []string {
	bounded := make([]string, 0, len(rules)+1)
	for _, rule := range rules {
		if selector, is := strings.CutSuffix(rule, ")"); is {
			rule = selector + " " + noAdmin + ")"
		}
		bounded = append(bounded, rule)
	}
	return append(bounded, noAdmin)
}

// ValidateOptions checks the form of rules. Whether the server knows the commands is its own to say.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	var problems []providers.FieldError
	wrong := func(field, format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	rules, err := parseRules(options.List(optionRules))
	if err != nil {
		wrong(optionRules, "%v", err)
	}
	admin, err := parseRules(options.List(optionAdminRules))
	if err != nil {
		wrong(optionAdminRules, "%v", err)
	}
	if rule := givesAdministrative(rules); rule != "" {
		wrong(optionRules, "rule %q gives an administrative command, which is taken away again: give it in %s", rule, optionAdminRules)
	}
	if len(problems) == 0 && len(rules) == 0 && len(admin) == 0 {
		wrong(optionRules, "say what the login may do, such as ~orders:* and +@read: without rules it may do nothing")
	}
	return problems
}

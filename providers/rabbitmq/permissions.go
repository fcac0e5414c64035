package rabbitmq

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"broker/providers"
)

// nothing is the regular expression that RabbitMQ's documentation uses for no name at all.
const nothing = "^$"

// permission is what a login may do in one virtual host.
type permission struct {
	vhost                  string
	configure, write, read string
}

// topicPermission limits further what a login may do with one topic exchange.
type topicPermission struct {
	vhost, exchange string
	write, read     string
}

// parsePermission reads one line such as `vhost=/ configure=^$ write=^orders$ read=.*`.
func parsePermission(line string) (permission, error) {
	values, err := parseLine(line, "vhost", "configure", "write", "read")
	if err != nil {
		return permission{}, err
	}
	return permission{vhost: value(values, "vhost", "/"), configure: value(values, "configure", nothing),
		write: value(values, "write", nothing), read: value(values, "read", nothing)}, nil
}

// parseTopicPermission reads one line such as `vhost=/ exchange=amq.topic write=^orders\. read=.*`.
func parseTopicPermission(line string) (topicPermission, error) {
	values, err := parseLine(line, "vhost", "exchange", "write", "read")
	if err != nil {
		return topicPermission{}, err
	}
	if values["exchange"] == "" {
		return topicPermission{}, fmt.Errorf("line %q lacks the exchange", line)
	}
	return topicPermission{vhost: value(values, "vhost", "/"), exchange: values["exchange"],
		write: value(values, "write", nothing), read: value(values, "read", nothing)}, nil
}

func value(values map[string]string, name, otherwise string) string {
	if given, ok := values[name]; ok {
		return given
	}
	return otherwise
}

// parseLine reads words of the form name=value, divided by blanks. A value in double quotes may hold blanks, and a
// double quote after a backslash; other backslashes are the regular expression's.
func parseLine(line string, names ...string) (map[string]string, error) {
	if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return nil, fmt.Errorf("line %q holds a character that cannot be printed", line)
	}
	values := map[string]string{}
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		name, after, found := strings.Cut(rest, "=")
		if !found || !slices.Contains(names, name) {
			return nil, fmt.Errorf("line %q: want %s= and a value at %q", line, strings.Join(names, "=, "), rest)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("line %q says %s twice", line, name)
		}
		var text string
		if strings.HasPrefix(after, `"`) {
			var ok bool
			if text, rest, ok = quoted(after[1:]); !ok {
				return nil, fmt.Errorf("line %q: the value of %s does not end with a quote and a blank", line, name)
			}
		} else if end := strings.IndexFunc(after, unicode.IsSpace); end >= 0 {
			text, rest = after[:end], after[end:]
		} else {
			text, rest = after, ""
		}
		if text == "" && name != "configure" && name != "write" && name != "read" {
			return nil, fmt.Errorf("line %q: %s is empty", line, name)
		}
		if name == "vhost" && (text == "." || text == "..") {
			return nil, fmt.Errorf("line %q: virtual host %q cannot stand in a path of the management API", line, text)
		}
		values[name] = text
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("line %q is empty", line)
	}
	return values, nil
}

// quoted reads up to the quote that ends the value, which a blank or nothing follows.
func quoted(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '"':
			b.WriteByte('"')
			i++
		case text[i] == '"':
			rest = text[i+1:]
			return b.String(), rest, rest == "" || strings.TrimLeftFunc(rest, unicode.IsSpace) != rest
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", false
}

// rights are what the options of a secret give a login.
type rights struct {
	permissions []permission
	topics      []topicPermission
	tags        []string
}

// readRights reads the options of a secret. Each problem names its field.
func readRights(options providers.Options) (rights, []providers.FieldError) {
	var r rights
	var problems []providers.FieldError
	wrong := func(field, format string, args ...any) {
		problems = append(problems, providers.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	for _, line := range options.List(optionPermissions) {
		p, err := parsePermission(line)
		switch {
		case err != nil:
			wrong(optionPermissions, "%v", err)
		case slices.ContainsFunc(r.permissions, func(other permission) bool { return other.vhost == p.vhost }):
			wrong(optionPermissions, "virtual host %q has two lines, of which the second would replace the first", p.vhost)
		default:
			r.permissions = append(r.permissions, p)
		}
	}
	for _, line := range options.List(optionTopicPermissions) {
		p, err := parseTopicPermission(line)
		switch {
		case err != nil:
			wrong(optionTopicPermissions, "%v", err)
		case slices.ContainsFunc(r.topics, func(other topicPermission) bool { return other.vhost == p.vhost && other.exchange == p.exchange }):
			wrong(optionTopicPermissions, "exchange %q of virtual host %q has two lines, of which the second would replace the first", p.exchange, p.vhost)
		case !slices.ContainsFunc(r.permissions, func(other permission) bool { return other.vhost == p.vhost }):
			wrong(optionTopicPermissions, "virtual host %q is not among the permissions, so that the login cannot enter it", p.vhost)
		default:
			r.topics = append(r.topics, p)
		}
	}
	for _, tag := range options.List(optionTags) {
		switch {
		case strings.EqualFold(tag, tagAdministrator):
			wrong(optionTags, "the tag administrator has an option of its own, %s", optionAdministrator)
		case !isTag(tag):
			wrong(optionTags, "tag %q is none: want letters, digits and -_.", tag)
		default:
			r.tags = append(r.tags, tag)
		}
	}
	if options.Boolean(optionAdministrator) {
		r.tags = append(r.tags, tagAdministrator)
	}
	if len(problems) == 0 && len(r.permissions) == 0 && len(r.tags) == 0 {
		wrong(optionPermissions, "say what the login may do: without permissions and tags it may do nothing")
	}
	return r, problems
}

// isTag reports whether a tag can be nothing but that: tags are divided by commas, and ours have a colon.
func isTag(text string) bool {
	return text != "" && len(text) <= 100 && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	})
}

// ValidateOptions checks the lines of permissions, and tags. Whether the virtual hosts exist is the server's to say.
func (Provider) ValidateOptions(options providers.Options) []providers.FieldError {
	_, problems := readRights(options)
	return problems
}

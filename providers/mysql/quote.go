package mysql

import "strings"

// literal is for a server with backslash escapes, which every session of ours switches on.
var literal = strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, "\x1a", `\Z`)

// quoteString makes a string literal.
func quoteString(s string) string { return "'" + literal.Replace(s) + "'" }

// quoteName makes an identifier, whatever the sql_mode. A NUL character cannot be in one; what holds one is refused
// before.
func quoteName(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

// quoteAccount makes 'user'@'host'.
func quoteAccount(user, host string) string { return quoteString(user) + "@" + quoteString(host) }

// quotePattern makes the identifier of a database where a GRANT takes it for a pattern: nothing in it stands for
// anything else.
func quotePattern(database string) string {
	return quoteName(strings.NewReplacer(`\`, `\\`, `_`, `\_`, `%`, `\%`).Replace(database))
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteString(name)
	}
	return strings.Join(quoted, ", ")
}

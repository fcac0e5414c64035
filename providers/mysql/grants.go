package mysql

import (
	"fmt"
	"slices"
	"strings"
)

// privileges is one element of the option "grants".
type privileges struct {
	granted  []privilege
	kind     string // "", FUNCTION or PROCEDURE
	database string // "" with object "": *.*
	object   string // "": everything of the database
}

type privilege struct {
	name    string   // upper case
	columns []string // nil: all
}

// lasting are privileges by which a login makes or changes accounts, and so outlives its lease, or those that reach the
// server's files and processes.
var lasting = []string{
	"GRANT OPTION", "CREATE USER", "CREATE ROLE", "DROP ROLE", "PROXY", "SUPER", "ROLE_ADMIN", "SYSTEM_USER", "SET_USER_ID", "SET_ANY_DEFINER",
	"SET USER", "CONNECTION_ADMIN", "CONNECTION ADMIN", "SYSTEM_VARIABLES_ADMIN", "FILE", "SHUTDOWN", "APPLICATION_PASSWORD_ADMIN",
}

// everywhere are the privileges that are given on *.*: they look at the server and change neither accounts nor what runs.
// Whatever is on tables or routines there is on database mysql too, and what replicates or clones takes accounts along.
var everywhere = []string{
	"USAGE", "PROCESS", "SHOW DATABASES", "SHOW VIEW", "LOCK TABLES", "CREATE TEMPORARY TABLES", "RELOAD", "BACKUP_ADMIN",
	"REPLICATION CLIENT", "BINLOG MONITOR", "SLAVE MONITOR", "REPLICA MONITOR",
	"FLUSH_OPTIMIZER_COSTS", "FLUSH_STATUS", "FLUSH_TABLES", "FLUSH_USER_RESOURCES",
}

// parsePrivileges reads `PRIVILEGE[(column, …)][, …] ON [TABLE|FUNCTION|PROCEDURE] database.object`. Names may stand in
// backquotes.
func parsePrivileges(text string) (privileges, error) {
	p := grantParser{rest: text}
	var g privileges
	for {
		one, err := p.privilege()
		if err != nil {
			return privileges{}, err
		}
		g.granted = append(g.granted, one)
		if !p.take(",") {
			break
		}
	}
	if !p.keyword("ON") {
		return privileges{}, fmt.Errorf("wants ON and what the privileges are on, as in SELECT ON orders.*")
	}
	for _, kind := range []string{"TABLE", "FUNCTION", "PROCEDURE"} {
		if p.keyword(kind) {
			g.kind = strings.TrimPrefix(kind, "TABLE")
			break
		}
	}
	if err := p.object(&g); err != nil {
		return privileges{}, err
	}
	if p.skip(); p.rest != "" {
		return privileges{}, fmt.Errorf("has %q after what the privileges are on; TO and WITH are not said here", p.rest)
	}
	return g, g.check()
}

// check refuses what does not fit together and what a lease must not give.
func (g privileges) check() error {
	if g.kind != "" && g.object == "" {
		return fmt.Errorf("names no %s", strings.ToLower(g.kind))
	}
	for _, p := range g.granted {
		switch {
		case slices.Contains(lasting, p.name):
			return fmt.Errorf("gives %s, by which a login could outlast its lease; creation_statements can, for whoever may write those", p.name)
		case g.database == "" && !slices.Contains(everywhere, p.name):
			return fmt.Errorf("gives %s ON *.*, database mysql included, by which a login could outlast its lease: name the database; creation_statements can, for whoever may write those", p.name)
		case strings.EqualFold(g.database, "mysql") && p.name != "USAGE":
			return fmt.Errorf("is on database mysql, which holds everybody's accounts")
		case p.columns != nil && (g.object == "" || g.kind != ""):
			return fmt.Errorf("names columns without a table")
		}
	}
	return nil
}

// statement grants the privileges to an account, which is quoted.
func (g privileges) statement(account string) string {
	names := make([]string, len(g.granted))
	for i, p := range g.granted {
		names[i] = p.name
		if p.columns != nil {
			columns := make([]string, len(p.columns))
			for i, column := range p.columns {
				columns[i] = quoteName(column)
			}
			names[i] += " (" + strings.Join(columns, ", ") + ")"
		}
	}
	on := "*.*"
	switch {
	case g.object != "":
		on = quoteName(g.database) + "." + quoteName(g.object)
	case g.database != "":
		on = quotePattern(g.database) + ".*"
	}
	if g.kind != "" {
		on = g.kind + " " + on
	}
	return "GRANT " + strings.Join(names, ", ") + " ON " + on + " TO " + account
}

// grantParser reads a text from its begin.
type grantParser struct{ rest string }

func (p *grantParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take takes a sign.
func (p *grantParser) take(sign string) bool {
	p.skip()
	rest, taken := strings.CutPrefix(p.rest, sign)
	if taken {
		p.rest = rest
	}
	return taken
}

// word returns the bare word that comes next, "" for none, without taking it.
func (p *grantParser) word() string {
	p.skip()
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return !(r == '_' || r == '$' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80)
	})
	if end < 0 {
		end = len(p.rest)
	}
	return p.rest[:end]
}

// keyword takes a word of the language.
func (p *grantParser) keyword(word string) bool {
	if !strings.EqualFold(p.word(), word) {
		return false
	}
	p.rest = p.rest[len(word):]
	return true
}

func (p *grantParser) privilege() (privilege, error) {
	var words []string
	for {
		word := p.word()
		if word == "" || strings.EqualFold(word, "ON") {
			break
		}
		if strings.Trim(strings.ToUpper(word), "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
			return privilege{}, fmt.Errorf("has %q in the place of a privilege", word)
		}
		words = append(words, strings.ToUpper(word))
		p.rest = p.rest[len(word):]
	}
	if len(words) == 0 {
		return privilege{}, fmt.Errorf("wants a privilege, as in SELECT ON orders.*")
	}
	one := privilege{name: strings.Join(words, " ")}
	if !p.take("(") {
		return one, nil
	}
	for {
		column, err := p.name()
		if err != nil {
			return privilege{}, err
		}
		one.columns = append(one.columns, column)
		if p.take(")") {
			return one, nil
		}
		if !p.take(",") {
			return privilege{}, fmt.Errorf("has a list of columns that is not closed")
		}
	}
}

// name takes an identifier, bare or in backquotes.
func (p *grantParser) name() (string, error) {
	if word := p.word(); word != "" {
		p.rest = p.rest[len(word):]
		return word, nil
	}
	if !p.take("`") {
		return "", fmt.Errorf("wants a name at %q; put one with other characters than letters, digits, _ and $ in backquotes", p.rest)
	}
	var name strings.Builder
	for {
		part, rest, closed := strings.Cut(p.rest, "`")
		if !closed {
			return "", fmt.Errorf("has a backquote that is not closed")
		}
		name.WriteString(part)
		if p.rest = rest; !strings.HasPrefix(rest, "`") {
			break
		}
		name.WriteByte('`')
		p.rest = rest[1:]
	}
	if s := name.String(); s != "" && !strings.ContainsRune(s, 0) {
		return s, nil
	}
	return "", fmt.Errorf("has an empty name")
}

func (p *grantParser) object(g *privileges) (err error) {
	if p.take("*") {
		if p.take(".") && p.take("*") {
			return nil
		}
		return fmt.Errorf("is on *: name the database, as in orders.*")
	}
	if g.database, err = p.name(); err != nil {
		return err
	}
	if !p.take(".") {
		return fmt.Errorf("is on %q alone: name the database too, as in orders.*", g.database)
	}
	if p.take("*") {
		return nil
	}
	g.object, err = p.name()
	return err
}

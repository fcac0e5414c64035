package mysql

import (
	"fmt"
	"slices"
	"strings"
)

// The placeholders of user statements. Their values are string literals, so they stand bare.
const (
	placeholderName     = "name"
	placeholderHost     = "host"
	placeholderPassword = "password"
)

var (
	creationPlaceholders   = []string{placeholderName, placeholderHost, placeholderPassword}
	revocationPlaceholders = []string{placeholderName, placeholderHost}
)

// template is a user's statement, cut at its placeholders.
type template struct {
	texts        []string // one more than placeholders
	placeholders []string
}

// parseTemplate reads one statement. It refuses what would not do what its author meant: unknown placeholders,
// placeholders inside quotes or comments, several statements in one.
func parseTemplate(sql string, known []string) (template, error) {
	var t template
	var text strings.Builder
	scan := scanner{sql: sql}
	empty, ended := true, false
	for scan.pos < len(sql) {
		token, kind, err := scan.next()
		if err != nil {
			return template{}, err
		}
		blank := kind == tokenComment || strings.TrimSpace(token) == ""
		if ended && !blank {
			return template{}, fmt.Errorf("holds more than one statement: give each an element of its own")
		}
		if (kind == tokenQuoted || kind == tokenComment) && strings.Contains(token, "{{") {
			return template{}, fmt.Errorf("has a placeholder inside quotes or a comment: write it bare, it is quoted for you")
		}
		switch kind {
		case tokenSemicolon:
			ended = true
			continue
		case tokenPlaceholder:
			if !slices.Contains(known, token) {
				return template{}, fmt.Errorf("has the unknown placeholder {{%s}}: known are {{%s}}", token, strings.Join(known, "}}, {{"))
			}
			t.texts = append(t.texts, text.String())
			t.placeholders = append(t.placeholders, token)
			text.Reset()
			empty = false
			continue
		}
		empty = empty && blank
		text.WriteString(token)
	}
	if empty {
		return template{}, fmt.Errorf("is no statement")
	}
	t.texts = append(t.texts, text.String())
	return t, nil
}

// render puts values, quoted already, in the place of placeholders.
func (t template) render(values map[string]string) string {
	var sql strings.Builder
	for i, text := range t.texts {
		sql.WriteString(text)
		if i < len(t.placeholders) {
			sql.WriteString(values[t.placeholders[i]])
		}
	}
	return sql.String()
}

// renderAll parses and renders statements that were checked when they were saved.
func renderAll(statements, known []string, values map[string]string) ([]string, error) {
	rendered := make([]string, 0, len(statements))
	for i, sql := range statements {
		t, err := parseTemplate(sql, known)
		if err != nil {
			return nil, fmt.Errorf("statement %d %w", i+1, err)
		}
		rendered = append(rendered, t.render(values))
	}
	return rendered, nil
}

// tokenKind tells only as much about a piece of SQL as parseTemplate needs.
type tokenKind uint8

const (
	tokenOther tokenKind = iota
	tokenQuoted
	tokenComment
	tokenSemicolon
	tokenPlaceholder // the token is the name between the braces
)

// scanner cuts SQL into tokens as the server's lexer does in the sql_mode that sessions of ours have.
type scanner struct {
	sql string
	pos int
}

func (s *scanner) take(n int) string {
	token := s.sql[s.pos : s.pos+n]
	s.pos += n
	return token
}

func (s *scanner) next() (string, tokenKind, error) {
	rest := s.sql[s.pos:]
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "{{"):
		end := strings.Index(rest, "}}")
		if end < 0 {
			return "", 0, fmt.Errorf("has {{ without }}")
		}
		token := s.take(end + 2)
		return strings.TrimSpace(token[2:end]), tokenPlaceholder, nil
	case c == ';':
		return s.take(1), tokenSemicolon, nil
	case c == '\'' || c == '"' || c == '`':
		return s.quoted(c)
	case c == '#' || strings.HasPrefix(rest, "--") && (len(rest) == 2 || rest[2] <= ' '):
		end := strings.IndexByte(rest, '\n')
		if end < 0 {
			end = len(rest)
		}
		return s.take(end), tokenComment, nil
	case strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!"):
		return "", 0, fmt.Errorf("has a comment that some servers carry out: write out what is meant")
	case strings.HasPrefix(rest, "/*"):
		end := strings.Index(rest[2:], "*/")
		if end < 0 {
			return "", 0, fmt.Errorf("has a /* that is not closed")
		}
		return s.take(end + 4), tokenComment, nil
	}
	return s.take(1), tokenOther, nil
}

// quoted takes a quoted string or name. A doubled quote needs no care: it ends one string and begins the next.
func (s *scanner) quoted(quote byte) (string, tokenKind, error) {
	for i := s.pos + 1; i < len(s.sql); i++ {
		switch {
		case s.sql[i] == '\\' && quote != '`':
			i++
		case s.sql[i] == quote:
			return s.take(i + 1 - s.pos), tokenQuoted, nil
		}
	}
	return "", 0, fmt.Errorf("has a %c that is not closed", quote)
}

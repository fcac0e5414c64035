package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// The placeholders of user statements. Their values are quoted for where they stand, as an
// identifier or a literal, so they stand bare.
const (
	placeholderName       = "name"       // identifier
	placeholderPassword   = "password"   // literal: the SCRAM verifier
	placeholderExpiration = "expiration" // literal: an instant
)

var (
	creationPlaceholders   = []string{placeholderName, placeholderPassword, placeholderExpiration}
	revocationPlaceholders = []string{placeholderName}
)

// transactionControl are first words of statements that would end the transaction they stand in, and
// with it the promise that a late create leaves nothing.
var transactionControl = []string{"abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start"}

// template is a user's statement, cut at its placeholders.
type template struct {
	texts        []string // one more than placeholders
	placeholders []string
}

// parseTemplate reads one statement. It refuses what would not do what its author meant: unknown
// placeholders, placeholders inside quotes or comments, several statements in one, transaction
// control.
func parseTemplate(sql string, known []string) (template, error) {
	var t template
	var text strings.Builder
	scan := scanner{sql: sql}
	firstWord := ""
	ended := false
	for !scan.done() {
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
				return template{}, fmt.Errorf("has the unknown placeholder {{%s}}: known are %s", token, listed(known))
			}
			t.texts = append(t.texts, text.String())
			t.placeholders = append(t.placeholders, token)
			text.Reset()
			continue
		case tokenWord:
			if firstWord == "" {
				firstWord = strings.ToLower(token)
			}
		}
		text.WriteString(token)
	}
	if firstWord == "" {
		return template{}, fmt.Errorf("is no statement")
	}
	if slices.Contains(transactionControl, firstWord) {
		return template{}, fmt.Errorf("begins with %s: statements run in the broker's transaction and must not control it", strings.ToUpper(firstWord))
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

func listed(names []string) string {
	braced := make([]string, len(names))
	for i, name := range names {
		braced[i] = "{{" + name + "}}"
	}
	return strings.Join(braced, ", ")
}

// tokenKind tells only as much about a piece of SQL as parseTemplate needs.
type tokenKind uint8

const (
	tokenOther tokenKind = iota
	tokenWord
	tokenQuoted
	tokenComment
	tokenSemicolon
	tokenPlaceholder // the token is the name between the braces
)

// scanner cuts SQL into tokens as PostgreSQL's lexer does with standard_conforming_strings on.
type scanner struct {
	sql string
	pos int
}

func (s *scanner) done() bool { return s.pos >= len(s.sql) }

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
	case c == '\'':
		return s.quoted(1, '\'', false)
	case c == '"':
		return s.quoted(1, '"', false)
	case (c == 'e' || c == 'E') && strings.HasPrefix(rest[1:], "'"):
		return s.quoted(2, '\'', true)
	case strings.HasPrefix(rest, "--"):
		end := strings.IndexAny(rest, "\r\n")
		if end < 0 {
			end = len(rest)
		}
		return s.take(end), tokenComment, nil
	case strings.HasPrefix(rest, "/*"):
		return s.blockComment()
	case c == '$':
		return s.dollar()
	case isWord(c):
		n := 1
		for n < len(rest) && (isWord(rest[n]) || rest[n] == '$' || (rest[n] >= '0' && rest[n] <= '9')) {
			n++
		}
		return s.take(n), tokenWord, nil
	}
	return s.take(1), tokenOther, nil
}

func isWord(c byte) bool {
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80
}

// quoted takes a quoted string whose opening is n bytes long. A doubled quote needs no care: it ends
// one string and begins the next.
func (s *scanner) quoted(n int, quote byte, backslash bool) (string, tokenKind, error) {
	for i := s.pos + n; i < len(s.sql); i++ {
		if backslash && s.sql[i] == '\\' {
			i++
			continue
		}
		if s.sql[i] == quote {
			return s.take(i + 1 - s.pos), tokenQuoted, nil
		}
	}
	return "", 0, fmt.Errorf("has a %c that is not closed", quote)
}

func (s *scanner) blockComment() (string, tokenKind, error) {
	depth := 0
	for i := s.pos; i+1 < len(s.sql); i++ {
		switch s.sql[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return s.take(i + 1 - s.pos), tokenComment, nil
			}
		}
	}
	return "", 0, fmt.Errorf("has a /* that is not closed")
}

func (s *scanner) dollar() (string, tokenKind, error) {
	rest := s.sql[s.pos:]
	n := 1
	for n < len(rest) && (isWord(rest[n]) || (n > 1 && rest[n] >= '0' && rest[n] <= '9')) {
		n++
	}
	if n >= len(rest) || rest[n] != '$' {
		return s.take(1), tokenOther, nil
	}
	tag := rest[:n+1]
	end := strings.Index(rest[n+1:], tag)
	if end < 0 {
		return "", 0, fmt.Errorf("has a %s that is not closed", tag)
	}
	return s.take(2*len(tag) + end), tokenQuoted, nil
}

package audit

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"broker/access"
	"broker/access/audit/chain"
)

// Bounds of what is recorded: a record is never longer than a line may be.
const (
	maxText      = 256
	maxPath      = 1024
	maxReasons   = 20
	maxUsernames = 50
)

const timeForm = "2006-01-02T15:04:05.000Z"

// encoder appends the members of a JSON object to a line.
type encoder struct{ buf []byte }

// begin is what every record has behind its place in the chain.
func (e *encoder) begin(kind chain.Type, node string, at time.Time) {
	e.buf = append(e.buf, `"time":"`...)
	e.buf = at.UTC().AppendFormat(e.buf, timeForm)
	e.buf = append(e.buf, `","type":"`...)
	e.buf = append(e.buf, kind...)
	e.buf = append(e.buf, '"')
	e.text("node", node)
}

// end closes the object and the line.
func (e *encoder) end() { e.buf = append(e.buf, '}', '\n') }

func (e *encoder) name(name string) {
	e.buf = append(e.buf, ',', '"')
	e.buf = append(e.buf, name...)
	e.buf = append(e.buf, '"', ':')
}

// text adds a text; an empty one is left out.
func (e *encoder) text(name, value string) { e.bounded(name, value, maxText) }

func (e *encoder) bounded(name, value string, limit int) {
	if value != "" {
		e.name(name)
		e.quote(value, limit)
	}
}

func (e *encoder) number(name string, value int64) {
	e.name(name)
	e.buf = strconv.AppendInt(e.buf, value, 10)
}

func (e *encoder) yes(name string, value bool) {
	if value {
		e.name(name)
		e.buf = append(e.buf, "true"...)
	}
}

func (e *encoder) hash(name string, hash []byte) {
	if hash == nil {
		return
	}
	e.name(name)
	e.buf = append(e.buf, '"')
	e.buf = append(e.buf, hashMark...)
	e.buf = hex.AppendEncode(e.buf, hash)
	e.buf = append(e.buf, '"')
}

// quote appends a text as JSON. What looks like a token of ours is left out of it: a client may put one anywhere.
func (e *encoder) quote(text string, limit int) {
	if strings.Contains(text, tokenMark) {
		text = withoutTokens(text)
	}
	if len(text) > limit {
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text = text[:limit] + "…"
	}
	const digits = "0123456789abcdef"
	e.buf = append(e.buf, '"')
	begun := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			e.buf = append(append(e.buf, text[begun:i]...), "\uFFFD"...)
		} else {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			e.buf = append(e.buf, text[begun:i]...)
			if c == '"' || c == '\\' {
				e.buf = append(e.buf, '\\', c)
			} else {
				e.buf = append(e.buf, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			}
		}
		i++
		begun = i
	}
	e.buf = append(append(e.buf, text[begun:]...), '"')
}

// tokenMark is what every token of ours begins with: brk_, brkj_ and the like.
const tokenMark = "brk"

// minToken is how many letters and digits make a token of what begins like one; names of logins are shorter parts.
const minToken = 32

// withoutTokens replaces what looks like a token.
func withoutTokens(text string) string {
	var out strings.Builder
	for {
		at := strings.Index(text, tokenMark)
		if at < 0 {
			out.WriteString(text)
			return out.String()
		}
		body := at + len(tokenMark)
		if body < len(text) && text[body] >= 'a' && text[body] <= 'z' {
			body++
		}
		if body >= len(text) || text[body] != '_' {
			out.WriteString(text[:at+len(tokenMark)])
			text = text[at+len(tokenMark):]
			continue
		}
		end := body + 1
		for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] >= 'a' && text[end] <= 'z' || text[end] >= 'A' && text[end] <= 'Z') {
			end++
		}
		if end-body-1 < minToken {
			out.WriteString(text[:end])
		} else {
			out.WriteString(text[:at])
			out.WriteString("[token]")
		}
		text = text[end:]
	}
}

func (e *encoder) request(r *access.RequestRecord, key []byte) {
	e.text("id", r.ID)
	e.text("stage", string(r.Stage))
	e.text("from_node", r.Node)
	e.text("address", r.Address)
	e.text("account", string(r.Account))
	e.text("token", string(r.Token))
	e.text("method", r.Method)
	e.bounded("path", r.Path, maxPath)
	e.text("action", string(r.Action))
	e.resource(&r.On)
	if r.Action != "" {
		e.name("allowed")
		e.buf = strconv.AppendBool(e.buf, r.Allowed)
	}
	e.reasons(r.Because)
	e.yes("dry_run", r.DryRun)
	e.hash("idempotency_key", key)
	e.text("user_agent", r.UserAgent)
}

// object begins an object within the record; close ends it.
func (e *encoder) object(name string) (began int) {
	e.name(name)
	e.buf = append(e.buf, '{')
	return len(e.buf)
}

func (e *encoder) close(began int) {
	if len(e.buf) > began { // without the comma of its first member
		e.buf = append(e.buf[:began], e.buf[began+1:]...)
	}
	e.buf = append(e.buf, '}')
}

func (e *encoder) resource(on *access.Resource) {
	if *on == (access.Resource{}) {
		return
	}
	began := e.object("on")
	e.text("kind", string(on.Kind))
	e.text("environment", string(on.Environment))
	e.text("secret", on.Secret)
	e.text("name", on.Name)
	e.text("owner", string(on.Owner))
	e.text("connection", string(on.Connection))
	e.close(began)
}

func (e *encoder) reasons(list []access.Reason) {
	if len(list) == 0 {
		return
	}
	e.name("because")
	e.buf = append(e.buf, '[')
	for i := range list[:min(len(list), maxReasons)] {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(e.buf, '{')
		began, r := len(e.buf), &list[i]
		e.text("what", r.What)
		e.text("name", r.Name)
		e.text("binding", string(r.Binding))
		e.text("scope", r.Scope)
		e.text("group", string(r.Group))
		e.yes("forbids", r.Forbids)
		e.close(began)
	}
	e.buf = append(e.buf, ']')
}

func (e *encoder) outcome(r *access.OutcomeRecord) {
	e.text("id", r.ID)
	e.text("stage", string(r.Stage))
	e.number("status", int64(r.Status))
	e.text("code", r.Code)
	e.text("lease", string(r.Lease))
	e.number("took_us", r.Took.Microseconds())
	e.text("address", r.Address)
	e.text("account", string(r.Account))
	e.text("method", r.Method)
	e.bounded("path", r.Path, maxPath)
}

func (e *encoder) call(r *access.CallRecord) {
	e.text("id", r.Request)
	e.text("connection", string(r.Connection))
	e.text("provider", r.Provider)
	e.text("call", r.Call)
	if len(r.Usernames) > 0 {
		e.name("usernames")
		e.buf = append(e.buf, '[')
		for i, one := range r.Usernames[:min(len(r.Usernames), maxUsernames)] {
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			e.quote(one, maxText)
		}
		e.buf = append(e.buf, ']')
	}
	if logins := max(r.Logins, len(r.Usernames)); logins > 0 {
		e.number("logins", int64(logins))
	}
	e.number("term", int64(r.Term))
	e.text("outcome", r.Outcome)
	e.number("took_us", r.Took.Microseconds())
}

// strings adds a list of texts.
func (e *encoder) strings(name string, list []string) {
	if len(list) == 0 {
		return
	}
	e.name(name)
	e.buf = append(e.buf, '[')
	for i, one := range list {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.quote(one, maxText)
	}
	e.buf = append(e.buf, ']')
}

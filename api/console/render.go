package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"broker/api/types"
)

//go:embed templates
var templateFiles embed.FS

// screen is what a handler shows.
type screen struct {
	Template string // that makes the content, as {{define}} names it
	Title    string
	Section  string  // of the navigation that it belongs to
	Crumbs   []crumb // the way to it, without itself
	Data     any     // what its template sees as .D
	Status   int     // zero: 200
	Bare     bool    // without navigation
	Wide     bool    // a dialog with room for much
}

// crumb is a step of the way to a screen.
type crumb struct{ Label, Path string }

// view is what every template of a screen sees.
type view struct {
	P *page
	S screen
	D any

	Content template.HTML // that was rendered from a template of ours
}

// show answers with a page, or with its content alone where console.js asks for that.
func (p *page) show(s screen) error { return p.render(s, "page") }

// dialog answers with what fills a dialog, or with a page that holds it where there is none.
func (p *page) dialog(s screen) error { return p.render(s, "dialog") }

func (p *page) render(s screen, kind string) error {
	v := view{P: p, S: s, D: s.Data}
	content, err := p.execute(s.Template, v)
	if err != nil {
		return err
	}
	out := content
	part := p.r.Header.Get(headerPart)
	if kind == "dialog" || part == "dialog" {
		v.Content = template.HTML(content)
		if out, err = p.execute("dialog", v); err != nil {
			return err
		}
	}
	if part == "" {
		v.Content = template.HTML(out)
		if out, err = p.execute("layout", v); err != nil {
			return err
		}
	}
	p.stamp()
	p.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	p.w.WriteHeader(max(s.Status, http.StatusOK))
	_, _ = p.w.Write([]byte(out)) // a browser that went away is nobody's error
	return nil
}

func (p *page) execute(name string, v view) (string, error) {
	var out bytes.Buffer
	if err := p.console.templates.ExecuteTemplate(&out, name, v); err != nil {
		return "", fmt.Errorf("making %s: %w", name, err)
	}
	return out.String(), nil
}

// parseTemplates reads every file below templates. Names of templates are for all files together, so a screen's begin with
// the screen's.
func parseTemplates(files *static) (*template.Template, error) {
	t := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"static":       files.path,
		"scripts":      scripts,
		"icon":         func(name string) iconView { return iconView{Name: name, Sprite: files.path("icons.svg")} },
		"dict":         dict,
		"field":        fieldOf,
		"time":         func(p *page, at any) timeView { return timeOf(p.Now(), at) },
		"duration":     durationText,
		"count":        count,
		"pill":         pillOf,
		"secretPath":   secretPath,
		"envPath":      func(name string) string { return "/ui/environments/" + name },
		"short":        short,
		"join":         strings.Join,
		"add":          func(a, b int) int { return a + b },
		"initial":      initial,
		"scopeParts":   scopeParts,
		"scopeText":    scopeText,
		"accountState": accountState,
		"afterSweep":   afterSweep,
		"liveText":     liveText,
	})
	err := fs.WalkDir(templateFiles, "templates", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".html" {
			return err
		}
		text, err := templateFiles.ReadFile(name)
		if err != nil {
			return err
		}
		_, err = t.New(name).Parse(string(text))
		return err
	})
	return t, err
}

// iconView is a symbol of the sprite.
type iconView struct{ Name, Sprite string }

// dict makes what a part is given from names and values.
func dict(pairs ...any) (map[string]any, error) {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: %v has no value", pairs[len(pairs)-1])
	}
	return out, nil
}

// timeView is an instant as it is told: from now, and in full.
type timeView struct {
	At             string // for programs
	Relative, Full string
	None           bool
}

// Ending tells an instant as something's end.
func (t timeView) Ending() string {
	if strings.HasSuffix(t.Relative, " ago") {
		return "ended " + t.Relative
	}
	return t.Relative
}

func timeOf(now time.Time, at any) timeView {
	var t time.Time
	switch at := at.(type) {
	case time.Time:
		t = at
	case *time.Time:
		if at != nil {
			t = *at
		}
	}
	if t.IsZero() {
		return timeView{None: true}
	}
	t = t.UTC()
	return timeView{At: t.Format(time.RFC3339Nano), Relative: relative(t.Sub(now)), Full: t.Format("2 Jan 2006 15:04:05 UTC")}
}

// relative says how far something is from now; console.js says it in the same words and counts on.
func relative(d time.Duration) string {
	ahead := d > 0
	if !ahead {
		d = -d
	}
	text := ""
	switch s := int(d.Round(time.Second) / time.Second); {
	case s < 1:
		return "now"
	case s < 60:
		text = fmt.Sprintf("%d s", s)
	case s < 600:
		text = fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 3600:
		text = fmt.Sprintf("%d min", s/60)
	case s < 36000:
		text = fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	case s < 2*86400:
		text = fmt.Sprintf("%d h", s/3600)
	default:
		text = fmt.Sprintf("%d days", s/86400)
	}
	if ahead {
		return "in " + text
	}
	return text + " ago"
}

// durationText says a length of time as people do.
func durationText(d types.Duration) string {
	s := d.Seconds()
	var parts []string
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}} {
		if n := s / unit.seconds; n > 0 {
			parts = append(parts, strconv.FormatInt(n, 10)+" "+unit.name)
			s %= unit.seconds
		}
	}
	if len(parts) == 0 {
		return "0 s"
	}
	return strings.Join(parts[:min(2, len(parts))], " ")
}

// count says how many there are of something.
func count(n any, one, many string) string {
	text := fmt.Sprint(n)
	if text == "1" {
		return "1 " + one
	}
	return text + " " + many
}

// pillOf is the colour of a state.
func pillOf(state string) string {
	switch state {
	case "active", "valid", "done", "healthy", "alive", "leader", "voter":
		return "good"
	case "pending", "revoking", "running", "paused", "rotating", "promoting":
		return "busy"
	case "stuck", "failed", "overdue", "missing", "forgotten", "dead", "unhealthy", "unreachable":
		return "bad"
	case "locked", "disabled", "stalled":
		return "warn"
	}
	return "quiet"
}

// secretPath is the page of a secret, which is named in full.
func secretPath(name string) string {
	env, short := path.Split(name)
	return "/ui/environments/" + env + "secrets/" + short
}

// short is the end of an id, which tells it from others at a look.
func short(id string) string {
	if len(id) <= 8 {
		return id
	}
	return id[len(id)-8:]
}

func initial(name string) string {
	for _, r := range name {
		return string(unicode.ToUpper(r))
	}
	return "?"
}

package console

import (
	"broker/api/client"
	"broker/api/types"
)

// fact is a name and what it is about something.
type fact struct {
	Name, Value string
	Path        string // where the value leads, if anywhere
	Mono        bool
}

// plainForm is a form in a dialog that needs no template of its own: words, facts, fields and a button.
type plainForm struct {
	Form   *form
	Text   []string // what it does, a paragraph each
	Warn   string   // what to mind
	Facts  []fact
	Fields []field
	Hidden []choice // names and values that go with it
	Button string   // empty: there is nothing to do
	Danger bool
	Back   string // where one came from
}

// plain shows a plain form.
func (p *page) plain(title, section string, v plainForm) error {
	return p.dialog(screen{Title: title, Section: section, Template: "plain-form", Data: v, Status: v.Form.Status})
}

// field is a field of the form; what fieldOf takes.
func (f *form) field(name, label string, options ...any) field {
	out, err := fieldOf(f, name, label, options...)
	if err != nil {
		panic(err) // the options stand in the code
	}
	return out
}

// need notes that a field must not be empty, and returns what it holds.
func (f *form) need(name, message string) string {
	text := f.get(name)
	if text == "" {
		f.Errors[name] = message
	}
	return text
}

// every reads the pages of a list, up to so many items, or all of them when most is zero; more says that there are others.
func every[T any](most int, list func(client.ListOptions) (types.Page[T], error)) (items []T, more bool, err error) {
	options := client.ListOptions{Limit: types.MaxPage}
	if most > 0 {
		options.Limit = min(most, types.MaxPage)
	}
	for {
		page, err := list(options)
		if err != nil {
			return nil, false, err
		}
		items = append(items, page.Items...)
		if options.Cursor = page.NextCursor; options.Cursor == "" {
			return items, false, nil
		}
		if most > 0 && len(items) >= most {
			return items, true, nil
		}
	}
}

// pages is what a pager shows.
type pages struct{ First, Next string }

// pagesOf leads from a page of a list to the first and the next one.
func (p *page) pagesOf(next string) pages {
	var out pages
	if next != "" {
		out.Next = p.with("cursor", next)
	}
	if p.query("cursor") != "" {
		out.First = p.with("cursor", "")
	}
	return out
}

// endPresets are lengths of time after which something ends, with none for what does not.
func endPresets(values ...string) []choice {
	var list []choice
	for _, one := range values {
		if d, err := types.ParseDuration(one); err == nil {
			list = append(list, choice{one, durationText(d)})
		}
	}
	return list
}

package console

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// download is a file on its way to a browser, for as long as that takes something now and then. What is written is not kept,
// so a file may be as long as it likes.
type download struct {
	page       *page
	name, kind string
	control    *http.ResponseController
	begun      bool
}

// save returns a file that the browser is to keep. The name is of letters, digits, '.' and '-'.
func (p *page) save(name, kind string) *download {
	return &download{page: p, name: name, kind: kind, control: http.NewResponseController(p.w)}
}

// begin sends the head, once.
func (d *download) begin() {
	if d.begun {
		return
	}
	d.begun = true
	d.page.w.Header().Set("Content-Type", d.kind)
	d.page.w.Header().Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
}

// Write waits until the browser takes it.
func (d *download) Write(data []byte) (int, error) {
	d.begin()
	if err := d.control.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return d.page.w.Write(data)
}

// end ends a file that is whole, or failed: before its beginning that becomes a page, later the connection is cut, which is all
// that tells that the file ends early.
func (d *download) end(err error) error {
	if err != nil && d.begun {
		d.page.console.log.WarnContext(d.page.ctx, "sending a file failed", "file", d.name, "error", err)
		panic(http.ErrAbortHandler)
	}
	if err == nil {
		d.begin()
	}
	return err
}

// long is the context of what may take longer than a page.
func (p *page) long() context.Context { return client.OnWait(p.r.Context(), patient) }

// each reads the pages of a list as they are needed.
func each[T any](list func(client.ListOptions) (types.Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		options := client.ListOptions{Limit: types.MaxPage}
		for {
			page, err := list(options)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, one := range page.Items {
				if !yield(one, nil) {
					return
				}
			}
			if options.Cursor = page.NextCursor; options.Cursor == "" {
				return
			}
		}
	}
}

// table answers with a list as CSV.
func table[T any](p *page, name string, head []string, list iter.Seq2[T, error], row func(T) []string) error {
	out := p.save(name+".csv", "text/csv; charset=utf-8")
	w := csv.NewWriter(out) // it gathers some kilobytes: what fails at once is a page
	_ = w.Write(head)       // Error tells
	for one, err := range list {
		if err == nil {
			_ = w.Write(row(one))
			err = w.Error()
		}
		if err != nil {
			return out.end(err)
		}
	}
	w.Flush()
	return out.end(w.Error())
}

// eventsFile answers with events, as lines of JSON or, if that is asked for, as CSV.
func (p *page) eventsFile(name string, events iter.Seq2[types.Event, error]) error {
	if p.query("format") == "csv" {
		head := []string{"index", "position", "at", "type", "lease", "subject", "actor", "node", "address", "user_agent", "details"}
		return table(p, name, head, events, func(e types.Event) []string {
			details, _ := json.Marshal(e.Details) // texts by name
			return []string{
				strconv.FormatUint(e.Index, 10), e.Position(), e.At.UTC().Format(time.RFC3339Nano), e.Type, e.LeaseID, cell(e.Subject), e.Actor, e.Node, e.Address, cell(e.UserAgent), string(details),
			}
		})
	}
	out := p.save(name+".jsonl", "application/jsonl; charset=utf-8")
	lines := json.NewEncoder(out)
	for e, err := range events {
		if err == nil {
			err = lines.Encode(e)
		}
		if err != nil {
			return out.end(err)
		}
	}
	return out.end(nil)
}

// cell keeps a spreadsheet from taking a text that somebody wrote for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

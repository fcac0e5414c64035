package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// live prints objects as they come: lines of a table, whose columns grow when something is wider and stay so;
// with -o json one object on each line.
type live[T any] struct {
	app    *app
	name   func(T) string
	header []string
	cells  func(T) []string
	widths []int
}

// fit makes the columns wide enough for an object that will be printed.
func (l *live[T]) fit(object T) { l.widen(l.cells(object)) }

func (l *live[T]) widen(cells []string) {
	for len(l.widths) < len(cells) {
		l.widths = append(l.widths, 0)
	}
	for i, cell := range cells {
		l.widths[i] = max(l.widths[i], utf8.RuneCountInString(clean(cell)))
	}
}

// begin prints the header where people read.
func (l *live[T]) begin() error {
	if a := l.app; a.format != "table" || a.field != "" || !a.terminal {
		return nil
	}
	l.widen(l.header)
	return l.line(l.header)
}

// print prints an object.
func (l *live[T]) print(object T) error {
	a := l.app
	switch {
	case a.field != "":
		return a.showField(object)
	case a.format == "name":
		_, err := fmt.Fprintln(a.out, l.name(object))
		return err
	case a.format == "json":
		text, err := json.Marshal(object)
		if err != nil {
			return fmt.Errorf("encoding JSON: %w", err)
		}
		_, err = fmt.Fprintf(a.out, "%s\n", text)
		return err
	case a.format == "yaml":
		if _, err := fmt.Fprintln(a.out, "---"); err != nil {
			return err
		}
		return a.encode(object)
	}
	return l.line(l.cells(object))
}

func (l *live[T]) line(cells []string) error {
	l.widen(cells)
	for i := range cells {
		cells[i] = clean(cells[i])
		if l.app.terminal && i+1 < len(cells) {
			cells[i] += strings.Repeat(" ", l.widths[i]-utf8.RuneCountInString(cells[i])+2)
		}
	}
	separator := "\t"
	if l.app.terminal {
		separator = ""
	}
	_, err := fmt.Fprintln(l.app.out, strings.Join(cells, separator))
	return err
}

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// table is what a scenario found.
type table struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
	Checks  []check  `json:"checks,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// check compares a figure with what is wanted of it.
type check struct {
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Target string  `json:"target"`
	Met    bool    `json:"met"`
}

func (t *table) row(cells ...any) { t.Rows = append(t.Rows, cells) }

func (t *table) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

func (t *table) atLeast(what string, value, target float64) {
	t.Checks = append(t.Checks, check{what, value, "≥ " + number(target), value >= target})
}

func (t *table) atMost(what string, value, target float64) {
	t.Checks = append(t.Checks, check{what, value, "≤ " + number(target), value <= target})
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s\n\n", t.Name, t.Title)
	rows := [][]string{t.Columns}
	for _, row := range t.Rows {
		var cells []string
		for _, c := range row {
			cells = append(cells, text(c))
		}
		rows = append(rows, cells)
	}
	widths := make([]int, len(t.Columns))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(c)))
			if i == 0 {
				line.WriteString("| " + c + pad)
			} else {
				line.WriteString(" | " + pad + c)
			}
		}
		fmt.Fprintln(w, line.String()+" |")
		if n == 0 {
			line.Reset()
			for i, width := range widths {
				if i == 0 {
					line.WriteString("|" + strings.Repeat("-", width+2))
				} else {
					line.WriteString("|" + strings.Repeat("-", width+1) + ":")
				}
			}
			fmt.Fprintln(w, line.String()+"|")
		}
	}
	if len(t.Checks)+len(t.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, c := range t.Checks {
		verdict := "MISSED"
		if c.Met {
			verdict = "met"
		}
		fmt.Fprintf(w, "- %s: %s, wanted %s: %s\n", c.What, number(c.Value), c.Target, verdict)
	}
	for _, note := range t.Notes {
		fmt.Fprintf(w, "- %s\n", note)
	}
}

func text(cell any) string {
	switch c := cell.(type) {
	case nil:
		return ""
	case float64:
		return number(c)
	case time.Duration:
		return fmt.Sprintf("%s s", number(c.Seconds()))
	}
	return fmt.Sprint(cell)
}

// number writes three digits that mean something.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

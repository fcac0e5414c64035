package console

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// chart is a small picture of an hour, a bar for each minute.
type chart struct {
	ID, Title   string
	Figure      string // the number that matters
	Note        string // what the number is
	From, To    string // the ends of the axis
	Bars        []chartBar
	Most        string // what the highest bar stands for
	Description string // for those who do not see it
	Bad         bool
}

// chartBar is a minute.
type chartBar struct {
	X, Y, Height float64
	Text         string // when, and how much
}

// The size of a chart in its own units: a minute is 5 wide.
const (
	chartMinutes = 60
	chartHeight  = 60
)

// chartOf draws values, a minute each from the given time on.
func chartOf(id, title string, from time.Time, values []float64, say func(float64) string) chart {
	c := chart{ID: id, Title: title, From: "60 min ago", To: "now"}
	most := slices.Max(values)
	for i, value := range values {
		if value == 0 {
			continue
		}
		high := max(1.5, value/most*chartHeight)
		c.Bars = append(c.Bars, chartBar{
			X: float64(i) * 5, Y: chartHeight - high, Height: high,
			Text: from.Add(time.Duration(i)*time.Minute).UTC().Format("15:04") + " UTC: " + say(value),
		})
	}
	c.Most = say(most)
	c.Description = title + ", a bar a minute; the most is " + c.Most
	return c
}

// How much history and how many leases the charts are made from.
const (
	chartEvents = 10 * types.MaxPage
	chartLeases = 5 * types.MaxPage
)

// charts are made from the last hour of history and the next hour of leases, as far as the session may see them. partly says
// what is left out of them.
func (p *page) charts(live uint64) (list []chart, partly string, err error) {
	now := p.Now()
	from := now.Add(-chartMinutes * time.Minute)
	issued, ended, since, err := p.activity(from)
	if err != nil {
		return nil, "", err
	}
	late, ends, more, err := p.endings(from, now)
	if err != nil {
		return nil, "", err
	}
	number := func(what string) func(float64) string {
		return func(n float64) string { return count(int(n), what, what+"s") }
	}
	total := func(values []float64) (sum float64) {
		for _, one := range values {
			sum += one
		}
		return sum
	}

	levels := make([]float64, chartMinutes)
	for i, n := len(levels)-1, float64(live); i >= 0; i-- {
		levels[i] = max(n, 0)
		n += ended[i] - issued[i]
	}
	alive := chartOf("live", "Live leases", from, levels, number("lease"))
	alive.Figure, alive.Note = fmt.Sprint(live), "now"

	rate := chartOf("issued", "Issued", from, issued, number("lease"))
	rate.Figure, rate.Note = fmt.Sprint(int(total(issued))), "in the last hour"

	lateness := chartOf("late", "Expiry lateness", from, late, secondsText)
	lateness.Figure, lateness.Note = secondsText(slices.Max(late)), "the worst of the last hour: from a lease's end until its login was gone"
	lateness.Bad = slices.Max(late) > 60

	next := chartOf("ends", "Ending in the next hour", now, ends, number("lease"))
	next.From, next.To = "now", "in 60 min"
	next.Figure, next.Note = fmt.Sprint(int(total(ends))), "unless they are renewed"

	if since.After(from.Add(time.Minute)) {
		partly = "So much happens that history is shown since " + since.UTC().Format("15:04") + " UTC only."
	}
	if more {
		partly += fmt.Sprintf(" Of leases that end, the charts show %d.", chartLeases)
	}
	return []chart{alive, rate, lateness, next}, partly, nil
}

// activity counts leases that were issued and that ended, by minute. When there is too much history for all of it, it begins
// later.
func (p *page) activity(from time.Time) (issued, ended []float64, since time.Time, err error) {
	query := client.EventQuery{EventFilter: client.EventFilter{Types: []string{"lease.issued", "lease.revoked", "lease.expired", "lease.forgotten"}}}
	newest := query
	newest.Last = types.MaxPage
	found, err := p.Client.ListEvents(p.ctx, newest, client.ListOptions{Limit: types.MaxPage})
	if err != nil {
		return nil, nil, since, err
	}
	events := found.Items
	if len(events) >= types.MaxPage && events[0].At.After(from) {
		// As long a time as there is room for, if it goes on as it does now.
		span := p.Now().Sub(events[0].At) * (chartEvents / types.MaxPage)
		query.Since = from
		if start := p.Now().Add(-span); start.After(from) {
			query.Since = start
		}
		since = query.Since
		events, _, err = every(chartEvents, func(list client.ListOptions) (types.Page[types.Event], error) {
			return p.Client.ListEvents(p.ctx, query, list)
		})
		if err != nil {
			return nil, nil, since, err
		}
	}
	issued, ended = make([]float64, chartMinutes), make([]float64, chartMinutes)
	for _, e := range events {
		if at, ok := minuteOf(e.At.Sub(from)); ok {
			if e.Type == "lease.issued" {
				issued[at]++
			} else {
				ended[at]++
			}
		}
	}
	return issued, ended, since, nil
}

// endings are how late leases were gone, the worst of each minute in seconds, and how many end in each minute to come.
func (p *page) endings(from, now time.Time) (late, ends []float64, more bool, err error) {
	late, ends = make([]float64, chartMinutes), make([]float64, chartMinutes)
	read := func(selector client.LeaseSelector, take func(types.Lease)) error {
		found, left, err := every(chartLeases, func(list client.ListOptions) (types.Page[types.Lease], error) {
			return p.Client.ListLeases(p.ctx, selector, list)
		})
		for _, one := range found {
			take(one)
		}
		more = more || left
		return err
	}
	err = read(client.LeaseSelector{States: []string{"expired"}, ExpiresAfter: from, ExpiresBefore: now}, func(l types.Lease) {
		if l.EndedAt == nil {
			return
		}
		if at, ok := minuteOf(l.ExpiresAt.Sub(from)); ok {
			late[at] = max(late[at], l.EndedAt.Sub(l.ExpiresAt).Seconds())
		}
	})
	err = cmp.Or(err, read(client.LeaseSelector{States: []string{"active"}, ExpiresAfter: now, ExpiresBefore: now.Add(chartMinutes * time.Minute)}, func(l types.Lease) {
		if at, ok := minuteOf(l.ExpiresAt.Sub(now)); ok {
			ends[at]++
		}
	}))
	return late, ends, more, err
}

// minuteOf is the bar that something belongs to.
func minuteOf(after time.Duration) (int, bool) {
	at := int(after / time.Minute)
	return at, after >= 0 && at < chartMinutes
}

// secondsText says a length of time in as few digits as tell something.
func secondsText(s float64) string {
	switch {
	case s == 0:
		return "0 s"
	case s < 1:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s < 60:
		return fmt.Sprintf("%.1f s", s)
	}
	return durationText(types.Duration(time.Duration(s * float64(time.Second))))
}

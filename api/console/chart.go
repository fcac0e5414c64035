package console

import (
	"fmt"
	"slices"
	"time"

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

// chartHeight is the height of a chart in its own units. A minute is 5 wide.
const chartHeight = 60

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

// charts are made from the leases of the last hour and the next. partly says what is left out of them.
func (p *page) charts(live uint64) (list []chart, partly string, err error) {
	a, err := p.Client.GetActivity(p.ctx)
	if err != nil || len(a.Past) == 0 || len(a.Ahead) == 0 {
		return nil, "", err
	}
	from, now := a.Past[0].At, a.At
	var sumIssued, sumEnding uint64
	var issued, ended, late, ends []float64
	for _, m := range a.Past {
		sumIssued += m.Issued
		issued, ended, late = append(issued, float64(m.Issued)), append(ended, float64(m.Ended)), append(late, float64(m.WorstLatenessMS)/1000)
	}
	for _, m := range a.Ahead {
		sumEnding += m.Ending
		ends = append(ends, float64(m.Ending))
	}
	number := func(n float64) string { return count(int(n), "lease", "leases") }

	levels := make([]float64, len(issued))
	for i, n := len(levels)-1, float64(live); i >= 0; i-- {
		levels[i] = max(n, 0)
		n += ended[i] - issued[i]
	}
	alive := chartOf("live", "Live leases", from, levels, number)
	alive.Figure, alive.Note = fmt.Sprint(live), "now"

	rate := chartOf("issued", "Issued", from, issued, number)
	rate.Figure, rate.Note = fmt.Sprint(sumIssued), "in the last hour"

	lateness := chartOf("late", "Expiry lateness", from, late, secondsText)
	lateness.Figure, lateness.Note = secondsText(slices.Max(late)), "the worst of the last hour: from a lease's end until its login was gone"
	lateness.Bad = slices.Max(late) > 60

	next := chartOf("ends", "Ending in the next hour", now, ends, number)
	next.From, next.To = "now", "in 60 min"
	next.Figure, next.Note = fmt.Sprint(sumEnding), "unless they are renewed"

	if a.Since.After(from) {
		partly = "So much happens that history is counted since " + a.Since.UTC().Format("15:04") + " UTC only."
	}
	return []chart{alive, rate, lateness, next}, partly, nil
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

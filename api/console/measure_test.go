package console_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/api/console/consoletest"
	"broker/api/types"
)

var (
	measure       = flag.Bool("console.measure", false, "measure with many leases, as BENCHMARKS.md tells it; without -race")
	measureLeases = flag.Int("console.leases", 10_000, "how many leases are live when -console.measure measures")
)

// What a first look at a full list of leases costs, and how late others see what changes. Limits are what the console promises;
// without -console.measure the list is as long as a page, and only the size of it is judged.
func TestFullListOfLeases(t *testing.T) {
	h := consoletest.Start(t)
	leases, rounds := 60, 1
	if *measure {
		leases, rounds = *measureLeases, 20
	}
	began := time.Now()
	issueMany(h, leases)
	t.Logf("issued %d leases in %s", leases, time.Since(began).Round(time.Second))
	if *measure {
		measurePages(t, h)
		measureNews(t, h)
	}
	const path = "/ui/leases"
	var answers, first, again, sizes, bare []float64
	for i := range rounds {
		b := h.Browser(1+i%3, h.Token()) // with nothing in its cache
		b.Open(path)
		b.See("crowd-")
		v := lookAt(t, b)
		answers, first, sizes = append(answers, v.Answer), append(first, v.Paint), append(sizes, v.Bytes)
		b.Open(path)
		again = append(again, lookAt(t, b).Paint)
		b.Close()
		if *measure {
			b = h.Browser(1+i%3, h.Token())
			b.Open("/ui/locks")
			bare = append(bare, lookAt(t, b).Paint)
			b.Close()
		}
	}
	tell(t, "first load, KB transferred", sizes, 1000, 150)
	if !*measure {
		return
	}
	tell(t, "first byte of the page, ms", answers, 1, 300)
	tell(t, "first paint, ms, nothing cached", first, 1, 300)
	tell(t, "first paint, ms, again", again, 1, 300)
	tell(t, "first paint of a page that shows nothing, ms, nothing cached", bare, 1, 300)
}

// measurePages has some pages made by a node that knows many leases.
func measurePages(t *testing.T, h *consoletest.House) {
	t.Helper()
	b := h.Browser(1, h.Token())
	defer b.Close()
	for _, path := range []string{"/ui/", "/ui/environments/payments/production", "/ui/history", "/ui/cluster", "/ui/connections"} {
		var times []float64
		for range 5 {
			b.Open(path)
			times = append(times, lookAt(t, b).Answer)
		}
		tell(t, "first byte of "+path+", ms", times, 1, 300)
	}
}

// measureNews has leases come and go, and pages at all nodes show it.
func measureNews(t *testing.T, h *consoletest.House) {
	t.Helper()
	var at3 []*consoletest.Browser
	for node := range 3 {
		b := h.Browser(node+1, h.Token())
		defer b.Close()
		b.Open("/ui/leases")
		b.Live()
		at3 = append(at3, b)
	}
	var issued, revoked []float64
	for i := range 30 {
		b, name := at3[i%3], fmt.Sprintf("late-%d", i)
		at := watch(b, name, true)
		lease := h.Lease(name, time.Hour)
		issued = append(issued, at(lease.CreatedAt))
		at = watch(b, name, false)
		now := time.Now()
		if _, err := h.Client().RevokeLease(t.Context(), lease.ID, types.RevokeSpec{}); err != nil {
			t.Fatal(err)
		}
		revoked = append(revoked, at(now))
	}
	tell(t, "prepared until seen at any node, ms", issued, 1, 1000)
	tell(t, "asked to revoke until gone at any node, ms", revoked, 1, 1000)
}

// issueMany issues leases by some clients at once.
func issueMany(h *consoletest.House, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	c := h.Client()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for {
				i := left.Add(-1)
				if i < 0 {
					return
				}
				ttl := types.Duration(2*time.Hour + time.Duration(i)*time.Second)
				if _, err := c.IssueLease(context.Background(), consoletest.Secret, types.IssueSpec{Name: fmt.Sprintf("crowd-%d", i), TTL: &ttl}); err != nil {
					panic(err)
				}
			}
		})
	}
	all.Wait()
}

// look is what a browser says of how it loaded a page.
type look struct {
	Answer float64 // milliseconds until the first byte of the page was there
	Paint  float64 // milliseconds from the click to the first content
	Bytes  float64 // what came over the wire, heads included
}

func lookAt(t *testing.T, b *consoletest.Browser) look {
	t.Helper()
	b.Wait("performance.getEntriesByName('first-contentful-paint').length === 1")
	var v look
	text := b.Eval(`JSON.stringify({
		answer: performance.getEntriesByType("navigation")[0].responseStart,
		paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
		bytes: [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].reduce((sum, one) => sum + one.transferSize, 0),
	})`)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// watch has a page note when a name comes or goes. What it returns waits for that, and tells how many milliseconds after an
// instant it was: browser and test have the same clock.
func watch(b *consoletest.Browser, name string, comes bool) func(since time.Time) float64 {
	b.Eval(fmt.Sprintf(`(() => {
		window.seenAt = 0;
		const is = () => { if (document.querySelector("main").textContent.includes(%q) === %v) { window.seenAt = Date.now(); watcher.disconnect(); } };
		const watcher = new MutationObserver(is);
		watcher.observe(document.body, { childList: true, subtree: true, characterData: true });
		is();
	})()`, name, comes))
	return func(since time.Time) float64 {
		b.Wait("window.seenAt > 0")
		at, _ := strconv.ParseInt(b.Eval("window.seenAt"), 10, 64)
		return float64(at - since.UnixMilli())
	}
}

// tell logs the median and the worst of values, and fails when the median is above a limit.
func tell(t *testing.T, what string, values []float64, unit, limit float64) {
	t.Helper()
	slices.Sort(values)
	median, worst := values[len(values)/2]/unit, values[len(values)-1]/unit
	t.Logf("%s: median %.4g, worst %.4g, wanted at most %g", what, median, worst, limit)
	if median > limit {
		t.Errorf("%s: %.4g, want at most %g", what, median, limit)
	}
}

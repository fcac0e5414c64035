package console_test

import (
	"testing"
	"time"

	"broker/api/console/consoletest"
)

// Without the stream of events a page says so, reads by itself, and is live again when the stream is.
func TestStreamIsAway(t *testing.T) {
	h := consoletest.Start(t)
	way := h.Way(1)
	b := h.BrowserBy(way, h.Token())
	b.Expect("503")
	b.Expect("net::ERR_INCOMPLETE_CHUNKED_ENCODING")
	b.Open("/ui/leases?account=admin")
	b.Live()
	way.Cut("/ui/events")
	h.Lease("while-it-is-away", time.Hour)
	b.See("Not live since")
	b.See("while-it-is-away")
	b.Shot("not-live")
	way.Mend()
	b.Gone("Not live since")
	b.Live()
	h.Lease("when-it-is-back", time.Hour)
	b.See("when-it-is-back")

	// One that says nothing for so long that the way to it must be cut is begun anew.
	before := way.Seen("GET /ui/events")
	b.Eval(`(() => { const now = Date.now; Date.now = () => now() + 26000; })()`)
	for deadline := time.Now().Add(time.Minute); way.Seen("GET /ui/events") == before; {
		if time.Now().After(deadline) {
			t.Fatal("the page waits for a stream that is silent")
		}
		b.Wait("true")
	}
	b.Live()
}

// A browser opens six connections to a host, so pages in the background, which nobody looks at, hold none. They are not loaded
// again either, whatever happens, and catch up when they are shown.
func TestHiddenPageRests(t *testing.T) {
	h := consoletest.Start(t)
	way := h.Way(2)
	b := h.BrowserBy(way, h.Token())
	b.Open("/ui/leases?account=admin")
	b.Live()
	hide := func(hidden string) {
		b.Eval(`(Object.defineProperty(document, "hidden", { configurable: true, value: ` + hidden + ` }), document.dispatchEvent(new Event("visibilitychange")))`)
	}
	hide("true")
	if got := b.Eval(`"connected" in document.body.dataset`); got != "false" {
		t.Errorf("a hidden page follows events: %s", got)
	}
	before := way.Seen("GET /ui/leases")
	h.Lease("behind-its-back", time.Hour)
	b.Eval(`setTimeout(() => { window.waited = true }, 1000)`)
	b.Wait("window.waited")
	if n := way.Seen("GET /ui/leases") - before; n != 0 {
		t.Errorf("a hidden page was loaded %d times", n)
	}
	hide("false")
	b.Live()
	b.See("behind-its-back")
}

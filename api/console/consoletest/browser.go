package consoletest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a browser may take to show something.
const patience = 45 * time.Second

// browser is the one process that all tests share.
type browser struct {
	once  sync.Once
	ctx   context.Context
	close func()
	err   error
}

func init() { shared.browser.close = func() {} }

func (b *browser) start() {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	b.ctx, b.close = ctx, func() { end(); stop() }
	b.err = chromedp.Do(ctx)
}

// Browser is one person's, with cookies of its own.
type Browser struct {
	t     testing.TB
	house *House
	ctx   context.Context
	close func()
	base  string

	mu       sync.Mutex
	expected []string // parts of complaints that the test provokes
	wrong    []string
	cut      int // how often the browser gave up what it loaded since the machine's network changed
}

// Browser returns one that is signed in at a node with a token; without a token it is a stranger's.
func (h *House) Browser(node int, token string) *Browser {
	h.t.Helper()
	return h.browser(node, h.URL(node), token)
}

// BrowserBy is Browser, by a way that a test can cut.
func (h *House) BrowserBy(way *Way, token string) *Browser {
	h.t.Helper()
	return h.browser(way.node, way.url, token)
}

func (h *House) browser(node int, base, token string) *Browser {
	h.t.Helper()
	shared.browser.once.Do(shared.browser.start)
	if shared.browser.err != nil {
		h.t.Fatalf("starting chromium (scripts/need chromium installs it): %v", shared.browser.err)
	}
	ctx, cancel := chromedp.NewContext(shared.browser.ctx, chromedp.WithNewBrowserContext())
	b := &Browser{t: h.t, house: h, ctx: ctx, close: cancel, base: base}
	h.must(chromedp.Do(ctx))
	h.must(chromedp.Listen(ctx, b.hear))
	b.do(call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}), call(runtime.Enable, cdp.Empty{}))
	if token != "" {
		cookie := h.signIn(node, token)
		b.do(call(network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: b.base + "/", HTTPOnly: new(true), SameSite: network.CookieSameSiteStrict}))
	}
	h.t.Cleanup(func() {
		if h.t.Failed() && ctx.Err() == nil {
			h.t.Logf("at its end the page was %s:\n%s", b.eval("location.href"), b.eval("document.body.innerText"))
		}
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, complaint := range b.wrong {
			h.t.Errorf("the browser complains: %s", complaint)
		}
	})
	return b
}

// Close closes its window before the test ends.
func (b *Browser) Close() { b.close() }

// call is a command of the protocol as a step.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// hear takes in what goes wrong in the browser.
func (b *Browser) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		b.complain("exception: " + text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var parts []string
			for _, one := range e.Args {
				parts = append(parts, string(one.Value)+one.Description)
			}
			b.complain("console: " + strings.Join(parts, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.complain(fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// refusals are answers to forms that tell people what is wrong.
var refusals = []string{"status of 409", "status of 412", "status of 422", "status of 423"}

// networkChanged is why Chromium gives up all that it is loading when an interface of the machine comes or goes, as other
// tests have them do.
const networkChanged = "ERR_NETWORK_CHANGED"

func (b *Browser) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.Contains(text, networkChanged) {
		b.cut++
		return
	}
	for _, one := range append(refusals, b.expected...) {
		if strings.Contains(text, one) {
			return
		}
	}
	b.wrong = append(b.wrong, text)
}

func (b *Browser) cuts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cut
}

// Expect has complaints that contain a text be no failure: the test provokes them.
func (b *Browser) Expect(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, text)
}

// do runs steps, within patience.
func (b *Browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns what an expression is, as text.
func (b *Browser) eval(expression string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return text
}

// Eval returns what a JavaScript expression is, as text.
func (b *Browser) Eval(expression string) string {
	b.t.Helper()
	return b.eval(expression)
}

// until waits for an expression of the kit's own script to be "ok"; what it is else says why the test failed.
func (b *Browser) until(what, expression string) {
	b.t.Helper()
	b.untilWithin(patience, what, expression)
}

func (b *Browser) untilWithin(limit time.Duration, what, expression string) {
	b.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		got := b.eval("(() => {" + script + "; return " + expression + "})()")
		if got == "ok" {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: %s", what, got)
		}
		select {
		case <-b.t.Context().Done():
			b.t.Fatal("the test is over")
		case <-time.After(30 * time.Millisecond):
		}
	}
}

package consoletest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
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

func (b *Browser) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range append(refusals, b.expected...) {
		if strings.Contains(text, one) {
			return
		}
	}
	b.wrong = append(b.wrong, text)
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

// script finds things as people do: by what can be read.
const script = `
const shown = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
const top = () => [...document.querySelectorAll("dialog[open]")].pop() ?? document;
const named = (e) => (e.getAttribute("aria-label") ?? e.innerText ?? "").replace(/\s+/g, " ").trim();
const clickable = (name) => {
  if (/^[#.\[]/.test(name)) return [...top().querySelectorAll(name)].find(shown);
  const all = [...top().querySelectorAll("a, button, summary, [role=button], [role=menuitem], label, input[type=submit]")].filter(shown);
  return all.find((e) => named(e) === name) ?? all.find((e) => named(e).startsWith(name));
};
const inputOf = (name) => {
  if (/^[#.\[]/.test(name)) return top().querySelector(name);
  const label = [...top().querySelectorAll("label")].find((e) => named(e).replace(/ \*$/, "") === name);
  return label ? (label.control ?? document.getElementById(label.htmlFor)) : top().querySelector("[aria-label=" + JSON.stringify(name) + "]");
};
const click = (name) => {
  if (document.readyState !== "complete") return "the page, and its script, are still loading";
  const e = clickable(name);
  if (!e) return "nothing to click is called " + name + "; there is: " + [...top().querySelectorAll("a, button")].filter(shown).map(named).join(" | ");
  if (e.disabled) return name + " is disabled";
  e.scrollIntoView({ block: "center" });
  e.click();
  return "ok";
};
const fill = (name, value) => {
  const e = inputOf(name);
  if (!e) return "no field is called " + name + "; there is: " + [...top().querySelectorAll("label")].map(named).join(" | ");
  e.focus();
  if (e.tagName === "SELECT") {
    const option = [...e.options].find((o) => o.text === value || o.value === value);
    if (!option) return "there is no " + value + " in " + name;
    e.value = option.value;
  } else if (e.type === "checkbox") e.checked = value === "on";
  else e.value = value;
  e.dispatchEvent(new Event("input", { bubbles: true }));
  e.dispatchEvent(new Event("change", { bubbles: true }));
  return "ok";
};
const sees = (text) => top().textContent !== undefined && (top() === document ? document.body : top()).innerText.replace(/\s+/g, " ").includes(text)`

func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always can be
	}
	return string(out)
}

// Open goes to a path of the console.
func (b *Browser) Open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

// Click clicks what is called so, or what a selector finds that begins with #, . or [. In an open dialog nothing behind it is seen.
func (b *Browser) Click(what string) {
	b.t.Helper()
	b.until("clicking "+what, "click("+quoted(what)+")")
}

// DoubleClick clicks it twice, faster than anything can happen between.
func (b *Browser) DoubleClick(what string) {
	b.t.Helper()
	b.until("clicking "+what, "(() => { const e = clickable("+quoted(what)+"), first = click("+quoted(what)+"); if (first === 'ok') e.click(); return first; })()")
}

// Fill writes into the field with that label; a box is ticked by "on".
func (b *Browser) Fill(label, value string) {
	b.t.Helper()
	b.until("filling "+label, "fill("+quoted(label)+", "+quoted(value)+")")
}

// Value returns what the field with that label holds.
func (b *Browser) Value(label string) string {
	b.t.Helper()
	b.until("looking for "+label, "inputOf("+quoted(label)+") ? 'ok' : 'no field is called so'")
	return b.eval("(() => {" + script + "; return inputOf(" + quoted(label) + ").value})()")
}

// See waits until a text can be read; in an open dialog, there.
func (b *Browser) See(text string) {
	b.t.Helper()
	b.until("looking for "+text, "sees("+quoted(text)+") ? 'ok' : 'it is not to be seen'")
}

// Gone waits until a text cannot be read any more.
func (b *Browser) Gone(text string) {
	b.t.Helper()
	b.until("waiting for "+text+" to go", "sees("+quoted(text)+") ? 'it is still to be seen' : 'ok'")
}

// At waits until the browser is at a path.
func (b *Browser) At(path string) {
	b.t.Helper()
	b.until("waiting to be at "+path, "location.pathname === "+quoted(path)+" ? 'ok' : 'the browser is at ' + location.pathname")
}

// Wait waits until a JavaScript expression is true.
func (b *Browser) Wait(expression string) {
	b.t.Helper()
	b.until("waiting for "+expression, "("+expression+") ? 'ok' : 'it is not so'")
}

// Live waits until the page follows events.
func (b *Browser) Live() {
	b.t.Helper()
	b.until("waiting for the page to be live", "'connected' in document.body.dataset ? 'ok' : 'it is not'")
}

// Settled waits until every form that was sent has been answered.
func (b *Browser) Settled() {
	b.t.Helper()
	b.until("waiting for the answer to a form", "document.querySelector('form[data-sending]') ? 'it is still being sent' : 'ok'")
}

//go:embed testdata/axe.min.js
var axe string

// Axe has axe-core look for what keeps people from using the page. What it finds fails the test.
func (b *Browser) Axe() {
	b.t.Helper()
	if os.Getenv("BROKER_TEST_AXE") == "off" { // it takes most of the time
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](axe+`;
axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.map((v) => v.id + ": " + v.help + "\n" +
  v.nodes.slice(0, 3).map((n) => "    " + n.html.slice(0, 160) + "\n      " + n.failureSummary.split("\n").slice(1).join("; ")).join("\n")).join("\n"))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("running axe: %v", err)
	}
	if found != "" {
		b.t.Errorf("%s is not accessible:\n%s", b.eval("location.pathname"), found)
	}
}

// Shot keeps pictures of the page, wide and narrow, light and dark, where -console.shots asks for them. It also fails when the page
// is wider than a narrow window.
func (b *Browser) Shot(name string) {
	b.t.Helper()
	for _, width := range []int64{1280, 360} {
		b.do(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1}))
		if over := b.eval("document.documentElement.scrollWidth > innerWidth"); over != "false" {
			b.t.Errorf("%s at %d pixels is wider than its window", name, width)
		}
		if !*shots {
			continue
		}
		for _, theme := range []string{"light", "dark"} {
			b.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}))
			b.picture(fmt.Sprintf("%s-%d-%s.png", name, width, theme))
		}
	}
	b.do(call(emulation.ClearDeviceMetricsOverride, cdp.Empty{}))
}

func (b *Browser) picture(file string) {
	b.t.Helper()
	root, err := moduleRoot()
	b.house.must(err)
	dir := filepath.Join(root, "api/console/shots")
	b.house.must(os.MkdirAll(dir, 0o755))
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	b.house.must(err)
	b.house.must(os.WriteFile(filepath.Join(dir, file), data, 0o644))
}

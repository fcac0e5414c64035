package consoletest

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/chromedp/chromedp"
)

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
	for {
		before := b.cuts()
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		err := chromedp.Do(ctx, chromedp.Navigate(b.base+path))
		cancel()
		if b.cuts() == before && (err == nil || !strings.Contains(err.Error(), networkChanged)) {
			b.house.must(err)
			return
		}
	}
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

// At waits until the browser is at a path, and has all of the page.
func (b *Browser) At(path string) {
	b.t.Helper()
	b.until("waiting to be at "+path, "location.pathname !== "+quoted(path)+" ? 'the browser is at ' + location.pathname : document.readyState === 'complete' ? 'ok' : 'the page is still loading'")
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

// What makes pages live: one stream of events that has parts of the page loaded again, counted times, dialogs, copying
// and keys. Everything works without it, by links and forms.

import { $, $$, body } from "./talk.js";
import { count } from "./times.js";
import { follow } from "./live.js";
import { dialog, open } from "./dialog.js";
import { copy, needs, preset, show } from "./fields.js";

document.addEventListener("click", (e) => {
  const link = e.target.closest("a[data-dialog], #dialog a[data-reload]");
  if (link && !e.metaKey && !e.ctrlKey && !e.shiftKey && e.button === 0) {
    e.preventDefault();
    open(link.href, link);
    return;
  }
  const at = (name) => e.target.closest(`[data-${name}]`);
  let one;
  if ((one = at("close")) && one.closest("dialog")) {
    e.preventDefault();
    const shut = one.closest("dialog");
    shut.close();
    if (shut === dialog) dialog.replaceChildren(); // at once: the event comes later
  } else if ((one = at("copy"))) copy(one, one.dataset.copy);
  else if ((one = at("copy-from"))) copy(one, $("#" + CSS.escape(one.dataset.copyFrom)).value);
  else if ((one = at("show"))) show(one);
  else if ((one = at("preset"))) preset(one);
  else if ((one = at("menu"))) {
    const menu = document.getElementById(one.dataset.menu);
    one.setAttribute("aria-expanded", String(menu.classList.toggle("open")));
  } else if (at("help")) $("#help").showModal();
});

// ---- Keys.

let g = 0;
document.addEventListener("keydown", (e) => {
  if (e.metaKey || e.ctrlKey || e.altKey || e.target.matches("input, textarea, select, [contenteditable]") || $("dialog[open]")) return;
  if (Date.now() - g < 1500) {
    g = 0;
    const link = $(`a[data-go="${CSS.escape(e.key)}"]`);
    if (link) {
      e.preventDefault();
      link.click();
      return;
    }
  }
  if (e.key === "g") g = Date.now();
  else if (e.key === "?") $("#help").showModal();
  else if (e.key === "/") {
    const search = $("[role=search] input:not([type=hidden])");
    if (search) {
      e.preventDefault();
      search.focus();
      search.select();
    }
  }
});

// ---- The beginning.

$("[aria-invalid=true]")?.focus();
for (const tabs of $$(".tabs")) { // the one that one is at may be out of sight on narrow screens
  const here = $("[aria-current]", tabs);
  if (here) tabs.scrollLeft = here.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2;
}
count();
needs();
setInterval(count, 1000);
if ("signedIn" in body.dataset) follow();

// What fields do beside being typed into: they are copied from, shown, set with a click, and picked for.

import { $, $$, ask, body, say } from "./talk.js";

export async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not in every browser, nor everywhere
    const area = document.createElement("textarea");
    area.value = text;
    (button.closest("dialog") ?? body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.classList.add("ok");
  setTimeout(() => button.classList.remove("ok"), 1500);
  say("Copied.");
}

export function show(button) {
  const input = $("#" + CSS.escape(button.dataset.show));
  if (input.tagName === "TEXTAREA") { // several lines cannot stand in a password's input
    input.hidden = !input.hidden;
    $("#" + CSS.escape(button.dataset.show + "-dots")).hidden = !input.hidden;
    button.setAttribute("aria-pressed", String(!input.hidden));
    return;
  }
  const shown = input.type === "password";
  input.type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", String(shown));
}

export function preset(button) {
  const input = $("#" + CSS.escape(button.dataset.for));
  input.value = button.dataset.preset;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

// A button with data-needs works once the box of that name in its form is ticked; the console refuses without it as well.
export function needs(from = document) {
  for (const button of $$("[data-needs]", from)) button.disabled = !button.form?.elements[button.dataset.needs]?.checked;
}

// A form with data-auto is sent when something is chosen.
document.addEventListener("change", (e) => {
  needs();
  if (e.target.matches("form[data-auto] select")) e.target.form.requestSubmit();
});

// ---- Names to pick: an input with data-pick has its list filled when somebody goes there, and again when that is old.

document.addEventListener("focusin", async (e) => {
  const input = e.target, list = input.list;
  if (!input.dataset.pick || !list || Date.now() - Number(list.dataset.at ?? 0) < 30000) return;
  list.dataset.at = String(Date.now());
  const answer = await ask("/ui/pick/" + input.dataset.pick, "content").catch(() => null);
  if (answer?.ok) list.innerHTML = answer.text; // the console's own, escaped there
});

// add puts a name that was picked into the text area for which it was.
function add(input) {
  const text = $("#" + CSS.escape(input.dataset.addTo)), name = input.value.trim();
  if (!name) return;
  if (!text.value.split(/[\s,]+/).includes(name)) text.value = text.value.trimEnd() + (text.value.trim() ? "\n" : "") + name;
  input.value = "";
}

document.addEventListener("change", (e) => { if (e.target.dataset.addTo) add(e.target); });
document.addEventListener("keydown", (e) => {
  if (e.key !== "Enter" || !e.target.dataset?.addTo) return;
  e.preventDefault();
  add(e.target);
});

// Dialogs: a link with data-dialog is shown in one; its form is sent from there.

import { $, $$, ask, say } from "./talk.js";
import { count } from "./times.js";
import { refresh } from "./live.js";
import { needs } from "./fields.js";

export const dialog = $("#dialog");
let opener = null;

// open shows a page in the dialog, from what was clicked.
export async function open(url, from) {
  opener = from;
  try {
    fill(await ask(url, "dialog"));
  } catch {
    location.assign(url);
  }
}

function fill(answer) {
  if (!answer) return;
  if (answer.problem && $("form", dialog)) {
    trouble(answer.text);
    return;
  }
  dialog.innerHTML = answer.text; // the console's own page, escaped there
  if (!dialog.open) dialog.showModal();
  ($("[aria-invalid=true]", dialog) ?? $("[autofocus]", dialog))?.focus();
  count(dialog);
  needs(dialog);
}

// trouble tells above a form why it could not be sent, and leaves what was typed.
function trouble(text) {
  const told = new DOMParser().parseFromString(text, "text/html");
  $("[data-trouble]", dialog)?.remove();
  const box = document.createElement("div");
  box.className = "alert bad";
  box.dataset.trouble = "";
  box.setAttribute("role", "alert");
  const inner = document.createElement("div"), title = document.createElement("p");
  title.className = "alert-title";
  title.textContent = $("#dialog-title", told)?.textContent ?? "";
  inner.append(title, ...$$(".problem > p:not(.actions)", told));
  box.append(inner);
  $(".dialog-head", dialog).after(box);
}

function closeDialog() {
  if (dialog.open) dialog.close();
}

dialog.addEventListener("close", () => {
  dialog.replaceChildren(); // what it showed may be secret
  if (opener?.isConnected) opener.focus();
  opener = null;
});
// What is shown once, with data-hold in it, is closed by its button alone.
dialog.addEventListener("cancel", (e) => { if ($("[data-hold]", dialog)) e.preventDefault(); });
addEventListener("pagehide", () => {
  if (!$("[data-masked]")) return;
  $$("[data-masked]").forEach((one) => one.replaceChildren());
  dialog.replaceChildren();
  closeDialog();
});

document.addEventListener("submit", async (e) => {
  const form = e.target;
  if (form.method === "dialog") return;
  const button = e.submitter;
  if (!form.closest("#dialog")) {
    if (form.method === "post") hold(form, button, e);
    else if ("dialog" in form.dataset) {
      e.preventDefault();
      open(form.action + "?" + new URLSearchParams(new FormData(form)), button);
    }
    return;
  }
  e.preventDefault();
  if ("sending" in form.dataset) return;
  form.dataset.sending = "";
  button?.setAttribute("aria-busy", "true");
  const sent = new URLSearchParams(new FormData(form, button));
  try {
    fill(form.method === "post" ? await ask(form.action, "dialog", { form: sent }) : await ask(form.action + "?" + sent, "dialog"));
  } catch {
    say("No answer came. Sending it again is safe: nothing is done twice.");
  }
  delete form.dataset.sending;
  button?.removeAttribute("aria-busy");
});

// hold keeps a form from being sent twice by a double click.
function hold(form, button, e) {
  if ("sending" in form.dataset) {
    e.preventDefault();
    return;
  }
  form.dataset.sending = "";
  setTimeout(() => { if (button) button.disabled = true; });
  setTimeout(() => { delete form.dataset.sending; if (button) button.disabled = false; }, 10000);
}

// A form is done, or the page is to be left.
document.addEventListener("console:done", ({ detail: { message, go } }) => {
  closeDialog();
  if (go) {
    location.assign(go);
    return;
  }
  if (message) say(message);
  refresh(); // the stream has it refreshed too; without one this is all there is
});

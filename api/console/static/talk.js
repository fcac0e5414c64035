// Talking with the console, and with whoever looks.

export const body = document.body;

export function $(selector, from = document) { return from.querySelector(selector); }

export function $$(selector, from = document) { return [...from.querySelectorAll(selector)]; }

// What is known of the broker.
export const seen = {
  index: Number(body.dataset.index) || 0, // of the newest state that was seen
  ahead: Number(body.dataset.now) - Date.now(), // of its clock
};

// ask fetches a part of a page. It returns the text, or null when there is nothing to show for it: the page is to be left, or a form
// did what it is for, which "console:done" tells.
export async function ask(url, part, { live = 0, parts, form } = {}) {
  const headers = { "Console-Part": part };
  if (live) headers["Console-Live"] = String(live);
  if (parts) headers["Console-Parts"] = parts.join();
  const answer = await fetch(url, { method: form ? "POST" : "GET", body: form, headers, credentials: "same-origin", redirect: "follow" });
  const now = Number(answer.headers.get("Console-Now"));
  if (now) seen.ahead = now - Date.now();
  seen.index = Math.max(seen.index, Number(answer.headers.get("Console-Index")) || 0);
  const go = answer.headers.get("Console-Go"), done = answer.headers.get("Console-Done");
  if (go || done) {
    document.dispatchEvent(new CustomEvent("console:done", { detail: go ? { go } : JSON.parse(decodeURIComponent(done)) }));
    return null;
  }
  if (!answer.headers.get("Content-Type")?.startsWith("text/html")) throw new Error("no page: " + answer.status);
  return { text: await answer.text(), ok: answer.ok, problem: answer.headers.has("Console-Problem") };
}

export function say(message) {
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.textContent = message;
  $("#toasts").append(toast);
  setTimeout(() => toast.remove(), 6000);
}

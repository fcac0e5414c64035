// What makes pages live: one stream of events that has parts of the page loaded again, counted times, dialogs, copying
// and keys. Everything works without it, by links and forms.
"use strict";
(() => {
  const body = document.body;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  let index = Number(body.dataset.index) || 0; // of the newest state that was seen
  let ahead = Number(body.dataset.now) - Date.now(); // of the broker's clock

  // ---- Talking with the console.

  // ask fetches a part of a page. It returns the text, or null when there is nothing to show for it.
  async function ask(url, part, { live = 0, parts, form } = {}) {
    const headers = { "Console-Part": part };
    if (live) headers["Console-Live"] = String(live);
    if (parts) headers["Console-Parts"] = parts.join();
    const answer = await fetch(url, { method: form ? "POST" : "GET", body: form, headers, credentials: "same-origin", redirect: "follow" });
    const now = Number(answer.headers.get("Console-Now"));
    if (now) ahead = now - Date.now();
    index = Math.max(index, Number(answer.headers.get("Console-Index")) || 0);
    const go = answer.headers.get("Console-Go");
    if (go) { leave(go); return null; }
    const done = answer.headers.get("Console-Done");
    if (done) { finished(JSON.parse(decodeURIComponent(done))); return null; }
    if (!answer.headers.get("Content-Type")?.startsWith("text/html")) throw new Error("no page: " + answer.status);
    return { text: await answer.text(), ok: answer.ok, problem: answer.headers.has("Console-Problem") };
  }

  function leave(path) {
    closeDialog();
    location.assign(path);
  }

  function finished({ message, go }) {
    closeDialog();
    if (go) {
      leave(go);
      return;
    }
    if (message) say(message);
    refresh(); // the stream has it refreshed too; without one this is all there is
  }

  function say(message) {
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.textContent = message;
    $("#toasts").append(toast);
    setTimeout(() => toast.remove(), 6000);
  }

  // ---- Live parts: elements with an id and data-live, the beginnings of the types of events that they show.

  const wanted = new Set();
  let timer = 0, loading = false, latest = 0, loaded = 0, pause = 300;

  function happened(type, at) {
    latest = Math.max(latest, at);
    for (const part of $$("[data-live]")) {
      if (part.dataset.live.split(",").some((prefix) => type === prefix || type.startsWith(prefix + ".") || prefix === "*")) wanted.add(part.id);
    }
    schedule();
  }

  function schedule() {
    if (wanted.size && !timer && !loading && !document.hidden) timer = setTimeout(load, Math.max(0, loaded + pause - Date.now()));
  }

  // A page that nobody sees follows nothing and is not loaded again; it catches up when it is shown.
  let hidden = document.hidden ? Date.now() : 0;
  document.addEventListener("visibilitychange", () => {
    if (!("signedIn" in body.dataset)) return;
    if (document.hidden) {
      hidden = Date.now();
      rest();
      return;
    }
    follow();
    for (const part of $$("[data-every]")) if (Date.now() - hidden >= Number(part.dataset.every) * 1000) wanted.add(part.id);
    schedule();
    bars();
  });

  function refresh() {
    for (const part of $$("[data-live]")) wanted.add(part.id);
    schedule();
  }

  // What changes without an event says in data-every after how many seconds to look again.
  let ticks = 0;
  setInterval(() => {
    ticks++;
    if (document.hidden || !("signedIn" in body.dataset)) return;
    if (Date.now() - heard > 25000) { // it beats every 10 s: the way to it is cut
      went();
      unfollow();
      follow();
    }
    for (const part of $$("[data-every]")) if (ticks % Number(part.dataset.every) === 0) wanted.add(part.id);
    schedule();
  }, 1000);

  async function load() {
    timer = 0;
    if (document.hidden) return;
    loading = true;
    loaded = Date.now();
    const parts = [...wanted];
    wanted.clear();
    try {
      const answer = await ask(location.href, "content", { live: Math.max(latest, index, 1), parts });
      if (answer?.ok) replace(answer.text, parts);
    } catch { for (const id of parts) wanted.add(id); }
    loading = false;
    pause = Math.max(300, 3 * (Date.now() - loaded)); // a node that is slow to answer is asked less often
    if (wanted.size && !timer) timer = setTimeout(load, connected ? pause : 5000);
  }

  // replace changes parts of the page into what they are now, and leaves alone what people are at.
  function replace(text, parts) {
    const now = new DOMParser().parseFromString(text, "text/html");
    for (const id of parts) {
      const from = document.getElementById(id), to = now.getElementById(id);
      if (!from || !to) continue;
      Idiomorph.morph(from, to, {
        morphStyle: "outerHTML", ignoreActiveValue: true,
        callbacks: {
          beforeNodeMorphed: (node) => !(node instanceof Element && (node.matches("[data-keep]") || node.matches("input, textarea, select") && dirty(node))),
          beforeAttributeUpdated: (name, node) => !(name === "open" || name === "aria-expanded" || name === "hidden" && node.matches("[data-menu-of]")),
        },
      });
      count(from);
    }
    tally();
  }

  function dirty(input) {
    if (input.type === "checkbox" || input.type === "radio") return input.checked !== input.defaultChecked;
    if (input.tagName === "SELECT") return [...input.options].some((one) => one.selected !== one.defaultSelected);
    return input.value !== input.defaultValue;
  }

  // ---- The stream.

  let connected = true, away = 0, poll = 0, stream = null, again = 0, heard = Date.now(), leader = !$("[data-stale]");

  // All pages of a browser share six connections to a host: only the one that is looked at has a stream.
  function follow() {
    if (stream || document.hidden) return;
    heard = Date.now();
    stream = new EventSource("/ui/events?after=" + index);
    stream.addEventListener("on", (e) => { came(); leads(e); });
    stream.addEventListener("beat", leads);
    stream.addEventListener("news", (e) => {
      came();
      const { type, index: at } = JSON.parse(e.data);
      happened(type, at);
      document.dispatchEvent(new CustomEvent("console:news", { detail: JSON.parse(e.data) }));
    });
    stream.addEventListener("off", () => went());
    stream.addEventListener("over", (e) => {
      const { code } = JSON.parse(e.data);
      if (code === "unauthenticated") location.reload(); // which leads to where one can sign in
      went();
      later();
    });
    stream.onerror = (e) => {
      went();
      if (e.target.readyState === EventSource.CLOSED) later();
    };
  }

  function unfollow() {
    clearTimeout(again);
    stream?.close();
    stream = null;
  }

  // rest ends the stream of a page that is hidden; all is loaded again when the next one is there.
  function rest() {
    unfollow();
    clearInterval(poll);
    poll = 0;
    connected = false;
    delete body.dataset.connected;
  }

  function later() {
    unfollow();
    again = setTimeout(follow, 2000);
  }

  // leads has the page loaded again when a leader comes or goes, which the bar above it tells.
  function leads(e) {
    heard = Date.now();
    leader = JSON.parse(e.data).leader;
    bars();
  }

  async function bars() {
    if (document.hidden || leader === !$("[data-stale]")) return;
    const answer = await fetch(location.href, { headers: { "Console-Live": "0" } }).catch(() => null);
    if (!answer?.ok) return;
    const now = new DOMParser().parseFromString(await answer.text(), "text/html");
    const from = $("[data-stale]"), to = $("[data-stale]", now);
    if (from && !to) from.remove();
    else if (!from && to) $("#bars").prepend(document.adoptNode(to));
    refresh();
  }

  function came() {
    heard = Date.now();
    if (!connected) refresh();
    connected = true;
    clearInterval(poll);
    poll = 0;
    $("#not-live").hidden = true;
    body.dataset.connected = "";
  }

  function went() {
    if (poll) return;
    connected = false;
    away = Date.now();
    delete body.dataset.connected;
    poll = setInterval(() => {
      $("#not-live-since").textContent = new Date(away).toLocaleTimeString();
      $("#not-live").hidden = false;
      refresh();
    }, 5000);
  }

  // ---- Times, counted as the console says them.

  function relative(seconds) {
    const s = Math.abs(seconds);
    let text;
    if (s < 1) return "now";
    if (s < 60) text = `${s} s`;
    else if (s < 600) text = `${Math.floor(s / 60)} min ${s % 60} s`;
    else if (s < 3600) text = `${Math.floor(s / 60)} min`;
    else if (s < 36000) text = `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    else if (s < 172800) text = `${Math.floor(s / 3600)} h`;
    else text = `${Math.floor(s / 86400)} days`;
    return seconds > 0 ? `in ${text}` : `${text} ago`;
  }

  function count(from = document) {
    const now = Date.now() + ahead;
    for (const one of $$("time[data-relative]", from)) {
      const left = Math.round((Date.parse(one.dateTime) - now) / 1000), over = one.dataset.relative; // a word for what is over, if any
      const text = (left < 0 && over ? over + " " : "") + relative(left);
      if (one.textContent !== text) one.textContent = text;
    }
  }

  // ---- Dialogs: a link with data-dialog is shown in one; its form is sent from there.

  const dialog = $("#dialog");
  let opener = null;

  async function open(url, from) {
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

  // ---- Clicks.

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

  async function copy(button, text) {
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

  function show(button) {
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

  function preset(button) {
    const input = $("#" + CSS.escape(button.dataset.for));
    input.value = button.dataset.preset;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // A button with data-needs works once the box of that name in its form is ticked; the console refuses without it as well.
  function needs(from = document) {
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

  // ---- Choosing rows: boxes of a form that stands elsewhere on the page, and a bar that says how many are chosen.

  document.addEventListener("change", (e) => {
    const all = e.target.dataset.chooseAll;
    if (all) boxes(all).forEach((one) => { one.checked = e.target.checked; });
    tally();
  });

  function boxes(form) {
    return [...(document.getElementById(form)?.elements ?? [])].filter((one) => one.type === "checkbox");
  }

  function tally() {
    for (const bar of $$("[data-chosen]")) {
      const list = boxes(bar.dataset.chosen), chosen = list.filter((one) => one.checked).length;
      bar.hidden = !chosen;
      $("[data-chosen-count]", bar).textContent = String(chosen);
      const all = $(`[data-choose-all="${CSS.escape(bar.dataset.chosen)}"]`);
      if (all) {
        all.checked = chosen > 0 && chosen === list.length;
        all.indeterminate = chosen > 0 && chosen < list.length;
      }
    }
  }

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

  $("[aria-invalid=true]")?.focus();
  count();
  needs();
  setInterval(count, 1000);
  if ("signedIn" in body.dataset) follow();
})();

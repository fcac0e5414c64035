// Live parts: elements with an id and data-live, the beginnings of the types of events that they show. One stream of events has them
// loaded again.

import { $, $$, ask, body, seen } from "./talk.js";
import { count } from "./times.js";
import { tally } from "./rows.js";

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

// refresh has all of them loaded again.
export function refresh() {
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
    const answer = await ask(location.href, "content", { live: Math.max(latest, seen.index, 1), parts });
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
export function follow() {
  if (stream || document.hidden) return;
  heard = Date.now();
  stream = new EventSource("/ui/events?after=" + seen.index);
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

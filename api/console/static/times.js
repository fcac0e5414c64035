// Times, counted as the console says them.

import { $$, seen } from "./talk.js";

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

// count says all times anew.
export function count(from = document) {
  const now = Date.now() + seen.ahead;
  for (const one of $$("time[data-relative]", from)) {
    const left = Math.round((Date.parse(one.dateTime) - now) / 1000), over = one.dataset.relative; // a word for what is over, if any
    const text = (left < 0 && over ? over + " " : "") + relative(left);
    if (one.textContent !== text) one.textContent = text;
  }
}

// Choosing rows: boxes of a form that stands elsewhere on the page, and a bar that says how many are chosen.

import { $, $$ } from "./talk.js";

document.addEventListener("change", (e) => {
  const all = e.target.dataset.chooseAll;
  if (all) boxes(all).forEach((one) => { one.checked = e.target.checked; });
  tally();
});

function boxes(form) {
  return [...(document.getElementById(form)?.elements ?? [])].filter((one) => one.type === "checkbox");
}

// tally counts what is chosen.
export function tally() {
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

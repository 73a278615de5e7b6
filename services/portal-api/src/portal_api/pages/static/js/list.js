// The left side: every sequence with its facts and its progress.
import { h, pending, sprout } from "./dom.js";
import { number } from "./format.js";
import { operator, state, tenantOf } from "./state.js";

const nameOf = (sequence) => tenantOf(sequence.tenant_id)?.name ?? sequence.tenant_id;

export function shownSequences() {
  const words = state.words.trim().toLowerCase();
  return (state.sequences ?? [])
    .filter((each) => !words || each.name.toLowerCase().includes(words) || each.description.toLowerCase().includes(words))
    .sort((a, b) => nameOf(a).localeCompare(nameOf(b)) || a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
}

export function facts(sequence) {
  const { steps, running, sent, recorded } = sequence.stats;
  const last = sent === 0 && recorded > 0 ? `${number(recorded)} recorded` : `${number(sent)} sent`;
  return `${steps} ${steps === 1 ? "step" : "steps"} · ${number(running)} running · ${last}`;
}

export function drawList() {
  const root = document.getElementById("list");
  if (!state.sequences) return sprout(root, pending(state.failed));
  const shown = shownSequences();
  if (!shown.length) {
    return sprout(root, h("div", { class: "empty", "data-key": "empty" },
      h("h2", {}, state.words ? "Nothing by that name" : "No sequences yet"),
      h("p", {}, state.words ? "Try another word, or clear the search." : "A sequence follows a lead up by itself: an e-mail now, a call tomorrow, one more try next week."),
      !state.words && operator && h("button", { class: "button primary", type: "button", "data-action": "new-sequence" }, "Write the first one")));
  }
  const grouped = !state.tenant && state.tenants.length > 1;
  sprout(root, shown.map((sequence, at) => [
    grouped && sequence.tenant_id !== shown[at - 1]?.tenant_id && h("h2", { class: "group", "data-key": `tenant ${sequence.tenant_id}` }, nameOf(sequence)),
    item(sequence),
  ]));
}

function item(sequence) {
  const current = sequence.id === state.selected;
  return h("a", {
    class: `item is-${sequence.status}`,
    href: `/sequences/${encodeURIComponent(sequence.id)}`,
    "data-key": sequence.id,
    "data-action": "select",
    "data-id": sequence.id,
    "aria-current": current ? "true" : null,
  },
  h("span", { class: "item-top" },
    h("span", { class: "item-name" }, sequence.name),
    sequence.status !== "active" && h("span", { class: `badge ${sequence.status}` }, sequence.status)),
  h("p", { class: "item-facts" }, facts(sequence)),
  h("div", {
    class: "progress", role: "progressbar", pct: sequence.stats.progress_pct,
    "aria-valuenow": sequence.stats.progress_pct, "aria-valuemin": 0, "aria-valuemax": 100,
    "aria-label": `${sequence.stats.progress_pct}% of all steps done`,
    title: `${sequence.stats.progress_pct}% of all steps done`,
  }));
}

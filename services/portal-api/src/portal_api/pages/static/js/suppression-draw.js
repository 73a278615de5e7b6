// The list, and the imports that are under way.
import { h, pending, sprout } from "./dom.js";
import { ago, CHANNELS, number, plural, sentence, when } from "./format.js";
import { state as shared, tenantOf } from "./state.js";
import { OWN_WORD, REASONS, state } from "./suppression-state.js";

const list = document.getElementById("list");
const imports = document.getElementById("imports");

function item(each) {
  const lifted = each.state === "lifted";
  const tenant = shared.tenants.length > 1 && !shared.tenant ? ` · ${tenantOf(each.tenant_id)?.name ?? each.tenant_id}` : "";
  const kind = lifted ? "closed" : OWN_WORD.has(each.reason) ? "own-word" : "of-the-mailbox";
  const who = each.by ? `${each.by}, ${each.source}` : each.source;
  return h("div", { class: "item", role: "listitem", tabindex: "0", "data-key": each.id, "data-id": each.id },
    h("div", { class: "who" }, h("i", { class: `dot ${each.channel}` }), h("b", {}, each.address, h("small", {}, `${CHANNELS[each.channel] ?? each.channel}${tenant}`))),
    h("div", {}, h("span", { class: `badge ${kind}` }, lifted ? `Lifted: ${(REASONS[each.reason] ?? each.reason).toLowerCase()}` : REASONS[each.reason] ?? sentence(each.reason))),
    h("div", { class: "facts-of" }, each.note && h("b", {}, each.note), h("time", { datetime: each.at, title: when(each.at) }, ago(each.at)), ` · ${who}`, each.evidence && ` · opted in: ${each.evidence}`),
    lifted ? h("span", {}) : h("button", { class: "button small", type: "button", "data-action": "lift", "data-id": each.id, "aria-label": `Lift ${each.address} on ${CHANNELS[each.channel] ?? each.channel}` }, "Lift"));
}

export function drawList() {
  if (!state.items) return sprout(list, pending(state.failed));
  const asked = state.asked.address || state.asked.channel || state.asked.reason || state.asked.state !== "active";
  if (!state.items.length) {
    return sprout(list, h("div", { class: "empty item" },
      h("h2", {}, asked ? "Nobody fits" : "Nobody is suppressed"),
      h("p", {}, asked ? "Change what is asked for, or clear the search." : "Opt-outs, bounces and complaints come here by themselves. Bring the list of your last tool with Import."),
      asked && h("button", { class: "button", type: "button", "data-action": "clear" }, "Show all in force")));
  }
  sprout(list, state.items.map(item), state.next && h("div", { class: "more-row" }, h("button", { class: "button small", type: "button", "data-action": "more" }, "Show more")));
}

export function drawImports() {
  sprout(imports, state.imports.filter((each) => each.state === "running").map((each) =>
    h("div", { class: "under-way", "data-key": each.id, role: "status" },
      h("p", {}, h("b", {}, `Importing ${each.file}`), h("span", {}, `${number(each.told)} of ${plural(each.new, "entry", "entries")}`)),
      h("div", { class: "progress tall", pct: each.new ? (100 * each.told) / each.new : 100 }))));
}

// What both sides had of a field, whose stands, and why.
import { conflicts } from "./conflict-state.js";
import { h, pending, sprout } from "./dom.js";
import { ago, plural, sentence, soon, when } from "./format.js";
import { operator } from "./state.js";
import { nameOfTenant, several } from "./sync-state.js";

export const PROVIDERS = { hubspot: "HubSpot", followupboss: "Follow Up Boss", webhook: "Webhook", sandbox: "Sandbox" };
const SHOWN = [["open", "To look at"], ["done", "Looked at"]];
const FIELDS = { email: "E-mail" };
// The API counts no further.
const MOST = 100;

export function drawConflicts() {
  const { shown, open, items } = conflicts;
  sprout(document.getElementById("which-conflicts"), SHOWN.map(([id, name]) => h("button", {
    class: "tab", type: "button", role: "tab", "aria-selected": String(shown === id), "data-action": "conflicts", "data-state": id,
  }, name, id === "open" && open > 0 && h("i", {}, open < MOST ? String(open) : "99+"))));
  const root = document.getElementById("conflicts");
  if (!items) return sprout(root, pending(conflicts.failed));
  if (!items.length) return sprout(root, h("p", { class: "quiet", "data-key": `none-${shown}` }, shown === "open" ? "Nothing to look at: the CRMs and leadflow agree, or the rules were enough." : "Nobody has looked at a conflict yet."));
  sprout(root, items.map(item), conflicts.next && h("div", { class: "more-row", "data-key": "more" }, h("button", { class: "button small", type: "button", "data-action": "more-conflicts" }, "Show more")));
}

function item(change) {
  const { acknowledged: said } = change;
  const fields = change.fields.filter((each) => each.conflict);
  const rest = change.fields.length - fields.length;
  const crm = PROVIDERS[change.provider] ?? change.provider;
  const facts = [crm, several() && nameOfTenant(change.tenant_id), rest > 0 && `${plural(rest, "field")} more without a conflict`];
  return h("div", { class: "item conflict", role: "listitem", tabindex: "0", "data-key": change.event_id, "data-id": change.event_id },
    h("div", { class: "conflict-top" },
      h("p", {}, h("b", {}, change.lead.name),
        h("small", {}, h("time", { datetime: change.settled_at, title: when(change.settled_at) }, ago(change.settled_at)), facts.filter(Boolean).map((each) => ` · ${each}`))),
      operator && !said && h("button", { class: "button small", type: "button", "data-action": "acknowledge", "data-id": change.event_id, "aria-label": `Acknowledge the conflict of ${change.lead.name}` }, "Acknowledge")),
    h("ul", {}, fields.map((each) => field(each, crm))),
    said && h("p", { class: "said" }, h("b", {}, said.by), `, ${ago(said.at)}: ${said.reason}`));
}

function field(each, crm) {
  return h("li", { "data-key": each.field, "data-field": each.field },
    h("h3", {}, FIELDS[each.field] ?? sentence(each.field)),
    side(crm, each.crm_value, each.crm_at, each.outcome === "taken"),
    side("leadflow", each.log_value, each.log_at, each.outcome === "kept"),
    h("p", { class: "because" }, sentence(each.why)));
}

// A value is somebody's word: it is shown as it is.
function side(who, value, at, stands) {
  return h("div", { class: stands ? "version-of stands" : "version-of" },
    h("small", {}, who, at && [", ", h("time", { datetime: at, title: when(at) }, soon(at))]),
    h("p", {}, value || h("em", {}, "none"), stands && h("span", { class: "badge completed" }, "Stands")));
}

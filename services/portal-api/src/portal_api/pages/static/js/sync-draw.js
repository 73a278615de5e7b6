// The accounts, and the runs one by one.
import { PROVIDERS } from "./conflict-draw.js";
import { h, pending, sprout } from "./dom.js";
import { ago, number, plural, sentence, when } from "./format.js";
import { operator } from "./state.js";
import { nameOfTenant, several, state } from "./sync-state.js";

const STATES = [["", "All"], ["waiting", "Waiting"], ["dead", "Failed"], ["written", "Written"]];
const RESULTS = { written: ["completed", "Written"], unchanged: ["closed", "Known there"], waiting: ["queued", "Waiting"], dead: ["refused", "Failed"] };
const ACCOUNT = { active: ["completed", "Active"], paused: ["open", "Paused"], removed: ["closed", "Removed"] };
// LeadCreated is told as "Lead created".
const what = (type) => sentence(type.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase());
const EMPTY = { "": "Nothing was synchronized yet", waiting: "Nothing waits", dead: "Nothing failed", written: "Nothing was written yet" };

export function drawStates() {
  sprout(document.getElementById("states"), STATES.map(([id, name]) => h("button", {
    class: "tab", type: "button", role: "tab", "aria-selected": String(state.shown === id), "data-action": "states", "data-state": id || "all",
  }, name)));
}

export function drawAccounts() {
  sprout(document.getElementById("accounts"), state.accounts.length > 0 && h("ul", { class: "accounts", "aria-label": "CRM accounts" }, state.accounts.map(account)));
}

function account(each) {
  const [tone, name] = ACCOUNT[each.status] ?? ["closed", sentence(each.status)];
  const facts = [each.waiting > 0 && `${number(each.waiting)} waiting`, each.dead > 0 && `${number(each.dead)} failed`].filter(Boolean);
  return h("li", { class: "account", "data-key": each.account_id, "data-account": each.account_id },
    h("span", { class: "item-top" }, h("b", {}, PROVIDERS[each.provider] ?? each.provider), h("span", { class: `badge ${tone}` }, name)),
    each.reason && each.status === "paused" && h("p", {}, each.reason),
    h("small", {}, [several() && nameOfTenant(each.tenant_id), `since ${ago(each.changed_at)}`, ...facts].filter(Boolean).join(" · ")));
}

export function drawList() {
  const root = document.getElementById("list");
  if (!state.items) return sprout(root, pending(state.failed));
  if (!state.items.length) {
    return sprout(root, h("div", { class: "empty item", "data-key": `empty-${state.shown}` },
      h("h2", {}, EMPTY[state.shown]),
      h("p", {}, "Every change of a lead that a CRM is to know is listed here with its result.")));
  }
  sprout(root, state.items.map(item), state.next && h("div", { class: "more-row", "data-key": "more" }, h("button", { class: "button small", type: "button", "data-action": "more" }, "Show more")));
}

function item(run) {
  const [tone, name] = RESULTS[run.result] ?? ["closed", sentence(run.result)];
  const lead = [run.first_name, run.last_name].filter(Boolean).join(" ") || "A lead without a name";
  const tried = run.attempts > 0 && plural(run.attempts, "try", "tries");
  return h("div", { class: "item", role: "listitem", tabindex: "0", "data-key": run.cause_id, "data-id": run.cause_id },
    h("div", { class: "who" }, h("b", {}, what(run.what), h("small", {}, [lead, several() && nameOfTenant(run.tenant_id)].filter(Boolean).join(" · ")))),
    h("div", {}, h("span", { class: `badge ${tone}` }, name)),
    h("div", { class: "facts-of" }, run.reason && h("b", {}, run.reason),
      h("time", { datetime: run.at, title: when(run.at) }, ago(run.at)),
      [` · ${PROVIDERS[run.provider] ?? run.provider}`, tried && ` · ${tried}`, run.next_try_at && ` · again ${ago(run.next_try_at)}`]),
    run.result === "dead" && operator ? h("a", { class: "button small", href: `/dead-letters${location.search}` }, "Dead letters") : h("span", {}));
}

// The messages of which nobody knows whether they went out, and one of them with what is known.
import { nameOfTenant, selected, state } from "./doubt-state.js";
import { h, icon, pending, sprout } from "./dom.js";
import { ago, channelName, sentence, when, words } from "./format.js";
import { operator, state as shared } from "./state.js";

const STATES = [["open", "In doubt"], ["settled", "Settled"]];
export const OUTCOMES = { sent: "it was sent", failed: "it was not sent" };
const AGAIN = ["sent", "failed"];

export function stateOf(message) {
  if (message.state !== "unknown") return [message.state, sentence(message.state)];
  return message.doubt?.word ? ["queued", "Settling"] : ["unknown", "In doubt"];
}
const nameOfSequence = (id) => shared.sequences?.find((each) => each.id === id)?.name ?? id;
const several = () => shared.tenants.length > 1 && !shared.tenant;

export function drawStates() {
  sprout(document.getElementById("states"), STATES.map(([id, name]) => h("button", {
    class: "tab", type: "button", role: "tab", "aria-selected": String(state.shown === id), "data-action": "states", "data-state": id,
  }, name)));
}

export function drawList() {
  const root = document.getElementById("list");
  if (!state.items) return sprout(root, pending(state.failed));
  if (!state.items.length) {
    return sprout(root, h("div", { class: "empty", "data-key": `empty-${state.shown}` },
      h("h2", {}, state.shown === "open" ? "Nothing is in doubt" : "Nothing was settled yet"),
      h("p", {}, state.shown === "open" ? "Of every message it is known whether its provider took it." : "Who found out what became of a message, and how, is kept here.")));
  }
  sprout(root,
    state.items.map((each, at) => [
      several() && each.tenant_id !== state.items[at - 1]?.tenant_id && h("h2", { class: "group", "data-key": `tenant ${each.tenant_id}` }, nameOfTenant(each)),
      item(each),
    ]),
    state.next && h("div", { class: "load", "data-key": "more" }, h("button", { class: "button small", type: "button", "data-action": "more" }, "Show more")));
}

function item(message) {
  const [tone, name] = stateOf(message);
  const word = message.doubt?.word;
  return h("a", {
    class: "item", href: `/doubts/${encodeURIComponent(message.id)}`,
    "data-key": message.id, "data-action": "select", "data-id": message.id,
    "aria-current": message.id === state.selected ? "true" : null,
  },
  h("span", { class: "item-top" },
    h("span", { class: "item-name" }, message.lead.name),
    h("span", { class: `badge ${tone}` }, name)),
  h("p", { class: "item-why" }, message.subject || message.message_body || words(message.step_id)),
  h("p", { class: "item-facts" }, `${channelName(message.channel)} over ${message.provider ?? "an unknown provider"} · ${word ? `${word.by}, ${ago(word.at)}` : ago(message.doubt?.since ?? message.scheduled_for)}`));
}

export function drawDetail() {
  const root = document.getElementById("detail");
  const message = selected();
  document.title = `${message ? `${message.lead.name} · ` : ""}In doubt · leadflow`;
  if (!state.items) return sprout(root, h("div", { class: "sheet", "data-key": "waiting" }, [1, 2].map(() => h("div", { class: "skeleton" }))));
  if (!message) return sprout(root, nothing());
  const [tone, name] = stateOf(message);
  sprout(root, h("article", { class: "sheet", "data-key": message.id },
    h("button", { class: "back", type: "button", "data-action": "back" }, icon("back"), "In doubt"),
    h("header", { class: "head" }, h("div", {}, h("div", { class: "title" },
      h("h2", {}, message.lead.name),
      h("span", { class: `badge ${tone}`, "data-status": message.state }, name),
      h("span", { class: "version" }, several() ? nameOfTenant(message) : "")))),
    message.state === "unknown" && h("p", { class: "why" }, `${message.provider ?? "The provider"} may have taken it, and did not say so${message.failed_reason ? `: ${message.failed_reason}` : "."}`),
    facts(message),
    way(message),
    text(message)));
}

function nothing() {
  return h("div", { class: "empty", "data-key": "nothing" },
    h("h2", {}, state.selected ? "That message is not here" : "Nothing to look at"),
    h("p", {}, state.selected ? "It may be settled, or belong to another tenant." : "A message is in doubt where a provider was asked and its answer was lost. It is never sent again by itself."));
}

const fact = (name, value, whole = "") => value && h("div", { class: whole, "data-fact": name }, h("dt", {}, name), h("dd", {}, value));
const time = (iso) => iso && h("time", { datetime: iso }, when(iso));

function facts(message) {
  return h("dl", { class: "facts" },
    fact("To", message.recipient),
    fact("Channel", channelName(message.channel)),
    fact("Provider", message.provider),
    fact("Sequence", `${nameOfSequence(message.sequence_id)}, step ${words(message.step_id)}`),
    fact("Was due", time(message.scheduled_for)),
    fact("In doubt since", time(message.doubt?.since)),
    fact("Attempt", message.attempt > 1 ? `${message.attempt}, sent again by a person` : null),
    fact("Id at the provider", (message.doubt?.word?.provider_id ?? message.doubt?.provider_id) && h("code", {}, message.doubt.word?.provider_id ?? message.doubt.provider_id)),
    fact("Idempotency key", h("code", {}, message.id), "whole"));
}

function text(message) {
  if (!message.subject && !message.message_body) return null;
  return h("section", { class: "as-written", "aria-label": "What it says" },
    message.subject && h("h3", {}, message.subject),
    message.message_body && h("p", {}, message.message_body));
}

function way(message) {
  const word = message.doubt?.word;
  const settled = message.state !== "unknown";
  return h("section", { class: "way", "aria-label": "The way out" },
    leg("1", Boolean(word) || settled, !word && !settled, word || settled ? "Found out" : "Find out",
      word ? h("p", {}, `${word.by}, ${ago(word.at)}: ${word.reason}`)
        : settled ? h("p", {}, "By the provider itself, or by an earlier version.")
        : h("p", {}, "Look for the address, the time and the key above in the provider's log, or in the mailbox that it went from.")),
    leg("2", settled, Boolean(word) && !settled, settled || word ? "Said" : "Say so", [
      h("p", {}, word ? `${sentence(OUTCOMES[word.outcome])}.${settled ? "" : " The ledger has not followed yet."}`
        : settled ? `It is ${message.state}.` : "The sequence goes on by it. It cannot be taken back: the ledger keeps both, the doubt and the word."),
    ], !word && !settled && operator && h("div", { class: "leg-tools" },
      h("button", { class: "button small", type: "button", "data-action": "sent" }, icon("check"), "It was sent"),
      h("button", { class: "button small", type: "button", "data-action": "failed" }, icon("close"), "It was not"))),
    settled && AGAIN.includes(message.state) && operator && leg("3", false, false, "Send again", h("p", {}, message.state === "sent"
      ? "Only where it was sent after all is not true: it could arrive twice."
      : "Where it should still arrive. It goes out as a message of its own."),
    h("button", { class: "button small", type: "button", "data-action": "again" }, icon("resend"), "Send again")));
}

const leg = (mark, done, next, title, text_, tool = null) => h("div", { class: `leg ${done ? "done" : ""} ${next ? "next" : ""}`.trim(), "data-leg": title },
  h("span", { class: "mark", "aria-hidden": "true" }, done ? icon("check") : mark), h("div", {}, h("h3", {}, title), text_), tool);

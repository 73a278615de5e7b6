// Dead letters by cause, and one cause with its letters and what was done about them.
import { h, icon, pending, sprout } from "./dom.js";
import { ago, number, plural, sentence, when, words } from "./format.js";
import { idOf, nameOfTenant, running, selected, shownGroups, state } from "./letter-state.js";
import { state as shared } from "./state.js";

const STATES = [["open", "Open"], ["handled", "Handled"]];
const several = () => shared.tenants.length > 1 && !shared.tenant;
// "RecordRefused: unknown_lead" reads better by its rule.
export const titleOf = ({ cause }) => sentence(cause.split(": ").slice(1).join(": ") || cause);

export function drawStates() {
  sprout(document.getElementById("states"), STATES.map(([id, name]) => h("button", {
    class: "tab", type: "button", role: "tab", "aria-selected": String(state.shown === id), "data-action": "states", "data-state": id,
  }, name)));
}

export function drawList() {
  const root = document.getElementById("list");
  if (!state.items) return sprout(root, pending(state.failed));
  const groups = shownGroups();
  const open = state.shown === "open";
  if (!groups.length) {
    return sprout(root, h("div", { class: "empty", "data-key": `empty-${state.shown}` },
      h("h2", {}, open ? "No dead letters" : "Nothing was handled yet"),
      h("p", {}, open ? "Everything that came in could be processed, or was looked after." : "What was replayed or discarded is kept here, with who did it.")));
  }
  sprout(root, groups.map(item), state.next && h("div", { class: "load", "data-key": "more" }, h("button", { class: "button small", type: "button", "data-action": "more" }, "Show more")));
}

function item(group) {
  const id = idOf(group);
  const open = state.shown === "open";
  return h("a", {
    class: "item", href: `/dead-letters/${encodeURIComponent(id)}`, "data-key": id, "data-action": "select", "data-id": id,
    "aria-current": id === state.selected ? "true" : null,
  },
  h("span", { class: "item-top" },
    h("span", { class: "item-name" }, titleOf(group)),
    h("span", { class: `badge ${open ? "open" : "closed"}` }, number(open ? group.open : group.replayed + group.discarded))),
  h("p", { class: "item-why" }, group.reason),
  h("p", { class: "item-facts" }, `${group.service} · ${open ? `since ${ago(group.open_since)}` : `${number(group.replayed)} replayed, ${number(group.discarded)} discarded`}`));
}

export function drawDetail() {
  const root = document.getElementById("detail");
  const group = selected();
  document.title = `${group ? `${titleOf(group)} · ` : ""}Dead letters · leadflow`;
  if (!state.items) return sprout(root, h("div", { class: "sheet", "data-key": "waiting" }, [1, 2].map(() => h("div", { class: "skeleton" }))));
  if (!group) return sprout(root, h("div", { class: "sheet", "data-key": "nothing" }, underWay(), nothing(), past()));
  sprout(root, h("article", { class: "sheet", "data-key": state.selected },
    h("button", { class: "back", type: "button", "data-action": "back" }, icon("back"), "Dead letters"),
    h("header", { class: "head" },
      h("div", { class: "title" }, h("h2", {}, titleOf(group)), group.open > 0 && h("span", { class: "badge open" }, `${number(group.open)} open`)),
      group.open > 0 && h("div", { class: "actions" },
        h("button", { class: "button", type: "button", "data-action": "discard" }, icon("trash"), "Discard…"),
        h("button", { class: "button primary", type: "button", "data-action": "replay" }, icon("resend"), "Replay…"))),
    h("p", { class: "why" }, group.reason || group.cause),
    underWay(),
    facts(group),
    group.came_back > 0 && h("p", { class: "came-back" }, `${plural(group.came_back, "letter")} ${group.came_back === 1 ? "was" : "were"} replayed before and came back: what is wrong is not mended yet.`),
    letters(),
    past()));
}

function nothing() {
  return h("div", { class: "empty", "data-key": "nothing" },
    h("h2", {}, state.selected ? "That cause is not here" : "Nothing to look at"),
    h("p", {}, state.selected ? "It may belong to another tenant." : "A record that a service cannot process is kept as it came, with the reason, while everything behind it goes on."));
}

const fact = (name, value, whole = "") => value && h("div", { class: whole, "data-fact": name }, h("dt", {}, name), h("dd", {}, value));
const time = (iso) => iso && h("time", { datetime: iso }, when(iso));

function facts(group) {
  return h("dl", { class: "facts" },
    fact("Service", group.service),
    fact("Came from", group.origin_topics.filter(Boolean).join(", ") || "nobody knows"),
    fact("Cause", h("code", {}, group.cause)),
    fact("Open since", time(group.open_since)),
    fact("Latest", time(group.newest_at)),
    fact("Handled", `${number(group.replayed)} replayed, ${number(group.discarded)} discarded`),
    fact("No way back", group.stuck > 0 && `${plural(group.stuck, "letter")} cannot be replayed: they can only be discarded.`, "whole"));
}

function letters() {
  const { letters: held } = state;
  const mine = held?.key === `${state.shown} ${state.selected}` ? held : null;
  return h("section", { class: "letters", "data-key": "letters", "aria-label": "Letters" },
    h("h3", {}, state.shown === "open" ? "Open letters" : "Handled letters"),
    mine ? h("ul", {}, mine.items.map(letter)) : h("div", { class: "skeleton" }),
    mine?.next && h("button", { class: "button small", type: "button", "data-action": "older" }, "Show older"));
}

function letter(each) {
  const open = state.open?.id === each.id;
  const told = each.state === "open"
    ? each.stuck ?? (each.replay_of ? `came back from ${each.replay_of}` : "")
    : `${each.state} by ${each.reviewed_by}, ${ago(each.reviewed_at)}${each.review_reason ? `: ${each.review_reason}` : ""}`;
  return h("li", { "data-key": each.id, "data-letter": each.id },
    h("div", { class: "letter" },
      h("div", {}, h("b", {}, each.was || "Unreadable"), h("small", {}, [each.id, several() && each.tenant_id && nameOfTenant(each.tenant_id)].filter(Boolean).join(" · "))),
      h("div", {}, h("time", { datetime: each.at, title: when(each.at) }, ago(each.at)), told && h("small", {}, told)),
      h("button", { class: "button small", type: "button", "data-action": "look", "data-id": each.id, "aria-expanded": String(open) }, open ? "Close" : "Look")),
    open && opened(state.open));
}

function opened(each) {
  if (each.value === undefined) return h("div", { class: "skeleton" });
  return h("div", { class: "opened" },
    h("dl", { class: "facts" },
      fact("Came from", `${each.origin_topic || "nobody knows"}, partition ${each.origin_partition}, offset ${each.origin_offset}`),
      fact("Buried", time(each.at)),
      fact("Event", h("code", {}, each.event_id)),
      fact("Reason", each.reason, "whole")),
    h("pre", { tabindex: "0", "aria-label": "What is in it, without the person" }, each.kept ? each.value : "The log does not keep it any more."),
    each.reviews.length > 0 && h("ul", { class: "past" }, each.reviews.map((review) => h("li", {}, time(review.at), h("span", {}, `${sentence(review.action)} by ${review.reviewed_by}`, h("small", {}, [review.reason, review.chosen].filter(Boolean).join(" · ")))))),
    each.state === "open" && !each.stuck && h("div", { class: "leg-tools" }, h("button", { class: "button small", type: "button", "data-action": "one", "data-id": each.id }, icon("resend"), "Replay this one")));
}

const settled = ({ counts }) => counts.done + counts.gone + counts.skipped + counts.cancelled;
const VERB = { replayed: "Replaying", discarded: "Discarding" };

function underWay() {
  return running().map((run) => h("div", { class: "under-way", "data-key": `run ${run.id}`, role: "status" },
    h("p", {}, h("b", {}, VERB[run.action]), h("span", {}, `${number(settled(run))} of ${plural(run.total, "letter")}`)),
    h("div", { class: "progress tall", pct: run.total ? (100 * settled(run)) / run.total : 100 }),
    h("div", { class: "leg-tools" }, h("button", { class: "button small", type: "button", "data-action": "cancel", "data-id": run.id }, "Stop here"))));
}

const REST = [["gone", "no longer in the log or without a way back"], ["skipped", "handled by somebody else meanwhile"], ["cancelled", "stopped before"]];

function past() {
  const over = state.runs.filter((each) => each.finished_at);
  if (!over.length) return null;
  return h("section", { class: "past", "data-key": "past", "aria-label": "What was done" }, h("h3", {}, "What was done"),
    h("ul", {}, over.map((run) => h("li", { "data-key": run.id, "data-run": run.id },
      time(run.created_at),
      h("span", {}, `${number(run.counts.done)} ${words(run.action)} by ${run.requested_by}${run.reason ? `: ${run.reason}` : ""}`,
        h("small", {}, [run.chosen, ...REST.filter(([name]) => run.counts[name]).map(([name, text]) => `${number(run.counts[name])} ${text}`)].join(" · ")))))));
}

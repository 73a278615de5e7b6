// The list of incidents, and one of them with the way out of it.
import { h, icon, pending, sprout } from "./dom.js";
import { ago, sentence, when } from "./format.js";
import { nameOfSequence, scopeWords, selected, state } from "./incident-state.js";
import { going } from "./resume.js";
import { operator } from "./state.js";

const STATES = [["open", "Open"], ["closed", "Closed"]];

export function stateOf(incident) {
  if (incident.state === "closed") return "closed";
  return incident.verification.status === "done" ? "verified" : "open";
}

export function drawStates() {
  sprout(document.getElementById("states"), STATES.map(([id, name]) => h("button", {
    class: "tab", type: "button", role: "tab", "aria-selected": String(state.shown === id), "data-action": "states", "data-state": id, "data-key": id,
  }, name)));
}

export function drawList() {
  const root = document.getElementById("list");
  if (!state.items) return sprout(root, pending(state.failed));
  if (!state.items.length) {
    return sprout(root, h("div", { class: "empty", "data-key": `empty-${state.shown}` },
      h("h2", {}, state.shown === "open" ? "Nothing is paused" : "Nothing was closed yet"),
      h("p", {}, state.shown === "open" ? "Rules pause a channel by themselves when messages fail, bounce or draw complaints." : "What was paused and went on again is kept here.")));
  }
  sprout(root,
    state.items.map(item),
    state.next && h("div", { class: "load", "data-key": "more" }, h("button", { class: "button small", type: "button", "data-action": "more" }, "Show more")));
}

function item(incident) {
  const now = stateOf(incident);
  return h("a", {
    class: `item is-${now}`, href: `/incidents/${encodeURIComponent(incident.id)}`,
    "data-key": incident.id, "data-action": "select", "data-id": incident.id,
    "aria-current": incident.id === state.selected ? "true" : null,
  },
  h("span", { class: "item-top" },
    h("span", { class: "item-name" }, scopeWords(incident.scope)),
    h("span", { class: `badge ${now}` }, sentence(now))),
  h("p", { class: "item-why" }, incident.reason),
  h("p", { class: "item-facts" }, `${sentence(incident.kind)} · ${incident.owner} · ${ago(incident.closed_at ?? incident.opened_at)}`));
}

export function drawDetail() {
  const root = document.getElementById("detail");
  const incident = selected();
  document.title = `${incident ? `${scopeWords(incident.scope)} · ` : ""}Incidents · leadflow`;
  if (!state.items) return sprout(root, h("div", { class: "sheet", "data-key": "waiting" }, [1, 2].map(() => h("div", { class: "skeleton" }))));
  if (!incident) return sprout(root, nothing());
  const now = stateOf(incident);
  sprout(root, h("article", { class: "sheet", "data-key": incident.id },
    h("button", { class: "back", type: "button", "data-action": "back" }, icon("back"), "Incidents"),
    h("header", { class: "head" },
      h("div", {}, h("div", { class: "title" },
        h("h2", {}, scopeWords(incident.scope)),
        h("span", { class: `badge ${now}`, "data-status": now }, sentence(now)),
        h("span", { class: "version" }, sentence(incident.kind)))),
      operator && incident.state === "open" && h("div", { class: "actions" },
        h("button", { class: "button", type: "button", "data-action": "edit" }, icon("edit"), "Edit"))),
    h("p", { class: "why" }, incident.reason),
    facts(incident),
    way(incident, now),
    past(incident)));
}

function nothing() {
  return h("div", { class: "empty", "data-key": "nothing" },
    h("h2", {}, state.selected ? "That incident is not here" : "Nothing to look at"),
    h("p", {}, state.selected ? "It may belong to another tenant." : "An incident says why something is paused, who mends it, and what has to be verified before it goes on."),
    operator && h("button", { class: "button", type: "button", "data-action": "open" }, icon("pause"), "Pause something"));
}

const fact = (name, value, whole = false) => value && h("div", { class: whole ? "whole" : "" }, h("dt", {}, name), h("dd", {}, value));

function facts(incident) {
  return h("dl", { class: "facts" },
    fact("Owner", incident.owner),
    fact("Opened", h("span", { title: when(incident.opened_at) }, `${ago(incident.opened_at)}, ${incident.rule ? `by the rule ${incident.rule.replaceAll("_", " ")}` : `by ${incident.opened_by}`}`)),
    fact("Workflow", incident.workflow),
    fact("Rollback", incident.rollback, true));
}

// Three legs: paused, verified, resumed. One of them is next.
function way(incident, now) {
  const { verification } = incident;
  const verified = verification.status === "done";
  const closed = now === "closed";
  const preview = state.previewOf === incident.id ? state.preview : null;
  const others = preview?.still_paused_by?.length ?? 0;
  return h("section", { class: "way", "aria-label": "The way out" },
    leg("1", true, false, "Paused", h("p", {}, closed ? "It was held meanwhile; nothing was lost." : "Nothing of it goes out. What is due meanwhile waits; nothing is lost.")),
    leg("2", verified, !verified && !closed, "Verified", [
      h("p", {}, verification.task),
      verified && h("p", {}, `${verification.done_by}, ${ago(verification.done_at)}${verification.note ? `: ${verification.note}` : ""}`),
    ], operator && !closed && (verified
      ? h("button", { class: "button small", type: "button", "data-action": "take-back", "data-key": "take-back" }, "Take back")
      : h("button", { class: "button primary small", type: "button", "data-action": "verify", "data-key": "verify" }, icon("check"), "It is done"))),
    leg("3", closed, verified && !closed, closed ? "Resumed" : "Resume", closed
      ? h("p", {}, `${incident.closed_by}, ${ago(incident.closed_at)}, at ${incident.rate_per_minute} a minute. ${incident.close_reason}`)
      : [
        others > 0 && h("p", {}, `It stays paused after this: ${others === 1 ? "another incident is" : `${others} other incidents are`} open on the same scope.`),
        h("div", {}, preview ? going(preview, nameOfSequence)[0] : h("p", {}, "Counting what waits…")),
        !verified && h("p", {}, "Once the task is done."),
      ], operator && !closed && h("button", { class: `button small ${verified ? "primary" : ""}`.trim(), type: "button", "data-action": "resume", disabled: verified ? null : true }, icon("play"), others ? "Close" : "Resume")));
}

const leg = (mark, done, next, title, text, tool = null) => h("div", { class: `leg ${done ? "done" : ""} ${next ? "next" : ""}`.trim(), "data-leg": title },
  h("span", { class: "mark", "aria-hidden": "true" }, done ? icon("check") : mark), h("div", {}, h("h3", {}, title), text), tool);

const PAST = { opened: "Paused", verified: "Verified", closed: "Closed", changed: "Changed", "verification taken back": "Verification taken back" };

function past(incident) {
  if (!incident.history) return null;
  return h("section", { class: "past" }, h("h3", {}, "What happened"),
    h("ul", {}, incident.history.map((each, at) => h("li", { "data-key": String(at) },
      h("time", { datetime: each.at }, when(each.at)),
      h("div", {}, `${PAST[each.what] ?? sentence(each.what)} by ${each.by}`, told(each))))));
}

function told({ what, detail }) {
  if (what === "changed") return Object.entries(detail).map(([name, { before, after }]) => h("small", {}, `${sentence(name)}: ${after} (before: ${before})`));
  const text = what === "closed" ? `${detail.reason}, at ${detail.rate_per_minute} a minute` : detail.reason ?? detail.note;
  return text && h("small", {}, text);
}

// The steps of a sequence on their line.
import { h, icon } from "./dom.js";
import { CHANNELS, FOR_PEOPLE, number, template } from "./format.js";
import { operator, state } from "./state.js";

const STATES = [
  ["sent", "sent", "Sent"], ["recorded", "sent", "Recorded"], ["queued", "queued", "Queued"], ["scheduled", "", "Scheduled"],
  ["held", "held", "Held"], ["unknown", "held", "Unknown"], ["suppressed", "suppressed", "Suppressed"], ["failed", "failed", "Failed"], ["skipped", "", "Skipped"],
];
// What a preview shows before it is cut off; below that there is nothing more to show.
const LONG = 170;

export function timeline(sequence) {
  if (!sequence.steps.length) {
    return h("div", { class: "empty" }, h("h3", {}, "No steps yet"), h("p", {}, "A first message at T+0h is a good start; a second one a day later is what gets the answer."),
      operator && h("button", { class: "button primary", type: "button", "data-action": "new-step" }, icon("plus"), "New step"));
  }
  return h("ol", { class: "timeline" }, sequence.steps.map(step));
}

function step(each) {
  const fired = ["sent", "recorded"].includes(each.status);
  return h("li", { class: `step ${each.status} ${fired ? "fired" : ""}`.trim(), "data-key": each.id, "data-step": each.id },
    h("p", { class: "delay", title: delayTitle(each) }, each.delay_label),
    h("span", { class: "circle" }, fired && icon("check")),
    h("div", { class: "step-card" },
      h("div", { class: "step-head" },
        h("span", { class: "channel" }, h("span", { class: `dot ${each.channel}` }), CHANNELS[each.channel] ?? each.channel),
        h("span", { class: "states" }, states(each)),
        operator && h("span", { class: "tools" },
          h("button", { class: "icon-button", type: "button", "data-action": "edit-step", "data-id": each.id, "aria-label": `Edit step ${each.delay_label} ${each.template_subject || each.channel}`, title: "Edit" }, icon("edit")),
          h("button", { class: "icon-button danger", type: "button", "data-action": "remove-step", "data-id": each.id, "aria-label": `Remove step ${each.delay_label} ${each.template_subject || each.channel}`, title: "Remove" }, icon("trash")))),
      each.template_subject && h("p", { class: "subject" }, template(each.template_subject)),
      body(each),
      each.condition && h("p", { class: "only" }, "Only if ", h("code", {}, `${each.condition.field} ${each.condition.op} ${each.condition.value}`)),
      counts(each)));
}

const delayTitle = (each) => (each.delay_from === "previous" ? "After the step before" : "After enrollment");

function states(each) {
  const shown = STATES.filter(([name]) => each.counts[name] > 0);
  if (!shown.length) return h("span", { class: "badge" }, each.channel === "wait" ? "Waits" : "Nobody yet");
  return shown.map(([name, tone, label]) => h("span", { class: `badge ${tone}`, "data-key": name, "data-state": name }, `${label} ${number(each.counts[name])}`));
}

function body(each) {
  const text = each.template_body.trim();
  if (!text) return each.channel === "wait" ? h("p", { class: "preview" }, "Sends nothing; the next step counts from here.") : null;
  const open = state.open.has(each.id);
  const long = text.length > LONG || text.split("\n").length > 3;
  return [
    h("p", { class: `preview ${open ? "open" : ""}`.trim() }, template(text)),
    long && h("button", { class: "more", type: "button", "data-action": "open-body", "data-id": each.id, "aria-expanded": String(open) }, open ? "Show less" : "Show all"),
  ];
}

function counts(each) {
  if (each.channel === "wait") return null;
  const shown = FOR_PEOPLE.has(each.channel)
    ? [["For a person to do", each.counts.recorded]]
    : [each.channel === "email" && ["Opens", each.counts.opened], ["Clicks", each.counts.clicked], ["Replies", each.counts.replied], each.counts.bounced > 0 && ["Bounces", each.counts.bounced]].filter(Boolean);
  return h("p", { class: "counts" }, shown.map(([name, n]) => h("span", { class: n ? "" : "zero", "data-count": name }, h("b", {}, number(n)), ` ${name}`)));
}

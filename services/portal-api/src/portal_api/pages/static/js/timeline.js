// The steps of a sequence on their line.
import { h, icon } from "./dom.js";
import { BY_THE_API, channelName, conditionLine, FOR_PEOPLE, number, percent, plural, template } from "./format.js";
import { operator, state } from "./state.js";

const STATES = [
  ["sent", "sent", "Sent"], ["recorded", "sent", "Recorded"], ["queued", "queued", "Queued"], ["scheduled", "", "Scheduled"],
  ["held", "held", "Held"], ["unknown", "held", "Unknown"], ["suppressed", "suppressed", "Suppressed"], ["failed", "failed", "Failed"], ["skipped", "", "Skipped"],
];
// What sends nothing is never in a state.
const QUIET = { wait: "Waits", condition: "Decides", stop: "Ends the run" };
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
        h("span", { class: "channel" }, h("span", { class: `dot ${each.channel}` }), channelName(each.channel)),
        h("span", { class: "states" }, states(each)),
        operator && h("span", { class: "tools" },
          !BY_THE_API[each.channel] && h("button", { class: "icon-button", type: "button", "data-action": "edit-step", "data-id": each.id, "aria-label": `Edit step ${each.delay_label} ${each.template_subject || each.channel}`, title: "Edit" }, icon("edit")),
          h("button", { class: "icon-button danger", type: "button", "data-action": "remove-step", "data-id": each.id, "aria-label": `Remove step ${each.delay_label} ${each.template_subject || each.channel}`, title: "Remove" }, icon("trash")))),
      !each.arms.length && each.template_subject && h("p", { class: "subject" }, template(each.template_subject)),
      body(each),
      arms(each),
      condition(each),
      rules(each),
      counts(each)));
}

function delayTitle(each) {
  const from = each.delay_from === "previous" ? "after the step before" : "after enrollment";
  const parts = [each.delay_days && plural(each.delay_days, "day"), each.delay_business_days && plural(each.delay_business_days, "business day"), (each.delay_minutes || !(each.delay_days || each.delay_business_days)) && plural(each.delay_minutes, "minute")];
  return `${parts.filter(Boolean).join(" and ")} ${from}`;
}

function condition(each) {
  if (!each.condition) return null;
  const asked = conditionLine(each.condition);
  if (each.channel !== "condition") return h("p", { class: "only" }, "Only if ", h("em", {}, asked), "; else this step is skipped.");
  return h("dl", { class: "branch" },
    h("div", {}, h("dt", {}, "If"), h("dd", {}, asked)),
    h("div", {}, h("dt", {}, "Then"), h("dd", {}, "on to the next step")),
    h("div", {}, h("dt", {}, "Else"), h("dd", {}, each.otherwise ? ["on to step ", h("em", {}, each.otherwise)] : "the run ends")));
}

// The variants of a step: a lead keeps the one that it has.
function arms(each) {
  if (!each.arms.length) return null;
  return h("ul", { class: "arms", "aria-label": "Variants" }, each.arms.map((arm) => h("li", { "data-key": arm.name, "data-arm": arm.name },
    h("b", {}, arm.name), h("span", { class: "share" }, percent(arm.share)),
    h("span", { class: "arm-text" }, template(arm.subject || arm.body || arm.template_name)))));
}

function rules(each) {
  const told = [
    each.spread_minutes > 0 && `Spread over ${plural(each.spread_minutes, "minute")}`,
    each.blocks && "The next step waits until this is done",
  ].filter(Boolean);
  return told.length ? h("p", { class: "step-rules" }, told.map((text) => h("span", {}, text))) : null;
}

function states(each) {
  const shown = STATES.filter(([name]) => each.counts[name] > 0);
  if (!shown.length) return h("span", { class: "badge" }, QUIET[each.channel] ?? "Nobody yet");
  return shown.map(([name, tone, label]) => h("span", { class: `badge ${tone}`, "data-key": name, "data-state": name }, `${label} ${number(each.counts[name])}`));
}

function body(each) {
  const text = each.arms.length ? "" : each.template_body.trim();
  if (!text) return each.channel === "wait" ? h("p", { class: "preview" }, "Sends nothing; the next step counts from here.") : null;
  const open = state.open.has(each.id);
  const long = text.length > LONG || text.split("\n").length > 3;
  return [
    h("p", { class: `preview ${open ? "open" : ""}`.trim() }, template(text)),
    long && h("button", { class: "more", type: "button", "data-action": "open-body", "data-id": each.id, "aria-expanded": String(open) }, open ? "Show less" : "Show all"),
  ];
}

function counts(each) {
  if (QUIET[each.channel]) return null;
  const shown = FOR_PEOPLE.has(each.channel)
    ? [["For a person to do", each.counts.recorded]]
    : [each.channel === "email" && ["Opens", each.counts.opened], ["Clicks", each.counts.clicked], ["Replies", each.counts.replied], each.counts.bounced > 0 && ["Bounces", each.counts.bounced]].filter(Boolean);
  return h("p", { class: "counts" }, shown.map(([name, n]) => h("span", { class: n ? "" : "zero", "data-count": name }, h("b", {}, number(n)), ` ${name}`)));
}

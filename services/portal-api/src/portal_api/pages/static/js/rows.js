// The people in a sequence and the messages to them.
import { h, icon } from "./dom.js";
import { ago, CHANNELS, plainTemplate, sentence, when, words } from "./format.js";
import { operator, state } from "./state.js";

const RESENDABLE = ["sent", "recorded", "failed", "unknown"];

export function people(sequence) {
  return rows("people", sequence, (each) => row(each.id,
    [h("b", {}, each.lead.name), h("small", {}, [each.lead.stage && `Stage ${each.lead.stage}`, each.lead.owner].filter(Boolean).join(" · "))],
    [h("span", {}, `Step ${Math.min(each.current_step_index + (each.status === "active" ? 1 : 0), sequence.steps.length) || 1} of ${sequence.steps.length}`),
      h("small", { title: when(each.next_due_at ?? each.ended_at) }, progress(each))],
    h("span", { class: `badge ${each.status}` }, sentence(each.status)),
    operator && [
      each.status === "active" && tool("pause-run", each, "pause", `Pause for ${each.lead.name}`),
      each.status === "paused" && tool("resume-run", each, "play", `Resume for ${each.lead.name}`),
      ["active", "paused"].includes(each.status) && tool("unsubscribe", each, "stop", `Unsubscribe ${each.lead.name}`, "danger"),
    ]), ["Nobody is in this sequence", "Leads enter by its trigger, or when you enroll them."]);
}

export function messages(sequence) {
  return rows("messages", sequence, (each) => row(each.id,
    [h("b", {}, each.lead.name), h("small", {}, each.subject || each.message_body || planned(sequence, each))],
    [h("span", { class: "channel" }, h("span", { class: `dot ${each.channel}` }), CHANNELS[each.channel] ?? each.channel), h("small", { title: when(each.sent_at ?? each.scheduled_for) }, each.sent_at ? `sent ${ago(each.sent_at)}` : `due ${ago(each.scheduled_for)}`)],
    h("span", { class: `badge ${each.status}`, title: each.failed_reason ?? words(each.rule) }, sentence(each.status)),
    operator && RESENDABLE.includes(each.state) && tool("resend", each, "resend", `Send again to ${each.lead.name}`)),
  ["No messages yet", "They appear here as soon as somebody is enrolled."]);
}

// A message that is still to come has no text yet: its step's is what it will be made of.
function planned(sequence, each) {
  const step = sequence.steps.find((one) => one.id === each.step_id);
  return step ? plainTemplate(step.template_subject || step.template_body) : "";
}

function progress(each) {
  if (each.status === "active") return each.next_due_at ? `next ${ago(each.next_due_at)}` : "nothing scheduled";
  if (each.ended_at) return `${words(each.stop_rule) || "finished"} ${ago(each.ended_at)}`;
  return `enrolled ${ago(each.enrolled_at)}`;
}

const tool = (action, each, name, label, tone = "") => h("button", { class: `icon-button ${tone}`.trim(), type: "button", "data-action": action, "data-id": each.id, "aria-label": label, title: label }, icon(name));
const row = (key, who, where, badge, tools) => h("li", { class: "row", "data-key": key, "data-row": key }, h("div", {}, who), h("div", {}, where), h("div", {}, badge), h("div", { class: "row-tools" }, tools));

function rows(tab, sequence, draw, [title, text]) {
  const page = state.pages[tab];
  if (page?.id !== sequence.id) return [1, 2, 3].map(() => h("div", { class: "skeleton" }));
  if (!page.items.length) return h("div", { class: "empty" }, h("h3", {}, title), h("p", {}, text));
  return [
    h("ul", { class: "rows" }, page.items.map(draw)),
    page.next && h("div", { class: "load" }, h("button", { class: "button small", type: "button", "data-action": "more-rows", "data-tab": tab }, "Show more")),
  ];
}

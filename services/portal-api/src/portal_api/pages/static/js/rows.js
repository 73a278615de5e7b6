// The people in a sequence and the messages to them.
import { summary, TITLE_WORDS } from "./bulk-draw.js";
import { h, icon } from "./dom.js";
import { ago, channelName, plainTemplate, plural, sentence, when, words } from "./format.js";
import { operator, state } from "./state.js";

const RESENDABLE = ["sent", "recorded", "failed", "unknown"];

// What can be done to many of them at once, and how the last time went.
function many(sequence) {
  const versions = state.versions.id === sequence.id ? state.versions.items : [];
  const newest = versions.find((each) => each.status !== "draft")?.version;
  const older = versions.filter((each) => each.live > 0 && each.version < newest);
  const behind = older.reduce((all, each) => all + each.live, 0);
  const [job] = state.jobs.id === sequence.id ? state.jobs.items : [];
  if (!behind && !job) return null;
  return h("div", { class: "many", "data-key": "many" },
    behind > 0 && h("div", { class: "many-line", "data-many": "versions" },
      h("p", {}, h("b", {}, plural(behind, "lead")), ` ${behind === 1 ? "is" : "are"} on ${older.length === 1 ? `version ${older[0].version}` : "older versions"}; the newest is version ${newest}.`),
      operator && h("button", { class: "button small", type: "button", "data-action": "bulk-migrate" }, "Move leads…")),
    job && h("div", { class: "many-line", "data-many": "job" },
      h("p", {}, h("b", {}, TITLE_WORDS[job.action]), ` by ${job.requested_by}, ${ago(job.started_at)}: ${summary(job)}.`),
      h("button", { class: "button small", type: "button", "data-action": "bulk-open" }, job.finished_at ? "Details" : "Progress")));
}

export function people(sequence) {
  return [many(sequence), list(sequence)];
}

function list(sequence) {
  return rows("people", sequence, (each) => row(each.id,
    [h("b", {}, each.lead.name), h("small", {}, [each.lead.stage && `Stage ${each.lead.stage}`, each.lead.owner].filter(Boolean).join(" · "))],
    [h("span", {}, place(sequence, each)),
      h("small", { title: when(each.next_due_at ?? each.ended_at) }, progress(each))],
    h("span", { class: `badge ${each.status}` }, sentence(each.status)),
    operator && [
      (each.status === "active" || (each.status === "paused" && each.held_by !== "manual")) && tool("pause-run", each, "pause", `Pause for ${each.lead.name}`),
      each.status === "paused" && [null, "manual"].includes(each.held_by) && tool("resume-run", each, "play", `Resume for ${each.lead.name}`),
      ["active", "paused"].includes(each.status) && tool("unsubscribe", each, "stop", `Unsubscribe ${each.lead.name}`, "danger"),
    ]), ["Nobody is in this sequence", "Leads enter by its trigger, or when you enroll them."]);
}

export function messages(sequence) {
  return rows("messages", sequence, (each) => row(each.id,
    [h("b", {}, each.lead.name), h("small", {}, each.subject || each.message_body || planned(sequence, each))],
    [h("span", { class: "channel" }, h("span", { class: `dot ${each.channel}` }), channelName(each.channel)), h("small", { title: when(each.sent_at ?? each.scheduled_for) }, each.sent_at ? `sent ${ago(each.sent_at)}` : `due ${ago(each.scheduled_for)}`)],
    h("span", { class: `badge ${each.status}`, title: each.held_by ? `Paused: ${words(each.held_by)}` : each.failed_reason ?? words(each.rule) }, sentence(each.status)),
    operator && RESENDABLE.includes(each.state) && tool("resend", each, "resend", `Send again to ${each.lead.name}`)),
  ["No messages yet", "They appear here as soon as somebody is enrolled."]);
}

// How many steps an older version has is not known here.
function place(sequence, each) {
  const steps = sequence.steps.length;
  const next = each.current_step_index + (each.status === "active" ? 1 : 0);
  if (each.sequence_version < sequence.version) return `Step ${next || 1} of version ${each.sequence_version}`;
  return `Step ${Math.min(next, steps) || 1} of ${steps}`;
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

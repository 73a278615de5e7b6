// The right side: one sequence.
import { h, icon, sprout } from "./dom.js";
import { number, percent, sentence, triggerLine, windowLine, words } from "./format.js";
import { operator, selected, settings, state, tenantOf } from "./state.js";
import { people, messages } from "./rows.js";
import { timeline } from "./timeline.js";

export function drawDetail() {
  const root = document.getElementById("detail");
  const sequence = selected();
  document.title = `${sequence ? `${sequence.name} · ` : ""}Sequences · leadflow`;
  if (!state.sequences) return sprout(root, h("div", { class: "sheet", "data-key": "waiting" }, [1, 2, 3].map(() => h("div", { class: "skeleton" }))));
  if (!sequence) return sprout(root, nothing());
  sprout(root, h("article", { class: "sheet", "data-key": sequence.id },
    h("button", { class: "back", type: "button", "data-action": "back" }, icon("back"), "Sequences"),
    head(sequence),
    h("p", { class: "trigger" }, triggerLine(sequence.trigger)),
    limits(sequence),
    notice(sequence),
    stats(sequence),
    tabs(sequence),
    panel(sequence)));
}

function nothing() {
  const lost = state.selected;
  return h("div", { class: "empty", "data-key": "nothing" },
    h("h2", {}, lost ? "That sequence is not here" : "Pick a sequence"),
    h("p", {}, lost ? "It may be archived, or belong to another tenant." : "Its steps, its people and what came of them are shown here."));
}

function head(sequence) {
  const facts = [`Version ${sequence.version}`, state.tenants.length > 1 && (tenantOf(sequence.tenant_id)?.name ?? sequence.tenant_id)];
  return h("header", { class: "head" },
    h("div", {},
      h("div", { class: "title" },
        h("h2", {}, sequence.name),
        h("span", { class: `badge ${sequence.status}`, "data-status": sequence.status }, sentence(sequence.status)),
        h("span", { class: "version" }, facts.filter(Boolean).join(" · "))),
      sequence.description && h("p", { class: "about" }, sequence.description)),
    actions(sequence));
}

function actions(sequence) {
  const mayEnroll = sequence.status === "active" && (operator || settings.role === "rep");
  if (!operator && !mayEnroll) return null;
  return h("div", { class: "actions" },
    mayEnroll && h("button", { class: "button primary", type: "button", "data-action": "enroll" }, icon("people"), "Enroll leads"),
    operator && sequence.status === "draft" && h("button", { class: "button primary", type: "button", "data-action": "activate" }, icon("play"), "Activate"),
    operator && sequence.status === "active" && h("button", { class: "button", type: "button", "data-action": "pause" }, icon("pause"), "Pause"),
    operator && sequence.status === "paused" && h("button", { class: "button primary", type: "button", "data-action": "resume" }, icon("play"), "Resume"),
    operator && h("button", { class: "button", type: "button", "data-action": "edit-sequence", "aria-label": "Edit this sequence", title: "Edit" }, icon("edit")),
    operator && h("button", { class: "button danger", type: "button", "data-action": "archive", "aria-label": "Archive this sequence", title: "Archive" }, icon("archive")));
}

// When it may send, and what it yields to.
function limits(sequence) {
  const { window, exclusive_group: group, priority } = sequence;
  const told = [
    window && ["Sends", windowLine(window)],
    group && ["Group", `${words(group)}, priority ${priority}: one sequence at a time`],
    !group && priority !== 50 && ["Priority", String(priority)],
  ].filter(Boolean);
  if (!told.length) return null;
  return h("dl", { class: "limits" }, told.map(([name, text]) => h("div", { "data-limit": name }, h("dt", {}, name), h("dd", {}, text))));
}

function notice(sequence) {
  if (sequence.status === "paused") {
    return h("div", { class: "notice", role: "status" },
      h("p", {}, `Paused${sequence.paused_reason ? `: ${sequence.paused_reason}` : ""}. What is due waits; nothing is lost.`));
  }
  if (sequence.status === "draft") {
    const missing = sequence.missing.length ? `To be active it needs ${sequence.missing.join(", ")}.` : "Everything is there: activate it when you are ready.";
    return h("div", { class: "notice draft", role: "status" },
      h("p", {}, `This is a draft: nobody is enrolled. ${missing}`),
      operator && sequence.missing.length > 0 && h("button", { class: "button small", type: "button", "data-action": "edit-sequence" }, "Fill in"));
  }
  return null;
}

function stats(sequence) {
  const now = sequence.stats;
  const reached = Object.entries(now.moved.to).sort((a, b) => b[1] - a[1]).map(([stage, n]) => `${stage} ${number(n)}`);
  return h("dl", { class: "stats" },
    stat("Active runs", number(now.running), `${number(now.enrolled)} enrolled so far`),
    stat("Open rate", percent(now.open_rate), now.open_rate === null ? "no e-mail sent yet" : `${number(now.opened)} opened`),
    stat("Reply rate", percent(now.reply_rate), now.reply_rate === null ? "nothing sent yet" : `${number(now.replied)} of ${number(now.sent)} sent`),
    stat("Moved to", [number(now.moved.count), h("small", {}, ` / ${number(now.moved.of)}`)], reached.join(" · ") || "the next stage"));
}

const stat = (name, value, note) => h("div", { class: "stat", "data-stat": name }, h("dt", {}, name), h("dd", {}, value), h("p", {}, note));

function tabs(sequence) {
  const { stats: now, steps } = sequence;
  const sum = ["scheduled", "queued", "held", "unknown", "sent", "recorded", "failed", "suppressed", "skipped", "cancelled"].reduce((all, name) => all + now[name], 0);
  const tab = (id, name, n) => h("button", {
    class: "tab", type: "button", role: "tab", id: `tab-${id}`, "aria-selected": String(state.tab === id), "aria-controls": "panel",
    tabindex: state.tab === id ? 0 : -1, "data-action": "tab", "data-tab": id,
  }, name, h("i", {}, number(n)));
  return h("div", { class: "tabs" },
    h("div", { role: "tablist", "aria-label": "What to show" }, tab("steps", "Steps", steps.length), tab("people", "People", now.enrolled), tab("messages", "Messages", sum)),
    h("span", { class: "spring" }),
    operator && state.tab === "steps" && h("button", { class: "button small", type: "button", "data-action": "new-step", "aria-label": "New step" }, icon("plus"), h("span", {}, "New step")));
}

function panel(sequence) {
  const inside = { steps: timeline, people, messages }[state.tab](sequence);
  return h("div", { id: "panel", role: "tabpanel", "aria-labelledby": `tab-${state.tab}`, "data-key": state.tab }, inside);
}


// The bulk runs, and one of them.
import { DO, list, progress, summary, TITLE_WORDS } from "./bulk-draw.js";
import { allowed, nameOfSequence, nameOfTenant, selected, state } from "./bulk-state.js";
import { h, icon, pending, sprout } from "./dom.js";
import { ago, number, plural, sentence, when, words } from "./format.js";
import { going } from "./resume.js";
import { state as shared } from "./state.js";

const several = () => shared.tenants.length > 1 && !shared.tenant;
const titleOf = (job) => `${DO[job.action]}: ${nameOfSequence(job.sequence_id)}`;
const settled = ({ counts }) => counts.done + counts.refused + counts.cancelled;

export function stateOf(job) {
  if (job.state === "cancelled") return ["closed", "Cancelled"];
  if (!job.finished_at) return ["queued", "Under way"];
  return job.counts.done ? ["completed", "Done"] : ["refused", "All refused"];
}

export function drawList() {
  const root = document.getElementById("list");
  if (!state.items) return sprout(root, pending(state.failed));
  if (!state.items.length) {
    return sprout(root, h("div", { class: "empty", "data-key": "empty" },
      h("h2", {}, "No runs yet"),
      h("p", {}, "Enroll, pause, resume, stop or move many leads at once, after a look at what that does to each.")));
  }
  sprout(root,
    state.items.map(item),
    state.next && h("div", { class: "load", "data-key": "more" }, h("button", { class: "button small", type: "button", "data-action": "more" }, "Show more")));
}

function item(job) {
  const [tone, name] = stateOf(job);
  const pct = job.total ? Math.round((100 * settled(job)) / job.total) : 100;
  return h("a", {
    class: "item", href: `/bulk/${encodeURIComponent(job.id)}`,
    "data-key": job.id, "data-action": "select", "data-id": job.id,
    "aria-current": job.id === state.selected ? "true" : null,
  },
  h("span", { class: "item-top" },
    h("span", { class: "item-name" }, titleOf(job)),
    h("span", { class: `badge ${tone}` }, name)),
  h("p", { class: "item-why" }, summary(job)),
  h("p", { class: "item-facts" }, [job.requested_by, ago(job.started_at), several() && nameOfTenant(job.tenant_id)].filter(Boolean).join(" · ")),
  !job.finished_at && h("div", { class: "progress", role: "progressbar", pct, "aria-valuenow": pct, "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": `${pct}% answered` }));
}

export function drawDetail() {
  const root = document.getElementById("detail");
  const job = selected();
  document.title = `${job ? `${titleOf(job)} · ` : ""}Bulk runs · leadflow`;
  if (!state.items) return sprout(root, h("div", { class: "sheet", "data-key": "waiting" }, [1, 2].map(() => h("div", { class: "skeleton" }))));
  if (!job) return sprout(root, nothing());
  const [tone, name] = stateOf(job);
  const lists = state.full?.id === job.id ? state.lists : null;
  sprout(root, h("article", { class: "sheet", "data-key": job.id },
    h("button", { class: "back", type: "button", "data-action": "back" }, icon("back"), "Bulk runs"),
    h("header", { class: "head" },
      h("div", {}, h("div", { class: "title" },
        h("h2", {}, titleOf(job)),
        h("span", { class: `badge ${tone}`, "data-status": job.state }, name))),
      h("div", { class: "actions" }, h("a", { class: "button", href: `/sequences/${encodeURIComponent(job.sequence_id)}` }, "Open the sequence"))),
    facts(job),
    h("div", { class: "bulk", "data-key": "bulk" },
      progress(job),
      !job.finished_at && job.release?.messages > 0 && h("div", { class: "going", "data-key": "going" }, going(job.release, nameOfSequence)),
      lists && list("Refused", job.counts.refused, lists.refused, (each) => each.because ?? words(each.rule)),
      lists && list(sentence(TITLE_WORDS[job.action]), job.counts.done, lists.done, (each) => when(each.decided_at)))));
}

function nothing() {
  return h("div", { class: "empty", "data-key": "nothing" },
    h("h2", {}, state.selected ? "That run is not here" : "Nothing to look at"),
    h("p", {}, state.selected ? "It may belong to another tenant, or was never started." : "A run shows what it did to each lead, and why it was refused."),
    allowed.length > 0 && h("button", { class: "button primary", type: "button", "data-action": "new" }, icon("plus"), "New run"));
}

const fact = (name, value, whole = "") => value && h("div", { class: whole, "data-fact": name }, h("dt", {}, name), h("dd", {}, value));

function facts(job) {
  const moved = job.to_version && `${job.from_version ? `version ${job.from_version}` : "every older version"} → version ${job.to_version}`;
  return h("dl", { class: "facts" },
    fact("By", job.requested_by),
    fact("Started", h("time", { datetime: job.started_at }, when(job.started_at))),
    job.cancelled_at ? fact("Cancelled", `${when(job.cancelled_at)} by ${job.cancelled_by}`) : fact("Finished", job.finished_at && h("time", { datetime: job.finished_at }, when(job.finished_at))),
    fact("Moves", moved),
    fact("Rate", job.rate_per_minute && `${number(job.rate_per_minute)} a minute`),
    fact("Tenant", several() && nameOfTenant(job.tenant_id)),
    fact("Who", chosen(job), "whole"),
    fact("Reason", job.reason, "whole"));
}

const NAMES = { q: "with", status: "who are" };

function chosen({ chosen: given, total, action }) {
  if (given.lead_ids) return `${plural(given.lead_ids, "lead")}, by name`;
  const asked = Object.entries(given.filter ?? {}).filter(([name]) => name !== "status" || action !== "enroll");
  const told = asked.map(([name, value]) => `${NAMES[name] ?? words(name)} ${name === "q" ? `“${value}”` : words(value)}`);
  return told.length ? `${plural(total, "lead")}: ${told.join(", ")}` : `${plural(total, "lead")}, ${action === "enroll" ? "everybody" : action === "resume" ? "everybody who was paused by hand" : "everybody who was enrolled"}`;
}

// A bulk job: what to expect of it, how far it is, what came of it.
import { path } from "./api.js";
import { h } from "./dom.js";
import { number, plural, sentence, soon, words } from "./format.js";
import { scopeWords } from "./incident-state.js";
import { going } from "./resume.js";

export const DONE = { enroll: "enrolled", migrate: "moved", pause: "paused", resume: "resumed", stop: "stopped" };
export const DO = { enroll: "Enroll", migrate: "Move", pause: "Pause", resume: "Resume", stop: "Stop" };
export const TITLE_WORDS = { enroll: "Enrolled", migrate: "Moved", pause: "Paused", resume: "Resumed", stop: "Stopped" };
const MOVES = {
  same_step: "on at the step they stand on",
  next_step_left: "from a removed step to the next that is left",
  after_last_step_behind: "after the last step that is behind them",
  nothing_left: "to the end, no step is left",
};

const tile = (n, text, tone = "") => h("div", { class: `tile ${tone}`.trim(), "data-tile": text }, h("b", {}, number(n)), h("span", {}, text));

// What to expect of `job`, of the sequence `name`; `lists` are the first of its items.
export function expectation(job, lists, name) {
  const { done, refused, moves, first_step_skipped: skipped, held_by: held } = job.expected;
  const notes = [
    ...Object.entries(moves).map(([rule, n]) => `${plural(n, "lead")}: ${MOVES[rule] ?? words(rule)}.`),
    ...Object.entries(skipped).map(([rule, n]) => `For ${plural(n, "lead")} the first step will be skipped: ${words(rule)}.`),
    ...Object.entries(held).map(([scope, n]) => `For ${plural(n, "lead")} the first step will wait: ${scopeWords(scope)} is paused.`),
  ];
  return [
    h("div", { class: "tiles", "data-key": "tiles" },
      tile(done, `will be ${DONE[job.action]}`, "good"),
      tile(refused, "will be refused", refused ? "bad" : "")),
    notes.length > 0 && h("ul", { class: "notes", "data-key": "notes" }, notes.map((each) => h("li", {}, each))),
    job.release && h("div", { class: "going", "data-key": "going" }, job.release.messages ? going(job.release, () => name) : h("p", {}, "Nothing goes out by this at once: nothing is overdue, another pause holds it, or nobody of them may be written to.")),
    list("Will be refused", job.expected.refused, lists.refused, (each) => each.expected.because ?? words(each.expected.rule)),
    list(`Will be ${DONE[job.action]}`, done, lists.done, (each) => plan(each.expected.plan)),
    h("p", { class: "fine", "data-key": "fine" }, "The sequencer has the last word: a lead that changes until then may be answered differently."),
  ];
}

function plan(now) {
  if (!now?.next_step && !now?.rule) return "";
  if (!now.rule) return now.skipped ? `first step skipped: ${words(now.skipped)}` : now.held_by ? "first step waits: paused" : `starts with ${words(now.next_step)}`;
  const from = now.stands_on ? `${words(now.stands_on)}${now.removed ? " (removed)" : ""}` : "the end";
  const without = now.left_behind?.length ? `; will not get ${now.left_behind.map(words).join(", ")}` : "";
  const gone = now.task_gone ? `; ${words(now.task_gone)} is waited for no longer` : "";
  const open = now.waits_for ? `once ${words(now.waits_for)} is done` : "";
  if (!now.next_step) return `${from} → completed${open && ` ${open}`}${gone}${without}`;
  const at = open || `${now.paused ? "paused; then " : ""}about ${soon(now.about)}${now.time === "kept" ? ", as before" : ""}`;
  return `${from} → ${words(now.next_step)}, ${at}${gone}${without}`;
}

export function list(title, count, items, told) {
  if (!count) return null;
  return h("section", { class: "bulk-list", "data-key": title, "data-list": title },
    h("h3", {}, title, h("i", {}, number(count))),
    h("ul", {}, items.map((each) => h("li", { "data-key": each.lead_id },
      h("b", {}, each.lead.name), h("span", {}, told(each))))),
    count > items.length && h("p", { class: "fine" }, `and ${number(count - items.length)} more`));
}

export function summary(job) {
  const { counts, total } = job;
  const settled = counts.done + counts.refused + counts.cancelled;
  if (job.state === "cancelled" && job.finished_at) return `${number(counts.done)} ${DONE[job.action]}, ${number(counts.refused)} refused, ${number(counts.cancelled)} not sent`;
  if (job.finished_at) return `${number(counts.done)} ${DONE[job.action]}, ${number(counts.refused)} refused`;
  return `${number(settled)} of ${number(total)} answered`;
}

export function progress(job) {
  const { counts, total } = job;
  const settled = counts.done + counts.refused + counts.cancelled;
  const rules = Object.entries(job.refused).sort((a, b) => b[1] - a[1]);
  const headline = job.finished_at
    ? job.state === "cancelled" ? "Cancelled. What had been sent is done." : "Done."
    : job.state === "cancelled" ? "Cancelled: waiting for the answers to what was sent." : "Under way. It goes on by itself.";
  return [
    h("p", { class: "lead-in", role: "status", "data-key": "headline" }, headline),
    h("div", { class: "progress tall", role: "progressbar", "aria-label": "Answered", "aria-valuenow": settled, "aria-valuemin": 0, "aria-valuemax": total, pct: total ? Math.round((100 * settled) / total) : 100, "data-key": "bar" }),
    h("div", { class: "tiles", "data-key": "tiles" },
      tile(counts.done, DONE[job.action], "good"),
      tile(counts.refused, "refused", counts.refused ? "bad" : ""),
      job.state === "cancelled" ? tile(counts.cancelled, "not sent") : !job.finished_at && tile(counts.waiting + counts.requested, "to come")),
    rules.length > 0 && h("section", { class: "bulk-list", "data-key": "rules" },
      h("h3", {}, "Why refused"),
      h("ul", {}, rules.map(([rule, n]) => h("li", { "data-key": rule }, h("b", {}, sentence(rule)), h("span", {}, plural(n, "lead"))))),
      h("p", { class: "fine" }, h("a", { href: `/api/v1${path("bulk", job.id, "refusals.csv")}`, download: true }, "Every refusal with its reason (CSV)"))),
    counts.waiting > 0 && job.state === "running" && h("p", { class: "fine", "data-key": "stop" },
      h("button", { class: "button small danger", type: "button", "data-action": "cancel" }, "Cancel what is not sent"),
      ` ${plural(counts.waiting, "lead")} ${counts.waiting === 1 ? "has" : "have"} not been asked for yet.`),
  ];
}

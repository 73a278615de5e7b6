// One thing for many leads: who, what to expect, start, and how far it is.
import { api, path } from "./api.js";
import { dialog, field, select } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { number, plural, sentence, soon, words } from "./format.js";
import { tenantOf } from "./state.js";

const LOOK_MS = 700;
const SHOWN = 50;
const STAGES = ["new", "contacted", "qualified", "proposal-sent", "won", "lost", "dormant"];
const DONE = { enroll: "enrolled", migrate: "moved", pause: "paused", resume: "resumed", stop: "stopped" };
const DO = { enroll: "Enroll", migrate: "Move", pause: "Pause", resume: "Resume", stop: "Stop" };
export const TITLE_WORDS = { enroll: "Enrolled", migrate: "Moved", pause: "Paused", resume: "Resumed", stop: "Stopped" };
const TITLES = {
  enroll: (name) => `Enroll leads in ${name}`,
  migrate: (name) => `Move leads to another version of ${name}`,
};
const MOVES = {
  same_step: "on at the step they stand on",
  next_step_left: "from a removed step to the next that is left",
  after_last_step_behind: "after the last step that is behind them",
  nothing_left: "to the end, no step is left",
};

// `job` opens one that was started before; else `action` with its form.
export function bulk(sequence, { action, versions = [], job = null, changed }) {
  let stage = job ? "progress" : "who";
  let shown = job;
  let lists = null;
  let open = true;
  const who = job ? null : form(action, sequence, versions);
  const root = h("div", { class: "bulk" });
  const made = dialog({
    title: (TITLES[job?.action ?? action] ?? ((name) => `${DO[job?.action ?? action]} runs of ${name}`))(sequence.name),
    body: root,
    submit: "Preview",
    work: async (given, { refuse }) => {
      if (stage === "who") {
        shown = await api(path("sequences", sequence.id, "bulk"), { method: "POST", body: { action, ...asked(action, given), dry_run: true } });
        if (!shown.total) {
          refuse(action === "enroll" ? "No lead fits." : "Nobody is enrolled there.");
          return false;
        }
        lists = await preview(shown.id);
        stage = "preview";
      } else if (stage === "preview") {
        shown = await api(path("bulk", shown.id, "start"), { method: "POST", body: {} });
        stage = "progress";
        changed();
        watch();
      } else return true;
      draw();
      return false;
    },
  });
  const { node, button } = made;
  const cancel = node.querySelector(".dialog-foot [data-close]");
  const foot = node.querySelector(".dialog-foot");
  const again = h("button", { class: "button again", type: "button" }, "Change");
  foot.prepend(again);
  again.addEventListener("click", () => {
    stage = "who";
    draw();
  });
  node.addEventListener("close", () => {
    open = false;
    changed();
  });
  root.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-cancel]");
    if (!target) return;
    target.setAttribute("aria-busy", "true");
    try {
      shown = await api(path("bulk", shown.id, "cancel"), { method: "POST", body: {} });
    } catch {
      shown = await api(path("bulk", shown.id));
    }
    draw();
  });

  function draw() {
    again.hidden = stage !== "preview";
    cancel.hidden = stage === "progress";
    cancel.textContent = "Cancel";
    if (stage === "who") root.replaceChildren(who);
    else if (root.firstChild === who) root.replaceChildren();
    if (stage === "preview") sprout(root, expectation(shown, lists));
    if (stage === "progress") sprout(root, progress(shown));
    const good = shown?.expected.done ?? 0;
    button.textContent = stage === "who" ? "Preview" : stage === "progress" ? "Close" : `${DO[shown.action]} ${plural(good, "lead")}`;
    button.disabled = stage === "preview" && good === 0;
  }

  async function watch() {
    while (open && !shown.finished_at) {
      await new Promise((done) => setTimeout(done, LOOK_MS));
      if (!open) return;
      shown = await api(path("bulk", shown.id)).catch(() => shown);
      draw();
    }
  }

  draw();
  if (stage === "progress") watch();
}

function form(action, sequence, versions) {
  if (action === "enroll") {
    const stages = tenantOf(sequence.tenant_id)?.pipeline ?? STAGES;
    return h("div", { class: "bulk-form" },
      h("p", { class: "lead-in" }, "Everybody who fits all of this. Nothing is sent before you have seen who that is."),
      h("div", { class: "pair" },
        field("Stage", select("stage", [["", "Any"], ...stages.map((each) => [each, sentence(each)])], "")),
        field("Temperature", select("temperature", [["", "Any"], ["hot", "Hot"], ["warm", "Warm"], ["cold", "Cold"]], ""))),
      h("div", { class: "pair" },
        field("Source", h("input", { name: "source", maxlength: 500, placeholder: "website-form", autocomplete: "off" })),
        field("Owner", h("input", { name: "owner", maxlength: 500, placeholder: "dana.whitfield", autocomplete: "off" }))),
      field("Name, company, e-mail or number", h("input", { name: "q", maxlength: 500, autocomplete: "off" })),
      field("Reason", h("input", { name: "reason", maxlength: 300, placeholder: "Spring campaign" }), "optional"));
  }
  const to = versions.filter((each) => each.status !== "draft");
  const from = versions.filter((each) => each.live > 0 && each.version !== to[0]?.version);
  return h("div", { class: "bulk-form" },
    h("p", { class: "lead-in" }, "Who is enrolled stays on their version until you move them. What is behind a lead stays behind it: nobody gets a step twice."),
    h("div", { class: "pair" },
      field("Leads on", select("from_version", [["", "Every older version"], ...from.map((each) => [String(each.version), `Version ${each.version} · ${plural(each.live, "lead")}`])], "")),
      field("Go to", select("to_version", to.map((each) => [String(each.version), `Version ${each.version} · ${plural(each.steps, "step")}`]), String(to[0]?.version ?? "")))),
    field("Reason", h("input", { name: "reason", maxlength: 300, placeholder: "The price in step 2 was wrong" }), "optional"));
}

function asked(action, given) {
  const read = (name) => given.elements[name]?.value.trim() || undefined;
  if (action === "enroll") {
    const filter = { status: "active" };
    for (const name of ["stage", "temperature", "source", "owner", "q"]) if (read(name)) filter[name] = read(name);
    return { filter, reason: read("reason") };
  }
  const version = (name) => (read(name) ? Number(read(name)) : undefined);
  return { from_version: version("from_version"), to_version: version("to_version"), reason: read("reason") };
}

async function preview(id) {
  const page = (expected) => api(`${path("bulk", id, "items")}?expected=${expected}&limit=${SHOWN}`);
  const [done, refused] = await Promise.all([page("done"), page("refused")]);
  return { done: done.items, refused: refused.items };
}

const tile = (n, text, tone = "") => h("div", { class: `tile ${tone}`.trim(), "data-tile": text }, h("b", {}, number(n)), h("span", {}, text));

function expectation(job, lists) {
  const { done, refused, moves, first_step_skipped: skipped, held_by: held } = job.expected;
  const notes = [
    ...Object.entries(moves).map(([rule, n]) => `${plural(n, "lead")}: ${MOVES[rule] ?? words(rule)}.`),
    ...Object.entries(skipped).map(([rule, n]) => `For ${plural(n, "lead")} the first step will be skipped: ${words(rule)}.`),
    ...Object.entries(held).map(([scope, n]) => `For ${plural(n, "lead")} the first step will wait: ${scope} is paused.`),
  ];
  return [
    h("div", { class: "tiles", "data-key": "tiles" },
      tile(done, `will be ${DONE[job.action]}`, "good"),
      tile(refused, "will be refused", refused ? "bad" : "")),
    notes.length > 0 && h("ul", { class: "notes", "data-key": "notes" }, notes.map((each) => h("li", {}, each))),
    list("Will be refused", job.expected.refused, lists.refused, (each) => each.expected.because ?? words(each.expected.rule)),
    list(`Will be ${DONE[job.action]}`, done, lists.done, (each) => plan(each.expected.plan)),
    h("p", { class: "fine", "data-key": "fine" }, "The sequencer has the last word: a lead that changes until then may be answered differently."),
  ];
}

function plan(now) {
  if (!now?.next_step && !now?.rule) return "";
  if (!now.rule) return now.skipped ? `first step skipped: ${words(now.skipped)}` : now.held_by ? "first step waits: paused" : `starts with ${words(now.next_step)}`;
  const from = now.stands_on ? `${words(now.stands_on)}${now.removed ? " (removed)" : ""}` : "the end";
  if (!now.next_step) return `${from} → completed`;
  return `${from} → ${words(now.next_step)}, ${now.paused ? "paused; then " : ""}about ${soon(now.about)}${now.time === "kept" ? ", as before" : ""}`;
}

function list(title, count, items, told) {
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

function progress(job) {
  const { counts, total } = job;
  const settled = counts.done + counts.refused + counts.cancelled;
  const rules = Object.entries(job.refused).sort((a, b) => b[1] - a[1]);
  const headline = job.finished_at
    ? job.state === "cancelled" ? "Cancelled. What had been sent is done." : "Done."
    : job.state === "cancelled" ? "Cancelled: waiting for the answers to what was sent." : "Under way. You may close this; it goes on.";
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
      h("button", { class: "button small danger", type: "button", "data-cancel": true }, "Cancel what is not sent"),
      ` ${plural(counts.waiting, "lead")} ${counts.waiting === 1 ? "has" : "have"} not been asked for yet.`),
  ];
}

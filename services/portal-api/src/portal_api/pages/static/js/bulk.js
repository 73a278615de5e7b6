// One thing for many leads: who, what to expect, start, and how far it is.
import { api, path } from "./api.js";
import { DO, expectation, progress } from "./bulk-draw.js";
import { asked, form } from "./bulk-forms.js";
import { choices, dialog, field, select } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { plural } from "./format.js";

const LOOK_MS = 700;
const SHOWN = 50;
const TITLES = {
  enroll: (name) => `Enroll leads in ${name}`,
  migrate: (name) => `Move leads to another version of ${name}`,
};
const titleOf = (action, name) => (TITLES[action] ?? (() => `${DO[action]} runs of ${name}`))(name);
const versionsOf = async (sequence) => (await api(path("sequences", sequence.id, "versions"))).items;

// The first of a job's items of each kind, by what is `expected` of them or by their `state`.
export async function firstItems(id, by) {
  const page = (end) => api(`${path("bulk", id, "items")}?${by}=${end}&limit=${SHOWN}`);
  const [done, refused] = await Promise.all([page("done"), page("refused")]);
  return { done: done.items, refused: refused.items };
}

// Of one sequence and one action; a job that was started before opens with how far it is.
export async function bulk(sequence, { action, job = null, changed }) {
  const versions = action === "migrate" ? await versionsOf(sequence) : [];
  const who = h("div", { class: "bulk-form" }, job ? null : form(action, sequence, versions));
  run({ title: titleOf(job?.action ?? action, sequence.name), who, about: () => ({ action, sequence }), job, changed });
}

// Of any: `actions` that one may do, and the sequences to choose from for each.
export function anyBulk({ actions, sequencesFor, started }) {
  const what = h("div", { class: "bulk-form" });
  const rest = h("div", { class: "bulk-form" });
  const now = { action: actions[0], sequence: sequencesFor(actions[0])[0] };
  const drawRest = async () => {
    const { action, sequence } = now;
    const versions = sequence && action === "migrate" ? await versionsOf(sequence) : [];
    if (action !== now.action || sequence !== now.sequence) return;
    sprout(rest, sequence ? form(action, sequence, versions) : h("p", { class: "lead-in" }, action === "enroll" ? "No sequence is active: nobody can be enrolled." : "There is no sequence."));
  };
  const drawWhat = () => {
    const offered = sequencesFor(now.action);
    now.sequence = offered.find((each) => each.id === now.sequence?.id) ?? offered[0];
    sprout(what,
      h("fieldset", { class: "field" }, h("legend", {}, "What"), choices("action", actions.map((each) => [each, DO[each]]), now.action)),
      offered.length > 0 && field("Sequence", select("sequence", offered.map((each) => [each.id, each.name]), now.sequence?.id)));
    const choice = what.querySelector("[name=sequence]");
    if (choice) choice.value = now.sequence.id;
    drawRest();
  };
  const who = h("div", { class: "bulk-form" }, what, rest);
  who.addEventListener("change", ({ target }) => {
    if (target.name === "action") now.action = target.value;
    if (target.name === "sequence") now.sequence = sequencesFor(now.action).find((each) => each.id === target.value);
    if (target.name === "action") drawWhat();
    if (target.name === "sequence") drawRest();
  });
  drawWhat();
  run({ title: "New bulk run", who, about: () => now, changed: () => {}, started });
}

// `started` takes over where the page itself shows how far it is; else the dialog does.
function run({ title, who, about, job = null, changed, started = null }) {
  let stage = job ? "progress" : "who";
  let shown = job;
  let lists = null;
  let open = true;
  const root = h("div", { class: "bulk" });
  const made = dialog({
    title, body: root, submit: "Preview", said: "Nothing is done before you have seen it",
    work: async (given, { refuse }) => {
      if (stage === "who") {
        const { action, sequence } = about();
        if (!sequence) return false;
        shown = await api(path("sequences", sequence.id, "bulk"), { method: "POST", body: { ...asked(action, given), dry_run: true } });
        if (!shown.total) {
          refuse(action === "enroll" ? "No lead fits." : "Nobody who fits is enrolled there.");
          return false;
        }
        lists = await firstItems(shown.id, "expected");
        stage = "preview";
      } else if (stage === "preview") {
        shown = await api(path("bulk", shown.id, "start"), { method: "POST", body: {} });
        if (started) {
          started(shown);
          return true;
        }
        stage = "progress";
        changed();
        watch();
      } else return true;
      draw();
      return false;
    },
  });
  const { node, button } = made;
  const foot = node.querySelector(".dialog-foot");
  const cancel = foot.querySelector("[data-close]");
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
    const target = event.target.closest("[data-action=cancel]");
    if (!target) return;
    event.stopPropagation();
    target.setAttribute("aria-busy", "true");
    try {
      shown = await api(path("bulk", shown.id, "cancel"), { method: "POST", body: {} });
    } catch {
      shown = await api(path("bulk", shown.id));
    }
    target.removeAttribute("aria-busy");
    draw();
  });

  function draw() {
    again.hidden = stage !== "preview";
    foot.querySelector(".said").hidden = stage !== "who";
    cancel.hidden = stage === "progress";
    if (stage === "who") root.replaceChildren(who);
    else if (root.firstChild === who) root.replaceChildren();
    if (stage === "preview") sprout(root, expectation(shown, lists, about().sequence.name));
    if (stage === "progress") sprout(root, progress(shown));
    const good = shown?.expected.done ?? 0;
    button.textContent = stage === "who" ? "Preview" : stage === "progress" ? "Close" : `${DO[shown.action]} ${plural(good, "lead")}`;
    button.disabled = stage === "preview" && good === 0;
    button.classList.toggle("danger", stage === "preview" && shown.action === "stop");
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
  else root.querySelector("input, select")?.focus();
}

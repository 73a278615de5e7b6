// To pause something, to change what is said about it, to verify, to let it go on.
import { api, path } from "./api.js";
import { choices, confirm, dialog, field, select } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { CHANNELS, sentence } from "./format.js";
import { nameOfSequence, scopeWords, state } from "./incident-state.js";
import { resume, said } from "./resume.js";
import { settings, state as shared } from "./state.js";

const kinds = () => state.kinds.map((each) => [each.kind, sentence(each.kind)]);
const byDefault = (kind) => state.kinds.find((each) => each.kind === kind) ?? { task: "", rollback: "" };
const words = (name, { required = false, rows = 2, missing = "Say it in a sentence.", placeholder = "" } = {}) => h("textarea", { name, rows, maxlength: 500, required: required ? true : null, "data-missing": missing, placeholder });

export function openIncident(done) {
  const where = h("div", { class: "pair" });
  const { form } = dialog({
    title: "Pause something",
    body: [
      h("fieldset", { class: "field" }, h("legend", {}, "What"), choices("what", [["channel", "A channel"], ["sequence", "A sequence"], ["tenant", "All of a tenant"], ...(settings.tenant ? [] : [["everything", "Everything"]])], "channel")),
      where,
      field("Kind", select("kind", kinds(), "delivery")),
      field("Reason", words("reason", { required: true, missing: "Say what is wrong.", placeholder: "The provider rejects our key since this morning." })),
      field("Owner", h("input", { name: "owner", maxlength: 120, placeholder: settings.subject }), "who mends it"),
      field("To verify before it goes on", words("task")),
      field("Rollback", words("rollback")),
    ],
    submit: "Pause now", danger: true,
    work: async (given) => {
      const read = (name) => given.elements[name]?.value.trim() ?? "";
      const tenant = read("tenant") || settings.tenant || shared.tenants[0]?.id;
      const sequence = shared.sequences.find((each) => each.id === read("name"));
      const scope = { everything: "everything", tenant: `tenant:${tenant}`, channel: `channel:${tenant}:${read("name")}`, sequence: `sequence:${sequence?.tenant_id}:${sequence?.id}` }[read("what")];
      done(await api("/incidents", {
        method: "POST",
        body: { kind: read("kind"), scope, reason: read("reason"), owner: read("owner"), task: read("task"), rollback: read("rollback"), workflow: sequence?.name ?? "" },
      }), "Paused. What is due waits.");
    },
  });
  const drawWhere = () => {
    const what = form.elements.what.value;
    const tenants = shared.tenants.length > 1 && !settings.tenant && ["tenant", "channel"].includes(what);
    sprout(where,
      tenants && field("Tenant", select("tenant", shared.tenants.map((each) => [each.id, each.name]), shared.tenant || shared.tenants[0].id)),
      what === "channel" && field("Channel", select("name", Object.entries(CHANNELS).filter(([id]) => id !== "wait"), "email")),
      what === "sequence" && field("Sequence", select("name", shared.sequences.map((each) => [each.id, scopeWords(`sequence:${each.tenant_id}:${each.id}`)]), shared.sequences[0]?.id)));
    where.hidden = !where.children.length;
  };
  const drawDefaults = () => {
    const { task, rollback } = byDefault(form.elements.kind.value);
    form.elements.task.placeholder = task;
    form.elements.rollback.placeholder = rollback;
  };
  form.addEventListener("change", (event) => {
    if (event.target.name === "what") drawWhere();
    if (event.target.name === "kind") drawDefaults();
  });
  drawWhere();
  drawDefaults();
}

export function editIncident(incident, done) {
  const { form } = dialog({
    title: `Edit: ${scopeWords(incident.scope)}`,
    body: [
      field("Kind", select("kind", kinds(), incident.kind)),
      field("Reason", words("reason", { required: true })),
      field("Owner", h("input", { name: "owner", maxlength: 120, required: true, "data-missing": "Somebody has to own it." })),
      field("To verify before it goes on", words("task", { required: true })),
      field("Rollback", words("rollback", { required: true })),
    ],
    submit: "Save", said: "The history keeps what was",
    work: async (given) => {
      const body = Object.fromEntries(["kind", "reason", "owner", "task", "rollback"].map((name) => [name, given.elements[name].value.trim()]));
      done(await api(path("incidents", incident.id), { method: "PUT", body }), "Saved.");
    },
  });
  const now = { reason: incident.reason, owner: incident.owner, task: incident.verification.task, rollback: incident.rollback };
  for (const [name, text] of Object.entries(now)) form.elements[name].value = text;
}

export function verifyIncident(incident, done) {
  return confirm({
    title: "Is it done?", submit: "It is done", text: incident.verification.task,
    reason: { label: "What you saw", required: true, placeholder: "Test send accepted with the new key" },
    work: async (note) => done(await api(`${path("incidents", incident.id)}/verify`, { method: "POST", body: { done: true, note } }), "Verified. It can go on now."),
  });
}

export function takeBack(incident, done) {
  return confirm({
    title: "Take the verification back?", submit: "Take back", text: "The task is open again, and nothing goes on until somebody does it.",
    reason: { label: "Reason" },
    work: async (note) => done(await api(`${path("incidents", incident.id)}/verify`, { method: "POST", body: { done: false, note } }), "The task is open again."),
  });
}

export function resumeIncident(incident, done) {
  return resume({
    title: `Resume ${scopeWords(incident.scope)}?`,
    preview: (rate) => api(`${path("incidents", incident.id)}/preview?rate_per_minute=${rate}`),
    nameOf: nameOfSequence,
    more: [field("Reason", h("input", { name: "reason", maxlength: 300, placeholder: "New key in place" }), "optional")],
    work: async ({ rate, form }) => {
      const reason = form.elements.reason.value.trim() || undefined;
      const answer = await api(`${path("incidents", incident.id)}/close`, { method: "POST", body: { rate_per_minute: rate, reason } });
      done(answer, said(answer.release));
    },
  });
}

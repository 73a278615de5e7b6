// + New sequence and + New step, and the same forms to change one.
import { api, path } from "./api.js";
import { choices, dialog, field, select } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { CHANNELS, sentence, template } from "./format.js";
import { previewer } from "./preview.js";
import { selected, settings, state, tenantOf } from "./state.js";

const CONSENT = [["not_opted_out", "Everybody who did not opt out"], ["channel_opt_in", "Only who opted in to the channel"], ["service_reply", "Answers to a request of theirs"], ["internal", "Internal: goes to our own people"]];
const REENTRY = [["never", "Never"], ["after_days", "After some days"], ["always", "Always"]];
const STAGES = ["new", "contacted", "qualified", "proposal-sent", "won", "lost", "dormant"];
const UNITS = [["1", "minutes"], ["60", "hours"], ["1440", "days"]];
const SMS_LENGTH = 160;

export function editSequence(sequence, done) {
  const trigger = sequence?.trigger ?? { kind: "stage", value: "new" };
  const kinds = choices("kind", [["stage", "A pipeline stage"], ["event", "An event"], ["dormant", "Silence"], ["manual", "By hand"]], trigger.kind);
  const value = h("div", {});
  const tenants = state.tenants.map((each) => [each.id, each.name]);
  const chosenTenant = () => sequence?.tenant_id ?? (form?.elements.tenant_id?.value || state.tenant || tenants[0]?.[0]);
  let form = null;
  const missing = (name) => sequence?.status === "draft" && sequence.missing.includes(name);
  const text = (name, key, { note = "", placeholder = "", rows = 0 } = {}) => field(name, h(rows ? "textarea" : "input", {
    name: key, maxlength: 500, placeholder, rows: rows || null, "aria-invalid": missing(name.toLowerCase()) ? "true" : null,
  }), note);
  const body = [
    field("Name", h("input", { name: "name", required: true, maxlength: 120, autofocus: true, "data-missing": "A sequence needs a name.", placeholder: "First touch" })),
    !sequence && tenants.length > 1 && !settings.tenant && field("Tenant", select("tenant_id", tenants, state.tenant || tenants[0][0])),
    h("fieldset", { class: "field" }, h("legend", {}, "Starts with"), kinds),
    value,
    field("What it is for", h("textarea", { name: "description", rows: 2, maxlength: 500 }), "optional"),
    h("details", { class: "extra", open: sequence?.status === "draft" ? true : null },
      h("summary", {}, "What it needs to be active"),
      h("div", {},
        h("div", { class: "pair" }, text("Owner", "owner"), text("Incident owner", "incident_owner", { placeholder: "ops-lead" })),
        text("Rollback path", "rollback_path", { rows: 2, placeholder: "Pause it; publish the version before; resume." }),
        h("div", { class: "pair" }, field("Consent rule", select("consent_rule", CONSENT, sequence?.consent_rule)), text("Response window", "response_window", { placeholder: "5m, 4h, 7d" })),
        h("div", { class: "pair" }, field("May a lead enter again?", select("reentry_rule", REENTRY, sequence?.reentry.rule ?? "never")), field("After days", h("input", { name: "reentry_days", type: "number", min: 0, max: 3650 }))))),
  ];
  const made = dialog({
    title: sequence ? `Edit ${sequence.name}` : "New sequence",
    body,
    submit: sequence ? "Save as a new version" : "Create draft",
    work: async (given) => {
      const read = (name) => given.elements[name]?.value.trim() ?? "";
      const change = {
        name: read("name"),
        description: read("description"),
        trigger: { kind: read("kind"), value: read("kind") === "manual" ? "" : read("value") },
        owner: read("owner"), incident_owner: read("incident_owner"), rollback_path: read("rollback_path"),
        consent_rule: read("consent_rule"), response_window: read("response_window"),
        reentry: { rule: read("reentry_rule"), days: Number(read("reentry_days")) || 0 },
      };
      const answer = sequence
        ? await api(path("sequences", sequence.id), { method: "PUT", body: { ...change, version: sequence.version } })
        : await api("/sequences", { method: "POST", body: { ...change, tenant_id: chosenTenant() } });
      done(answer, sequence ? `Version ${answer.version} of ${change.name} is published.` : `${change.name} is a draft: add its steps.`);
    },
  });
  form = made.form;
  const filled = { name: sequence?.name, description: sequence?.description, owner: sequence?.owner ?? settings.subject, incident_owner: sequence?.incident_owner, rollback_path: sequence?.rollback_path, response_window: sequence?.response_window, reentry_days: sequence?.reentry.days ?? 0 };
  for (const [name, said] of Object.entries(filled)) form.elements[name].value = said ?? "";
  const drawValue = () => {
    const kind = form.elements.kind.value;
    if (kind === "dormant") {
      sprout(value, field("When a lead has not answered for so many days", h("input", { name: "value", type: "number", min: 1, max: 3650, required: true, value: kind === trigger.kind ? trigger.value : 60, "data-missing": "After how many days?" })));
      return;
    }
    const options = kind === "stage" ? tenantOf(chosenTenant())?.pipeline ?? STAGES : settings.events;
    sprout(value, kind !== "manual" && field(kind === "stage" ? "When a lead reaches" : "When this happens", select("value", options.map((each) => [each, sentence(each)]), kind === trigger.kind ? trigger.value : options[0])));
  };
  drawValue();
  form.addEventListener("change", (event) => ["kind", "tenant_id"].includes(event.target.name) && drawValue());
}

function unitOf(minutes) {
  if (minutes && minutes % 1440 === 0) return 1440;
  return minutes % 60 === 0 ? 60 : 1;
}

export function editStep(step, done) {
  const sequence = selected();
  const unit = unitOf(step?.delay_minutes ?? 0);
  const read = (name) => form.elements[name].value;
  const htmlOf = () => (read("channel") === "email" ? read("html").trim() : "");
  const count = h("em", {});
  const sample = h("div", { class: "sample" });
  const subject = field("Subject", h("input", { name: "subject", maxlength: 500, placeholder: "We have your message, {{ first_name | default: \"there\" }}" }));
  const insert = h("div", { class: "insert", "aria-label": "Insert a variable" }, settings.variables.map((name) => h("button", { type: "button", "data-insert": name, title: `Insert {{ ${name} }}` }, name)));
  const message = h("div", { class: "field" }, h("label", { for: "step-body" }, "Message", count), h("textarea", { id: "step-body", name: "body", rows: 7, maxlength: 20000, "data-missing": "Write the message." }), insert);
  const ownHtml = h("details", { class: "extra", open: step?.template_html ? true : null }, h("summary", {}, "HTML of its own"),
    h("div", {}, field("HTML", h("textarea", { name: "html", rows: 6, maxlength: 20000, spellcheck: "false", placeholder: "<p>Hi {{ first_name | default: \"there\" }}</p>" }), "without it one is made of the text")));
  const shown = previewer({
    tenant: sequence.tenant_id,
    mayTest: ["admin", "ops"].includes(settings.role),
    read: () => ({ channel: read("channel"), subject: hasSubject(read("channel")) ? read("subject") : "", body: read("body"), body_html: htmlOf(), template_name: step?.template_name ?? "" }),
  });
  const { form } = dialog({
    title: step ? `Edit step ${step.delay_label}` : "New step",
    body: [
      h("fieldset", { class: "field" }, h("legend", {}, "Channel"), choices("channel", Object.entries(CHANNELS).map(([id, label]) => [id, label, id]), step?.channel ?? "email")),
      h("fieldset", { class: "field" }, h("legend", {}, "When"), h("div", { class: "after" },
        h("input", { name: "delay", type: "number", min: 0, max: 10000, required: true, "aria-label": "How long", "data-missing": "Say when, 0 or more." }),
        select("unit", UNITS, String(unit)),
        select("from", [["enrollment", "after enrollment"], ["previous", "after the step before"]], step?.delay_from ?? "enrollment"))),
      subject, message, ownHtml, sample, shown.root,
    ],
    submit: step ? "Save step" : "Add step",
    said: "Published as a new version",
    work: async () => {
      const quiet = read("channel") === "wait";
      const change = {
        channel: read("channel"),
        delay_minutes: Number(read("delay")) * Number(read("unit")),
        delay_from: read("from"),
        template_subject: quiet || !hasSubject(read("channel")) ? "" : read("subject").trim(),
        template_body: quiet ? "" : read("body"),
        template_html: htmlOf(),
      };
      const answer = await api(step ? path("sequences", sequence.id, "steps", step.id) : path("sequences", sequence.id, "steps"), { method: step ? "PUT" : "POST", body: change });
      done(answer, step ? "The step is saved. Who is enrolled stays on their version." : "The step is added.");
    },
  });
  form.elements.delay.value = (step?.delay_minutes ?? 0) / unit;
  form.elements.subject.value = step?.template_subject ?? "";
  form.elements.body.value = step?.template_body ?? "";
  form.elements.html.value = step?.template_html ?? "";
  const draw = () => {
    const channel = form.elements.channel.value;
    const text = form.elements.body.value;
    subject.hidden = !hasSubject(channel);
    message.hidden = sample.hidden = shown.root.hidden = channel === "wait";
    ownHtml.hidden = channel !== "email";
    form.elements.body.required = channel !== "wait" && !htmlOf();
    count.textContent = channel === "sms" ? `${text.length} / ${SMS_LENGTH} as written` : "";
    sprout(sample, h("p", { class: "label" }, "Preview"), hasSubject(channel) && form.elements.subject.value && h("p", { class: "subject" }, template(form.elements.subject.value)), h("p", { class: "preview open" }, text ? template(text) : "Nothing written yet."));
  };
  draw();
  for (const kind of ["input", "change"]) form.addEventListener(kind, (event) => {
    if (event.target.name === "preview_lead") return;
    draw();
    shown.changed();
  });
  insert.addEventListener("click", (event) => {
    const name = event.target.closest("[data-insert]")?.dataset.insert;
    if (!name) return;
    const into = form.elements.body;
    into.setRangeText(`{{ ${name} }}`, into.selectionStart, into.selectionEnd, "end");
    into.focus();
    draw();
    shown.changed();
  });
}

const hasSubject = (channel) => ["email", "task", "call"].includes(channel);

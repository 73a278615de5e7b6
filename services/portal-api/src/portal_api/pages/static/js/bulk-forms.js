// Whom a bulk job is about, and what it is told beside that.
import { field, select } from "./dialog.js";
import { h } from "./dom.js";
import { plural, sentence } from "./format.js";
import { RATE, rateField } from "./resume.js";
import { tenantOf } from "./state.js";

const STAGES = ["new", "contacted", "qualified", "proposal-sent", "won", "lost", "dormant"];
const WHO = ["stage", "temperature", "source", "owner", "q"];
const LEAD_IN = {
  enroll: "Everybody who fits all of this. Nothing is sent before you have seen who that is.",
  migrate: "Who is enrolled stays on their version until you move them. What is behind a lead stays behind it: nobody gets a step twice.",
  pause: "Everybody who is enrolled and fits all of this. What is due for them waits until they are resumed.",
  resume: "Everybody who is paused by hand and fits all of this. What is overdue goes out bit by bit.",
  stop: "Everybody who is enrolled and fits all of this. Their run ends here, and does not begin again by itself.",
};
const REASONS = { enroll: "Spring campaign", migrate: "The price in step 2 was wrong", pause: "The crew is booked until Monday", resume: "The crew is free again", stop: "The offer has ended" };

const typed = (name, placeholder = "", max = 500) => h("input", { name, maxlength: max, placeholder, autocomplete: "off" });

function who(sequence) {
  const stages = tenantOf(sequence.tenant_id)?.pipeline ?? STAGES;
  return [
    h("div", { class: "pair" },
      field("Stage", select("stage", [["", "Any"], ...stages.map((each) => [each, sentence(each)])], "")),
      field("Temperature", select("temperature", [["", "Any"], ["hot", "Hot"], ["warm", "Warm"], ["cold", "Cold"]], ""))),
    h("div", { class: "pair" },
      field("Source", typed("source", "website-form")),
      field("Owner", typed("owner", "dana.whitfield"))),
    field("Name, company, e-mail or number", typed("q")),
  ];
}

function versionsOf(versions) {
  const to = versions.filter((each) => each.status !== "draft");
  const from = versions.filter((each) => each.live > 0 && each.version !== to[0]?.version);
  return h("div", { class: "pair" },
    field("Leads on", select("from_version", [["", "Every older version"], ...from.map((each) => [String(each.version), `Version ${each.version} · ${plural(each.live, "lead")}`])], "")),
    field("Go to", select("to_version", to.map((each) => [String(each.version), `Version ${each.version} · ${plural(each.steps, "step")}`]), String(to[0]?.version ?? ""))));
}

export function form(action, sequence, versions) {
  return [
    h("p", { class: "lead-in" }, LEAD_IN[action]),
    action === "migrate" ? versionsOf(versions) : who(sequence),
    action === "resume" && rateField(RATE),
    field("Reason", typed("reason", REASONS[action], 300), "optional"),
  ];
}

// The body of the request, as the form is filled in.
export function asked(action, given) {
  const read = (name) => given.elements[name]?.value.trim() || undefined;
  const whole = (name) => (read(name) ? Number(read(name)) : undefined);
  const filter = Object.fromEntries(WHO.filter(read).map((name) => [name, read(name)]));
  if (action === "enroll") filter.status = "active";
  return {
    action,
    filter: Object.keys(filter).length ? filter : undefined,
    from_version: whole("from_version"),
    to_version: whole("to_version"),
    rate_per_minute: whole("rate"),
    reason: read("reason"),
  };
}

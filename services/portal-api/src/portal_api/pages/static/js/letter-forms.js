// Replaying and discarding: a look at what would be done, then the doing.
import { api } from "./api.js";
import { dialog, field } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { number, plural, when } from "./format.js";
import { titleOf } from "./letter-draw.js";
import { state as shared } from "./state.js";

const tile = (count, name, kind = "") => h("div", { class: `tile ${kind}`.trim(), "data-tile": name }, h("b", {}, number(count)), h("span", {}, name));
const moment = (form, name) => (form.elements[name]?.value ? new Date(form.elements[name].value).toISOString() : null);

function part() {
  return h("details", { class: "extra" }, h("summary", {}, "Only a part of them"), h("div", {},
    h("div", { class: "pair" },
      field("Buried from", h("input", { name: "since", type: "datetime-local" }), "your time"),
      field("To before", h("input", { name: "until", type: "datetime-local" }), "your time"))));
}

// `group` is what the page shows, `ids` the letters of it that are meant, all where there are none.
export function replay(group, ids, done) {
  ask({
    group, ids, done, route: "replay", verb: "Replay", tried: "would be replayed",
    fields: [
      field("How many a minute", h("input", { name: "rate", type: "number", min: 1, max: 100000, value: 600, required: true, "data-missing": "Say how many a minute, 1 or more." })),
      !ids && h("label", { class: "check" }, h("input", { type: "checkbox", name: "again" }), h("span", {}, "Those too that were replayed or discarded before")),
      field("Reason", h("input", { name: "why", maxlength: 500, placeholder: "The field exists in the CRM now" }), "optional"),
    ],
    about: "Each goes back to where it came from, as it came, for this service alone. What it has had already changes nothing.",
    body: (form) => ({ rate_per_minute: Number(form.elements.rate.value), again: form.elements.again?.checked ?? false, why: form.elements.why.value.trim() || null }),
  });
}

export function discard(group, ids, done) {
  ask({
    group, ids, done, route: "discard", verb: "Discard", danger: true, tried: "would be discarded",
    fields: [field("Reason", h("input", { name: "why", maxlength: 500, required: true, "data-missing": "Say why.", placeholder: "Spam, and about nobody" }))],
    about: "They stay in the log, and nobody is asked about them any more.",
    body: (form) => ({ why: form.elements.why.value.trim() }),
  });
}

function ask({ group, ids, done, route, verb, danger = false, tried: triedWords, fields, about, body }) {
  let tried = null;
  const shown = h("div", { class: "bulk" });
  const asked = (form, dry) => ({
    ...(ids ? { ids } : { service: group.service, reason: group.cause, since: moment(form, "since"), until: moment(form, "until") }),
    tenant: shared.tenant || null, dry_run: dry, ...body(form),
  });
  const send = (form, dry) => api(`/dead-letters/${route}`, { method: "POST", body: asked(form, dry) });
  const { form, button } = dialog({
    title: `${verb}: ${titleOf(group)}`, submit: "Preview", danger, said: "Nothing is changed by a look",
    body: [h("p", {}, about), fields, !ids && part(), shown],
    work: async (given) => {
      if (!tried) {
        tried = await send(given, true);
        draw(tried);
        button.textContent = tried.letters ? `${verb} ${plural(tried.letters, "letter")}` : "None fits";
        button.disabled = !tried.letters;
        return false;
      }
      await send(given, false);
      done(`${verb === "Replay" ? "Replaying" : "Discarding"} ${plural(tried.letters, "letter")}.`);
      return true;
    },
  });
  const draw = (answer) => {
    const { replayed, discarded, stuck } = answer.passed_over;
    sprout(shown,
      h("div", { class: "tiles" },
        tile(answer.letters, triedWords, "good"),
        replayed + discarded > 0 && tile(replayed + discarded, "handled before"),
        stuck > 0 && tile(stuck, "without a way back", "bad")),
      answer.oldest_at && h("p", { class: "fine" }, `Buried from ${when(answer.oldest_at)} to ${when(answer.newest_at)}.`));
    shown.scrollIntoView({ block: "nearest" });
  };
  form.addEventListener("input", () => {
    if (!tried) return;
    tried = null;
    sprout(shown);
    button.disabled = false;
    button.textContent = "Preview";
  });
}

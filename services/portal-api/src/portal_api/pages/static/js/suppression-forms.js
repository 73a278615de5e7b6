// To add an address, to lift one, to bring in a file.
import { api, path } from "./api.js";
import { choices, dialog, field, select } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { CHANNELS, number, plural } from "./format.js";
import { settings, state as shared } from "./state.js";
import { OWN_WORD, REASONS } from "./suppression-state.js";

const LOOK_MS = 500;
const text = (name, rows, more = {}) => h("textarea", { name, rows, maxlength: 500, required: true, ...more });
const reasons = (names) => names.map((name) => [name, REASONS[name]]);
const ofTenant = () => (shared.tenants.length > 1 && !settings.tenant
  ? field("Tenant", select("tenant", shared.tenants.map((each) => [each.id, each.name]), shared.tenant || shared.tenants[0].id)) : null);
const tenantIn = (form) => form.elements.tenant?.value || settings.tenant || shared.tenant || shared.tenants[0]?.id;

export function add(done) {
  dialog({
    title: "Suppress an address", submit: "Suppress",
    body: [
      field("E-mail address or number", h("input", { name: "address", required: true, maxlength: 254, autocomplete: "off", spellcheck: "false", "data-missing": "Which address?", placeholder: "maria@example.com or +1 512 555 0100" })),
      h("fieldset", { class: "field" }, h("legend", {}, "Channel"), choices("channel", [["all", "Every one it has"], ...["email", "sms", "whatsapp", "call"].map((each) => [each, CHANNELS[each], each])], "all")),
      field("Reason", select("reason", reasons(settings.by_hand), "manual")),
      field("What happened", text("note", 2, { "data-missing": "Say what happened.", placeholder: "Asked on the phone to be left alone" })),
      ofTenant(),
    ],
    work: async (form) => {
      const read = (name) => form.elements[name].value.trim();
      const answer = await api("/suppressions", { method: "POST", wait: 8, body: { tenant_id: tenantIn(form), address: read("address"), channel: form.elements.channel.value, reason: read("reason"), note: read("note") } });
      done(!answer.added ? "It was suppressed already." : answer.listed ? "Suppressed. Nothing more goes there." : "Noted. The list shows it in a moment.");
    },
  });
}

export function lift(entry, done) {
  const ownWord = OWN_WORD.has(entry.reason);
  dialog({
    title: `Write to ${entry.address} again?`, submit: "Lift", danger: true, narrow: true,
    body: [
      ownWord
        ? h("p", { class: "rule" }, `${REASONS[entry.reason]}: that is the person's own word. It is lifted only by a new opt-in: by START from the number, or here with evidence of it.`)
        : h("p", {}, `${CHANNELS[entry.channel] ?? entry.channel}, ${REASONS[entry.reason].toLowerCase()}.`),
      ownWord && field("Evidence of the new opt-in", h("textarea", { name: "evidence", rows: 3, maxlength: 1000, required: true, "data-missing": "Say what the person said, when and where.", placeholder: "Ticked the box on the quote form on Nov 20; form-4711" })),
      field("Reason", text("reason", 2, { "data-missing": "Say why.", placeholder: ownWord ? "She asks for offers again" : "The mailbox works again" })),
    ],
    work: async (form) => {
      const answer = await api(path("suppressions", entry.id), { method: "DELETE", wait: 8, body: { reason: form.elements.reason.value.trim(), evidence: form.elements.evidence?.value.trim() ?? "" } });
      done(answer.listed ? "Lifted." : "Noted. The list shows it in a moment.");
    },
  });
}

export function importList(done) {
  let file = null;
  let tried = false;
  let ended = false;
  const shown = h("div", { class: "bulk" });
  const asked = [
    field("CSV file", h("input", { name: "file", type: "file", accept: ".csv,text/csv", required: true, "data-missing": "Choose a file." }), "up to 5 MB"),
    h("p", { class: "fine" }, "The first line names the columns: address (or email, phone), and where it has them channel, reason, time, note."),
    h("div", { class: "pair" }, field("Reason, where none is named", select("reason", reasons(settings.by_hand), "opt_out")), field("Channel, where none is named", select("channel", [["", "Every one it has"], ...["email", "sms", "whatsapp", "call"].map((each) => [each, CHANNELS[each]])], ""))),
    ofTenant(),
  ];
  const send = (form, dry) => api(`/suppressions/import?${new URLSearchParams({ tenant: tenantIn(form), reason: form.elements.reason.value, ...(form.elements.channel.value && { channel: form.elements.channel.value }), file: file.name.slice(0, 120), ...(dry && { dry_run: "true" }) })}`, { method: "POST", file });
  const { form, button, node } = dialog({
    title: "Import a list", submit: "Try it out", said: "Nothing is changed by trying", body: [...asked, shown],
    work: async (given) => {
      if (ended) return true;
      file = given.elements.file.files[0];
      if (!tried) {
        const answer = await send(given, true);
        tried = true;
        draw(answer);
        button.textContent = answer.new ? `Import ${number(answer.new)}` : "Nothing to import";
        button.disabled = !answer.new;
        return false;
      }
      const answer = await send(given, false);
      done(`Importing ${plural(answer.new, "entry", "entries")}.`);
      await watch(answer);
      return false;
    },
  });
  const draw = (answer, running = null) => sprout(shown,
    h("div", { class: "tiles" }, tile(answer.rows, "lines"), tile(answer.new, running ? "entries" : "would be new", "good"), tile(answer.known, "on the list already"), tile(answer.refused, "refused", answer.refused ? "bad" : "")),
    running && h("div", { class: "progress tall", role: "progressbar", "aria-label": "Imported", "aria-valuemin": 0, "aria-valuemax": running.new, "aria-valuenow": running.told, pct: running.new ? (100 * running.told) / running.new : 100 }),
    running && h("p", { class: "fine", role: "status" }, running.state === "done" ? "Done. Nobody of them is written to any more." : `${number(running.told)} of ${number(running.new)} are in the log.`),
    answer.ignored.length > 0 && h("p", { class: "fine" }, `Not read: ${answer.ignored.length === 1 ? "the column" : "the columns"} ${answer.ignored.join(", ")}.`),
    answer.refusals.length > 0 && h("ul", { class: "refusals", "aria-label": "Refused lines" }, answer.refusals.map((each) => h("li", {}, h("span", {}, `Line ${each.line}`), h("b", {}, each.address || "–"), h("span", {}, each.why)))),
    running && answer.refused > 0 && h("a", { class: "button small", href: `/api/v1/suppressions/imports/${encodeURIComponent(answer.id)}/refused`, download: true }, "Refused lines as a file"));
  async function watch(answer) {
    for (const each of form.querySelectorAll(".field, .pair, .dialog-body > .fine")) each.hidden = true;
    node.querySelector(".said").hidden = true;
    let now = { told: 0, new: answer.new, state: "running" };
    while (node.open && now.state === "running") {
      draw(answer, now);
      await new Promise((go) => setTimeout(go, LOOK_MS));
      now = await api(path("suppressions", "imports", answer.id));
    }
    draw(answer, now);
    ended = true;
    button.textContent = "Close";
    for (const each of form.querySelectorAll(".field :required")) each.required = false;
    node.querySelector(".dialog-foot [data-close]").hidden = true;
    done(null);
  }
  form.addEventListener("change", () => {
    if (!tried || ended) return;
    tried = false;
    sprout(shown);
    button.disabled = false;
    button.textContent = "Try it out";
  });
}

const tile = (count, name, kind = "") => h("div", { class: `tile ${kind}`.trim() }, h("b", {}, number(count)), h("span", {}, name));

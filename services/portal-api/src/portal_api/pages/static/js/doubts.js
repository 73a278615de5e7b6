// Puts the page of messages in doubt together.
import { api, path } from "./api.js";
import { calmly } from "./calm.js";
import { confirm, dialog, field } from "./dialog.js";
import { drawDetail, drawList, drawStates, OUTCOMES } from "./doubt-draw.js";
import { loadItems, selected, state } from "./doubt-state.js";
import { h } from "./dom.js";
import { page, place, wide } from "./page.js";
import { split } from "./split.js";
import { loadSequences, operator } from "./state.js";
import { toast } from "./toast.js";

const HOME = "/doubts";
const ASKED = {
  sent: "The sequence goes on as after any message that was sent. If it was not, nobody hears of it: be sure.",
  failed: "It counts as failed. Nothing is sent by that; from here it can be sent again, as a message of its own.",
};

function draw() {
  drawStates();
  drawList();
  drawDetail();
}
const drawSoon = calmly(draw);

async function refresh() {
  try {
    state.failed = null;
    await loadItems();
    if (!state.selected && wide.matches) state.selected = state.items?.[0]?.id ?? null;
  } catch (error) {
    state.failed = error.message;
    toast(error.message, true);
  }
  drawSoon();
}

const { select, back, view } = split({ home: HOME, state, draw });

function settle(outcome) {
  const message = selected();
  if (!operator || message?.state !== "unknown" || message.doubt?.word) return;
  dialog({
    title: `${message.lead.name}: ${OUTCOMES[outcome]}?`, narrow: true,
    submit: outcome === "sent" ? "It was sent" : "It was not sent",
    body: [
      h("p", {}, ASKED[outcome]),
      field("How you found out", h("textarea", { name: "reason", rows: 2, maxlength: 500, required: true, "data-missing": "Say how you found out.", placeholder: outcome === "sent" ? "It is in the provider's log at 14:02" : "The provider's log has nothing for this address" })),
      outcome === "sent" && field("The provider's id of it", h("input", { name: "provider_id", maxlength: 200, autocomplete: "off", spellcheck: "false" }), "optional"),
    ],
    work: async ({ elements }) => {
      const reason = elements.reason.value.trim();
      const provider_id = elements.provider_id?.value.trim() || null;
      await api(`${path("messages", message.id)}/settle`, { method: "POST", body: { outcome, reason, provider_id } });
      toast("Noted. The ledger follows in a moment.");
      refresh();
    },
  });
}

function again() {
  const message = selected();
  confirm({
    title: `Send again to ${message.lead.name}?`, submit: "Send again",
    text: "It goes out once more, as a message of its own that names this one.",
    reason: { label: "Reason", required: true },
    work: async (reason) => {
      await api(path("sequences", message.sequence_id, "messages", message.id, "resend"), { method: "POST", body: { reason } });
      toast("Asked to send it again.");
    },
  });
}

async function states({ state: wanted }) {
  Object.assign(state, { shown: wanted, items: null, selected: null });
  history.replaceState({}, "", place(HOME));
  view();
  draw();
  await refresh();
}

const actions = {
  select: ({ id }) => select(id, { focus: true }),
  back,
  states,
  more: () => loadItems({ more: true }).then(draw),
  sent: () => settle("sent"),
  failed: () => settle("failed"),
  again,
};

const keys = (_event, typing) => ({ s: !typing && actions.sent, x: !typing && actions.failed });

function another() {
  Object.assign(state, { items: null, selected: null });
  view();
  loadSequences().then(drawSoon);
}

// An address may be of a message that was settled meanwhile.
async function begin() {
  await loadSequences().catch((error) => toast(error.message, true));
  await refresh();
  if (!state.selected || selected()) return;
  Object.assign(state, { shown: "settled", items: null });
  await refresh();
}

page({ home: HOME, actions, keys, chosen: select, draw, another, refresh, begin });

// Puts the Sync page together.
import { calmly } from "./calm.js";
import { drawConflicts } from "./conflict-draw.js";
import { acknowledge, conflictOf, conflicts, loadConflicts } from "./conflict-state.js";
import { confirm } from "./dialog.js";
import { page } from "./page.js";
import { operator } from "./state.js";
import { drawAccounts, drawList, drawStates } from "./sync-draw.js";
import { loadItems, state } from "./sync-state.js";
import { toast } from "./toast.js";

function draw() {
  drawAccounts();
  drawConflicts();
  drawStates();
  drawList();
}
const drawSoon = calmly(draw);

async function load(part, ask) {
  try {
    part.failed = null;
    await ask();
  } catch (error) {
    part.failed = error.message;
    toast(error.message, true);
  }
}

async function refresh() {
  await Promise.all([load(conflicts, loadConflicts), load(state, loadItems)]);
  drawSoon();
}

async function states({ state: wanted }) {
  Object.assign(state, { shown: wanted === "all" ? "" : wanted, items: null });
  draw();
  await refresh();
}

async function which({ state: shown }) {
  Object.assign(conflicts, { shown, items: null });
  draw();
  await refresh();
}

function lookedAt(id) {
  const change = conflictOf(id);
  if (!operator || !change || change.acknowledged) return;
  confirm({
    title: `Acknowledge the conflict of ${change.lead.name}?`, submit: "Acknowledge",
    text: "It leaves this list, with your name and what you say. No lead is changed by it.",
    reason: { label: "What you found, or did", required: true, placeholder: "The number in the CRM is right" },
    work: async (reason) => {
      await acknowledge(id, reason);
      toast("Acknowledged.");
      await refresh();
    },
  });
}

const focused = () => document.activeElement?.closest("#conflicts .item")?.dataset.id;
const keys = (_event, typing) => ({ a: !typing && focused() && (() => lookedAt(focused())) });

page({
  home: "/sync", draw, refresh, keys,
  actions: {
    states, conflicts: which, acknowledge: ({ id }) => lookedAt(id),
    more: () => loadItems({ more: true }).then(draw),
    "more-conflicts": () => loadConflicts({ more: true }).then(draw),
  },
  another: () => {
    Object.assign(state, { items: null, accounts: [] });
    Object.assign(conflicts, { items: null, open: 0 });
  },
});

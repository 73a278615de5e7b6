// Puts the Sync page together.
import { calmly } from "./calm.js";
import { page } from "./page.js";
import { drawAccounts, drawList, drawStates } from "./sync-draw.js";
import { loadItems, state } from "./sync-state.js";
import { toast } from "./toast.js";

function draw() {
  drawAccounts();
  drawStates();
  drawList();
}
const drawSoon = calmly(draw);

async function refresh() {
  try {
    state.failed = null;
    await loadItems();
  } catch (error) {
    state.failed = error.message;
    toast(error.message, true);
  }
  drawSoon();
}

async function states({ state: wanted }) {
  Object.assign(state, { shown: wanted === "all" ? "" : wanted, items: null });
  draw();
  await refresh();
}

page({
  home: "/sync", draw, refresh,
  actions: { states, more: () => loadItems({ more: true }).then(draw) },
  another: () => Object.assign(state, { items: null, accounts: [] }),
});

// Puts the Suppression page together.
import { calmly } from "./calm.js";
import { h } from "./dom.js";
import { page } from "./page.js";
import { settings } from "./state.js";
import { drawImports, drawList } from "./suppression-draw.js";
import { add, importList, lift } from "./suppression-forms.js";
import { exportAddress, loadImports, loadItems, REASONS, state } from "./suppression-state.js";
import { toast } from "./toast.js";

const TYPED_MS = 250;
const filters = document.getElementById("filters");

function draw() {
  drawImports();
  drawList();
  const link = document.getElementById("export");
  link.href = exportAddress();
  link.hidden = !exportAddress();
}
const drawSoon = calmly(draw);

async function refresh() {
  try {
    state.failed = null;
    await Promise.all([loadItems(), loadImports()]);
  } catch (error) {
    state.failed = error.message;
    toast(error.message, true);
  }
  drawSoon();
}

function changed(said) {
  if (said) toast(said);
  refresh();
}

let typed = 0;
function ask({ now = false } = {}) {
  clearTimeout(typed);
  typed = setTimeout(() => {
    const given = Object.fromEntries(new FormData(filters));
    Object.assign(state.asked, { ...given, address: given.address.trim() });
    state.items = null;
    refresh();
  }, now ? 0 : TYPED_MS);
}

const actions = {
  add: () => add(changed),
  import: () => importList(changed),
  lift: ({ id }) => lift(state.items.find((each) => each.id === id), changed),
  more: () => loadItems({ more: true }).then(draw),
  clear: () => {
    filters.reset();
    ask({ now: true });
  },
};

const keys = ({ target }, typing) => {
  const row = target.closest("#list .item");
  return {
    Enter: row === target && row.querySelector("button") && (() => row.querySelector("button").click()),
    "/": !typing && (() => document.getElementById("find").focus()),
    n: !typing && actions.add,
    i: !typing && actions.import,
  };
};

filters.addEventListener("input", (event) => ask({ now: event.target.tagName === "SELECT" }));
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  ask({ now: true });
});

document.getElementById("reasons").append(...settings.reasons.map((each) => h("option", { value: each }, REASONS[each])));

page({
  home: "/suppression", actions, keys, draw, refresh,
  another: () => {
    state.items = null;
  },
});

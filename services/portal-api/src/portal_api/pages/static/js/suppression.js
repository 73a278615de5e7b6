// Puts the Suppression page together: search, keys, live updates.
import { h } from "./dom.js";
import { live } from "./live.js";
import { signOut, switchTheme } from "./frame.js";
import { loadTenants, operator, settings, state as shared } from "./state.js";
import { drawImports, drawList } from "./suppression-draw.js";
import { add, importList, lift } from "./suppression-forms.js";
import { exportAddress, loadImports, loadItems, REASONS, state } from "./suppression-state.js";
import { toast } from "./toast.js";

const TYPED_MS = 250;
const filters = document.getElementById("filters");

function draw() {
  drawImports();
  drawList();
  document.getElementById("export").href = exportAddress();
}

async function refresh() {
  try {
    await Promise.all([loadItems(), loadImports()]);
  } catch (error) {
    toast(error.message, true);
  }
  draw();
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
  theme: switchTheme,
  "sign-out": signOut,
};

document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-action]");
  if (!target || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  if (target.getAttribute("aria-busy") === "true") return;
  target.setAttribute("aria-busy", "true");
  try {
    await actions[target.dataset.action]({ ...target.dataset });
  } catch (error) {
    toast(error.message, true);
  } finally {
    target.removeAttribute("aria-busy");
  }
});

function move(by) {
  const rows = [...document.querySelectorAll("#list [data-id].item")];
  const at = rows.indexOf(document.activeElement.closest("[data-id].item"));
  rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, textarea, select");
  const row = event.target.closest("#list .item");
  const keys = {
    ArrowDown: !typing && (() => move(1)),
    ArrowUp: !typing && (() => move(-1)),
    Enter: row === event.target && row?.querySelector("button") && (() => row.querySelector("button").click()),
    "/": !typing && (() => document.getElementById("find").focus()),
    n: !typing && actions.add,
    i: !typing && actions.import,
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

filters.addEventListener("input", (event) => ask({ now: event.target.tagName === "SELECT" }));
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  ask({ now: true });
});

let stopLive = () => {};
function watch() {
  stopLive();
  stopLive = live(shared.tenant, refresh);
}
addEventListener("pagehide", () => stopLive());

function drawTenants() {
  const choice = document.getElementById("tenant");
  if (settings.tenant || shared.tenants.length < 2) return;
  choice.replaceChildren(h("option", { value: "" }, "All tenants"), ...shared.tenants.map((each) => h("option", { value: each.id }, each.name)));
  choice.value = shared.tenant;
  document.getElementById("tenant-box").hidden = false;
  choice.addEventListener("change", () => {
    shared.tenant = choice.value;
    history.replaceState({}, "", `/suppression${shared.tenant ? `?tenant=${encodeURIComponent(shared.tenant)}` : ""}`);
    state.items = null;
    draw();
    refresh();
    watch();
  });
}

async function start() {
  for (const each of document.querySelectorAll("[data-operators]")) each.hidden = !operator;
  document.getElementById("reasons").append(...settings.reasons.map((each) => h("option", { value: each }, REASONS[each])));
  draw();
  await loadTenants().catch((error) => toast(error.message, true));
  const wanted = new URLSearchParams(location.search).get("tenant");
  if (!settings.tenant && shared.tenants.some((each) => each.id === wanted)) shared.tenant = wanted;
  drawTenants();
  await refresh();
  watch();
}

start();

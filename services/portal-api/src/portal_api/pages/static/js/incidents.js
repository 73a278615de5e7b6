// Puts the Incidents page together: address, keys, live updates.
import { h } from "./dom.js";
import { drawDetail, drawList, drawStates } from "./incident-draw.js";
import { editIncident, openIncident, resumeIncident, takeBack, verifyIncident } from "./incident-forms.js";
import { loadItems, loadKinds, loadSelected, selected, state } from "./incident-state.js";
import { live } from "./live.js";
import { signOut, switchTheme } from "./frame.js";
import { loadSequences, loadTenants, operator, settings, state as shared } from "./state.js";
import { toast } from "./toast.js";

const split = document.getElementById("split");
const wide = matchMedia("(min-width: 761px)");

function draw() {
  drawStates();
  drawList();
  drawDetail();
}

const address = () => {
  const found = /^\/incidents\/(.+)$/.exec(location.pathname);
  return found ? decodeURIComponent(found[1]) : null;
};
const here = (id) => `/incidents${id ? `/${encodeURIComponent(id)}` : ""}${location.search}`;

async function refresh() {
  try {
    await loadItems();
    if (!state.selected && wide.matches) state.selected = state.items[0]?.id ?? null;
    await loadSelected().catch((error) => {
      if (error.status !== 404) throw error;
      state.full = null;
    });
  } catch (error) {
    toast(error.message, true);
  }
  draw();
}

function select(id, { push = true, focus = false } = {}) {
  const moved = state.selected !== id;
  state.selected = id;
  split.dataset.view = id ? "detail" : "list";
  if (moved && push) history.pushState({}, "", here(id));
  if (moved && !wide.matches) scrollTo(0, 0);
  draw();
  if (moved && focus && !wide.matches) document.getElementById("detail").focus();
  if (moved) loadSelected().then(draw).catch((error) => toast(error.message, true));
}

function shown(answer, said) {
  toast(said);
  state.full = answer;
  // What was closed is under Closed; one stays with it.
  const list = answer.state;
  if (state.shown !== list) {
    state.shown = list;
    state.items = null;
  }
  select(answer.id);
  refresh();
}

const actions = {
  select: ({ id }) => select(id, { focus: true }),
  back: () => select(null),
  states: async ({ state: wanted }) => {
    state.shown = wanted;
    state.items = null;
    state.selected = null;
    history.replaceState({}, "", here(null));
    draw();
    await refresh();
  },
  more: () => loadItems({ more: true }).then(draw),
  open: () => openIncident(shown),
  edit: () => editIncident(selected(), shown),
  verify: () => verifyIncident(selected(), shown),
  "take-back": () => takeBack(selected(), shown),
  resume: () => resumeIncident(selected(), shown),
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
  const items = state.items ?? [];
  const at = items.findIndex((each) => each.id === state.selected);
  const next = items[Math.max(0, Math.min(items.length - 1, at + by))];
  if (!next) return;
  select(next.id);
  document.querySelector(`#list [data-key="${CSS.escape(next.id)}"]`)?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, textarea, select");
  const keys = {
    ArrowDown: !typing && (() => move(1)),
    ArrowUp: !typing && (() => move(-1)),
    n: !typing && operator && actions.open,
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

addEventListener("popstate", () => select(address(), { push: false }));

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
    history.replaceState({}, "", `/incidents${shared.tenant ? `?tenant=${encodeURIComponent(shared.tenant)}` : ""}`);
    Object.assign(state, { items: null, selected: null, full: null });
    split.dataset.view = "list";
    draw();
    loadSequences().then(refresh);
    watch();
  });
}

async function start() {
  for (const each of document.querySelectorAll("[data-operators]")) each.hidden = !operator;
  state.selected = address();
  split.dataset.view = state.selected ? "detail" : "list";
  draw();
  await loadTenants().catch((error) => toast(error.message, true));
  const wanted = new URLSearchParams(location.search).get("tenant");
  if (!settings.tenant && shared.tenants.some((each) => each.id === wanted)) shared.tenant = wanted;
  drawTenants();
  await Promise.all([loadSequences(), loadKinds()]).catch((error) => toast(error.message, true));
  await refresh();
  if (state.full && state.full.state !== state.shown) {
    state.shown = state.full.state;
    await refresh();
  }
  watch();
}

start();

// Puts the page together: address, keys, live updates.
import { actionsOf } from "./actions.js";
import { drawDetail } from "./detail.js";
import { h } from "./dom.js";
import { drawList, shownSequences } from "./list.js";
import { live } from "./live.js";
import { drawPipeline } from "./pipeline.js";
import { loadPipeline, loadRows, loadSequences, loadTenants, operator, selected, settings, state } from "./state.js";
import { toast } from "./toast.js";

const split = document.getElementById("split");
const find = document.getElementById("find");
const wide = matchMedia("(min-width: 761px)");

function draw() {
  drawList();
  drawDetail();
  drawPipeline();
}

function address() {
  const found = /^\/sequences\/(.+)$/.exec(location.pathname);
  return found ? decodeURIComponent(found[1]) : null;
}

function select(id, { push = true, focus = false } = {}) {
  const moved = state.selected !== id;
  state.selected = id;
  split.dataset.view = id ? "detail" : "list";
  if (moved) {
    state.tab = "steps";
    state.open.clear();
    if (push) history.pushState({}, "", id ? `/sequences/${encodeURIComponent(id)}${location.search}` : `/sequences${location.search}`);
    if (!wide.matches) scrollTo(0, 0);
    else document.getElementById("detail").scrollTo(0, 0);
  }
  draw();
  if (moved && focus && !wide.matches) document.getElementById("detail").focus();
}

function choose() {
  if (state.selected && !selected() && !address()) state.selected = null;
  // With room for both, something is shown on the right: the liveliest sequence.
  if (!state.selected && wide.matches && state.sequences?.length) {
    state.selected = [...state.sequences].sort((a, b) => b.stats.running - a.stats.running || b.stats.sent - a.stats.sent)[0].id;
  }
}

async function refresh() {
  try {
    await Promise.all([loadSequences(), loadPipeline(), state.tab !== "steps" && state.selected && loadRows(state.tab)]);
    choose();
    draw();
  } catch (error) {
    toast(error.message, true);
  }
}

function back() {
  state.selected = null;
  history.pushState({}, "", `/sequences${location.search}`);
  split.dataset.view = "list";
  choose();
  draw();
}

const actions = actionsOf({ draw, select, refresh, back });

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

find.addEventListener("input", () => {
  state.words = find.value;
  drawList();
});

function move(by) {
  const shown = shownSequences();
  const at = shown.findIndex((each) => each.id === state.selected);
  const next = shown[Math.max(0, Math.min(shown.length - 1, at + by))];
  if (!next) return;
  select(next.id);
  document.querySelector(`#list [data-key="${CSS.escape(next.id)}"]`)?.focus();
}

function moveTab(by) {
  const all = [...document.querySelectorAll("[role=tab]")];
  const next = all[(all.findIndex((each) => each.dataset.tab === state.tab) + by + all.length) % all.length];
  actions.tab({ tab: next.dataset.tab });
  document.getElementById(next.id)?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "Escape" && event.target === find) {
    find.value = state.words = "";
    find.blur();
    return drawList();
  }
  const inList = event.target.closest("#list") || event.target === find || event.target === document.body;
  const keys = {
    ArrowDown: inList && (() => move(1)),
    ArrowUp: inList && (() => move(-1)),
    ArrowRight: event.target.role === "tab" && (() => moveTab(1)),
    ArrowLeft: event.target.role === "tab" && (() => moveTab(-1)),
    "/": !typing && (() => find.focus()),
    n: !typing && operator && actions["new-sequence"],
    e: !typing && selected()?.status === "active" && (operator || settings.role === "rep") && actions.enroll,
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

addEventListener("popstate", () => select(address(), { push: false }));
wide.addEventListener("change", () => {
  choose();
  split.dataset.view = state.selected && address() ? "detail" : "list";
  draw();
});

let stopLive = () => {};
function watch() {
  stopLive();
  stopLive = live(state.tenant, refresh);
}
addEventListener("pagehide", () => stopLive());

function drawTenants() {
  const box = document.getElementById("tenant-box");
  const choice = document.getElementById("tenant");
  if (settings.tenant || state.tenants.length < 2) return;
  choice.replaceChildren(h("option", { value: "" }, "All tenants"), ...state.tenants.map((each) => h("option", { value: each.id }, each.name)));
  choice.value = state.tenant;
  box.hidden = false;
  choice.addEventListener("change", () => {
    state.tenant = choice.value;
    history.replaceState({}, "", `/sequences${state.tenant ? `?tenant=${encodeURIComponent(state.tenant)}` : ""}`);
    state.selected = null;
    state.sequences = null;
    split.dataset.view = "list";
    draw();
    refresh();
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
  if (!settings.tenant && state.tenants.some((each) => each.id === wanted)) state.tenant = wanted;
  drawTenants();
  await refresh();
  watch();
}

start();

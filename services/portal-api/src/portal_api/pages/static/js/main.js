// Puts the Sequences page together.
import { actionsOf } from "./actions.js";
import { calmly } from "./calm.js";
import { drawDetail } from "./detail.js";
import { drawList } from "./list.js";
import { addressed, page, wide } from "./page.js";
import { drawPipeline } from "./pipeline.js";
import { split } from "./split.js";
import { loadPipeline, loadRows, loadSequences, operator, selected, settings, state } from "./state.js";
import { toast } from "./toast.js";

const HOME = "/sequences";
const find = document.getElementById("find");

function draw() {
  drawList();
  drawDetail();
  drawPipeline();
}
const drawSoon = calmly(draw);

function choose() {
  if (state.selected && !selected() && !addressed(HOME)) state.selected = null;
  // With room for both, something is shown on the right: the liveliest sequence.
  if (!state.selected && wide.matches && state.sequences?.length) {
    state.selected = [...state.sequences].sort((a, b) => b.stats.running - a.stats.running || b.stats.sent - a.stats.sent)[0].id;
  }
}

async function refresh() {
  try {
    state.failed = null;
    await Promise.all([loadSequences(), loadPipeline(), state.tab !== "steps" && state.selected && loadRows(state.tab)]);
    choose();
  } catch (error) {
    state.failed = error.message;
    toast(error.message, true);
  }
  drawSoon();
}

const { select, back: left, view } = split({
  home: HOME, state, draw,
  moved: () => {
    state.tab = "steps";
    state.open.clear();
  },
});

function back() {
  left();
  choose();
  draw();
}

const actions = actionsOf({ draw, select, refresh, back });

find.addEventListener("input", () => {
  state.words = find.value;
  drawList();
});

function clear() {
  find.value = state.words = "";
  find.blur();
  drawList();
}

function moveTab(by) {
  const all = [...document.querySelectorAll("[role=tab]")];
  const next = all[(all.findIndex((each) => each.dataset.tab === state.tab) + by + all.length) % all.length];
  actions.tab({ tab: next.dataset.tab });
  document.getElementById(next.id)?.focus();
}

const keys = ({ target }, typing) => ({
  Escape: target === find && clear,
  ArrowRight: target.role === "tab" && (() => moveTab(1)),
  ArrowLeft: target.role === "tab" && (() => moveTab(-1)),
  "/": !typing && (() => find.focus()),
  n: !typing && operator && actions["new-sequence"],
  e: !typing && selected()?.status === "active" && (operator || settings.role === "rep") && actions.enroll,
});

wide.addEventListener("change", () => {
  choose();
  view();
  if (!addressed(HOME)) document.getElementById("split").dataset.view = "list";
  draw();
});

function another() {
  Object.assign(state, { selected: null, sequences: null });
  view();
}

page({ home: HOME, actions, keys, chosen: select, draw, another, refresh });

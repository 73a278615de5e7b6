// Puts the Incidents page together.
import { calmly } from "./calm.js";
import { drawDetail, drawList, drawStates } from "./incident-draw.js";
import { editIncident, openIncident, resumeIncident, takeBack, verifyIncident } from "./incident-forms.js";
import { loadItems, loadKinds, loadSelected, selected, state } from "./incident-state.js";
import { page, place, wide } from "./page.js";
import { split } from "./split.js";
import { loadSequences, operator } from "./state.js";
import { toast } from "./toast.js";

const HOME = "/incidents";

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
    await loadSelected().catch((error) => {
      if (error.status !== 404) throw error;
      state.full = null;
    });
  } catch (error) {
    state.failed = error.message;
    toast(error.message, true);
  }
  drawSoon();
}

const { select, back, view } = split({
  home: HOME, state, draw,
  moved: () => {
    loadSelected().then(drawSoon).catch((error) => toast(error.message, true));
  },
});

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
  back,
  states: async ({ state: wanted }) => {
    Object.assign(state, { shown: wanted, items: null, selected: null });
    history.replaceState({}, "", place(HOME));
    draw();
    await refresh();
  },
  more: () => loadItems({ more: true }).then(draw),
  open: () => openIncident(shown),
  edit: () => editIncident(selected(), shown),
  verify: () => verifyIncident(selected(), shown),
  "take-back": () => takeBack(selected(), shown),
  resume: () => resumeIncident(selected(), shown),
};

const keys = (_event, typing) => ({ n: !typing && operator && actions.open });

function another() {
  Object.assign(state, { items: null, selected: null, full: null, preview: null });
  view();
  loadSequences().then(drawSoon);
}

async function begin() {
  await Promise.all([loadSequences(), loadKinds()]).catch((error) => toast(error.message, true));
  await refresh();
  if (state.full && state.full.state !== state.shown) {
    state.shown = state.full.state;
    await refresh();
  }
}

page({ home: HOME, actions, keys, chosen: select, draw, another, refresh, begin });

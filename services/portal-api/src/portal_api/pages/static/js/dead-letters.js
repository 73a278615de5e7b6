// Puts the page of dead letters together.
import { api, path } from "./api.js";
import { calmly } from "./calm.js";
import { drawDetail, drawList, drawStates } from "./letter-draw.js";
import { discard, replay } from "./letter-forms.js";
import { idOf, loadItems, loadLetters, loadOpen, running, selected, shownGroups, state } from "./letter-state.js";
import { page, place, wide } from "./page.js";
import { split } from "./split.js";
import { toast } from "./toast.js";

const HOME = "/dead-letters";
const LOOK_MS = 700;

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
    const first = shownGroups()[0];
    if (!state.selected && wide.matches && first) state.selected = idOf(first);
    await loadLetters();
  } catch (error) {
    state.failed = error.message;
    toast(error.message, true);
  }
  drawSoon();
  follow();
}

// A run is the portal's own: no event tells of each batch of it.
let timer = 0;
function follow() {
  clearTimeout(timer);
  if (running().length && !document.hidden) timer = setTimeout(refresh, LOOK_MS);
}

const { select, back, view } = split({
  home: HOME, state, draw,
  moved: () => {
    state.open = null;
    loadLetters().then(drawSoon).catch((error) => toast(error.message, true));
  },
});

function done(said) {
  toast(said);
  refresh();
}
const act = (form, ids = null) => {
  const group = selected();
  if (group && (ids || group.open)) form(group, ids, done);
};

async function states({ state: wanted }) {
  Object.assign(state, { shown: wanted, selected: null, letters: null, open: null });
  history.replaceState({}, "", place(HOME));
  view();
  draw();
  await refresh();
}

async function look({ id }) {
  state.open = state.open?.id === id ? null : { id };
  draw();
  if (!state.open) return;
  await loadOpen(id);
  draw();
}

const actions = {
  select: ({ id }) => select(id, { focus: true }),
  back,
  states,
  look,
  more: () => loadItems({ more: true }).then(draw),
  older: () => loadLetters({ more: true }).then(draw),
  replay: () => act(replay),
  discard: () => act(discard),
  one: ({ id }) => act(replay, [id]),
  cancel: async ({ id }) => {
    await api(`${path("dead-letters", "runs", id)}/cancel`, { method: "POST", body: {} });
    toast("Stopped. What was done stays done.");
    await refresh();
  },
};

const keys = (_event, typing) => ({ r: !typing && actions.replay, d: !typing && actions.discard });

function another() {
  Object.assign(state, { items: null, selected: null, letters: null, open: null, runs: [] });
  view();
}

page({ home: HOME, actions, keys, chosen: select, draw, another, refresh });

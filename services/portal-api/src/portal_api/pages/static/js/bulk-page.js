// Puts the page of bulk runs together.
import { api, path } from "./api.js";
import { anyBulk } from "./bulk.js";
import { drawDetail, drawList } from "./bulk-page-draw.js";
import { allowed, loadItems, loadSelected, selected, sequencesFor, state } from "./bulk-state.js";
import { calmly } from "./calm.js";
import { page, wide } from "./page.js";
import { split } from "./split.js";
import { loadSequences } from "./state.js";
import { toast } from "./toast.js";

const HOME = "/bulk";
const LOOK_MS = 700;

function draw() {
  drawList();
  drawDetail();
}
const drawSoon = calmly(draw);

async function refresh() {
  try {
    state.failed = null;
    await loadItems();
    if (!state.selected && wide.matches) state.selected = state.items[0]?.id ?? null;
    await loadSelected().catch((error) => {
      if (error.status !== 404) throw error;
      state.full = null;
    });
  } catch (error) {
    state.failed = error.message;
    toast(error.message, true);
  }
  drawSoon();
  follow();
}

// The rows of a job are the portal's own: no event tells of each batch that is sent.
let timer = 0;
function follow() {
  clearTimeout(timer);
  const job = selected();
  if (job && !job.finished_at && !document.hidden) timer = setTimeout(refresh, LOOK_MS);
}

const { select, back, view } = split({
  home: HOME, state, draw,
  moved: () => {
    loadSelected().then(drawSoon).then(follow).catch((error) => toast(error.message, true));
  },
});

const actions = {
  select: ({ id }) => select(id, { focus: true }),
  back,
  more: () => loadItems({ more: true }).then(draw),
  new: () => anyBulk({
    actions: allowed, sequencesFor,
    started: (job) => {
      toast("It is under way.");
      state.full = job;
      state.lists = null;
      select(job.id);
      refresh();
    },
  }),
  cancel: async () => {
    const answer = await api(path("bulk", state.selected, "cancel"), { method: "POST", body: {} });
    toast(`${answer.not_sent} not sent; ${answer.sent} had been sent.`);
    await refresh();
  },
};

const keys = (_event, typing) => ({ n: !typing && allowed.length > 0 && actions.new });

function another() {
  Object.assign(state, { items: null, selected: null, full: null, lists: null });
  view();
  loadSequences().then(drawSoon);
}

async function begin() {
  document.getElementById("new").hidden = !allowed.length;
  await loadSequences().catch((error) => toast(error.message, true));
  await refresh();
}

page({ home: HOME, actions, keys, chosen: select, draw, another, refresh, begin });

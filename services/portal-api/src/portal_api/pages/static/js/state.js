// What the page knows, and the one way to ask for it again.
import { api, path } from "./api.js";

export const settings = JSON.parse(document.getElementById("settings").textContent);
export const operator = ["admin", "ops"].includes(settings.role);

export const state = {
  tenants: [],
  tenant: settings.tenant ?? "",
  sequences: null,
  failed: null,
  selected: null,
  tab: "steps",
  words: "",
  pipeline: null,
  open: new Set(),
  pages: { people: null, messages: null },
  versions: { id: null, items: [] },
  jobs: { id: null, items: [] },
};

export const selected = () => state.sequences?.find((each) => each.id === state.selected) ?? null;
export const tenantOf = (id) => state.tenants.find((each) => each.id === id);

const query = () => (state.tenant ? `?tenant=${encodeURIComponent(state.tenant)}` : "");

export async function loadTenants() {
  state.tenants = (await api("/tenants")).items;
}

export async function loadSequences() {
  state.sequences = (await api(`/sequences${query()}`)).items;
}

// The median is dearer to find than the counts, and changes slowly.
const MEDIAN_MS = 10000;
let median = { tenant: null, at: 0, value: null };

export async function loadPipeline() {
  const { tenant } = state;
  const stale = median.tenant !== tenant || Date.now() - median.at > MEDIAN_MS;
  const answer = await api(`/pipeline${query() || "?"}&latency=${stale}`);
  if (stale) median = { tenant, at: Date.now(), value: answer.latency_ms };
  if (tenant === state.tenant) state.pipeline = { ...answer, latency_ms: median.value };
}

const KINDS = { people: "enrollments", messages: "messages" };

// The first page again, or one more; a live update keeps as many rows as were shown.
export async function loadRows(tab, { more = false } = {}) {
  const id = state.selected;
  const held = state.pages[tab];
  const keep = held?.id === id ? held : { id, items: [], next: null };
  const limit = more ? 50 : Math.min(200, Math.max(50, keep.items.length));
  const cursor = more && keep.next ? `&cursor=${encodeURIComponent(keep.next)}` : "";
  const [answer] = await Promise.all([
    api(`${path("sequences", id, KINDS[tab])}?limit=${limit}${cursor}`),
    tab === "people" && loadBulk(id),
  ]);
  if (state.selected !== id) return;
  state.pages[tab] = { id, items: more ? [...keep.items, ...answer.items] : answer.items, next: answer.next };
}

// How many are on which version, and what was last done to many of them.
export async function loadBulk(id) {
  const [versions, jobs] = await Promise.all([
    api(path("sequences", id, "versions")),
    api(`/bulk?limit=1&sequence_id=${encodeURIComponent(id)}`),
  ]);
  if (state.selected !== id) return;
  state.versions = { id, items: versions.items };
  state.jobs = { id, items: jobs.items };
}

export function put(sequence) {
  if (!sequence?.steps || !state.sequences) return;
  const at = state.sequences.findIndex((each) => each.id === sequence.id);
  if (at < 0) state.sequences.push(sequence);
  else state.sequences[at] = sequence;
  state.sequences.sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
}

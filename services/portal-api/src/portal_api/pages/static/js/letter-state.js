// What the page of dead letters knows, and the one way to ask for it again.
import { api, path } from "./api.js";
import { state as shared, tenantOf } from "./state.js";

export const state = { items: null, failed: null, next: null, shown: "open", selected: null, letters: null, open: null, runs: [] };

export const idOf = (group) => `${group.service} ${group.cause}`;
export const nameOfTenant = (id) => tenantOf(id)?.name ?? id;
// What is there to be done, or what was done about it.
const shows = (group) => (state.shown === "open" ? group.open > 0 : group.replayed + group.discarded > 0);
export const shownGroups = () => (state.items ?? []).filter(shows);
export const selected = () => state.items?.find((each) => idOf(each) === state.selected) ?? null;
export const running = () => state.runs.filter((each) => !each.finished_at);

function query(given) {
  const found = new URLSearchParams(Object.entries(given).filter(([, value]) => value));
  if (shared.tenant) found.set("tenant", shared.tenant);
  return found;
}
// What is shown stays shown: a live update asks for as much as there is.
const many = (held, more) => String(Math.min(200, Math.max(50, more ? 50 : held ?? 50)));

export async function loadItems({ more = false } = {}) {
  const { tenant } = shared;
  const limit = many(state.items?.length, more);
  const [answer, runs] = await Promise.all([
    api(`/dead-letters/groups?${query({ limit, cursor: more && state.next })}`),
    api(`/dead-letters/runs?${query({ limit: "8" })}`),
  ]);
  if (tenant !== shared.tenant) return;
  state.items = more ? [...state.items, ...answer.items] : answer.items;
  state.next = answer.next;
  state.runs = runs.items;
}

export async function loadLetters({ more = false } = {}) {
  const group = selected();
  if (!group) return;
  const { shown, selected: id } = state;
  const key = `${shown} ${id}`;
  const held = state.letters?.key === key ? state.letters : null;
  const answer = await api(`/dead-letters?${query({
    service: group.service, reason: group.cause, limit: many(held?.items.length, more),
    cursor: more && held?.next, state: shown === "open" && "open",
  })}`);
  if (state.selected !== id || state.shown !== shown) return;
  const items = answer.items.filter((each) => shown === "open" || each.state !== "open");
  state.letters = { key, items: more && held ? [...held.items, ...items] : items, next: answer.next };
}

export async function loadOpen(id) {
  const letter = await api(path("dead-letters", id));
  if (state.open?.id === id) state.open = letter;
}

// What the page of bulk runs knows, and the one way to ask for it again.
import { api, path } from "./api.js";
import { firstItems } from "./bulk.js";
import { operator, settings, state as shared, tenantOf } from "./state.js";

export const state = { items: null, failed: null, next: null, selected: null, full: null, lists: null };

export const selected = () => (state.full?.id === state.selected ? state.full : state.items?.find((each) => each.id === state.selected) ?? null);
export const nameOfSequence = (id) => shared.sequences?.find((each) => each.id === id)?.name ?? id;
export const nameOfTenant = (id) => tenantOf(id)?.name ?? id;

// What one may do to many: a rep enrolls.
export const allowed = operator ? ["enroll", "pause", "resume", "stop", "migrate"] : settings.role === "rep" ? ["enroll"] : [];
export const sequencesFor = (action) => (shared.sequences ?? [])
  .filter((each) => action !== "enroll" || each.status === "active")
  .map((each) => (shared.tenants.length > 1 && !shared.tenant ? { ...each, name: `${each.name} · ${nameOfTenant(each.tenant_id)}` } : each));

export async function loadItems({ more = false } = {}) {
  // What is shown stays shown: a live update asks for as much as there is.
  const limit = String(Math.min(200, Math.max(50, more ? 50 : state.items?.length ?? 50)));
  const query = new URLSearchParams({ limit });
  if (shared.tenant) query.set("tenant", shared.tenant);
  if (more && state.next) query.set("cursor", state.next);
  const answer = await api(`/bulk?${query}`);
  state.items = more ? [...state.items, ...answer.items] : answer.items;
  state.next = answer.next;
}

export async function loadSelected() {
  const id = state.selected;
  if (!id) return;
  const [full, lists] = await Promise.all([api(path("bulk", id)), firstItems(id, "state")]);
  if (state.selected === id) Object.assign(state, { full, lists });
}

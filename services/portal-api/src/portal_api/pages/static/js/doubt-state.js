// What the page of messages in doubt knows, and the one way to ask for it again.
import { api } from "./api.js";
import { state as shared, tenantOf } from "./state.js";

export const state = { items: null, failed: null, next: null, shown: "open", selected: null };

export const selected = () => state.items?.find((each) => each.id === state.selected) ?? null;
export const nameOfTenant = (each) => tenantOf(each.tenant_id)?.name ?? each.tenant_id;

const LISTS = { open: "/messages?state=unknown&", settled: "/messages/settled?" };

export async function loadItems({ more = false } = {}) {
  const { shown } = state;
  // What is shown stays shown: a live update asks for as much as there is.
  const limit = String(Math.min(200, Math.max(50, more ? 50 : state.items?.length ?? 50)));
  const query = new URLSearchParams({ limit });
  if (shared.tenant) query.set("tenant_id", shared.tenant);
  if (more && state.next) query.set("cursor", state.next);
  const answer = await api(`${LISTS[shown]}${query}`);
  if (shown !== state.shown) return;
  const items = more ? [...state.items, ...answer.items] : answer.items;
  // One tenant's beside one another; the order within is the API's.
  state.items = items.sort((a, b) => nameOfTenant(a).localeCompare(nameOfTenant(b)) || a.tenant_id.localeCompare(b.tenant_id));
  state.next = answer.next;
}

// What the Sync page knows, and the one way to ask for it again.
import { api } from "./api.js";
import { state as shared, tenantOf } from "./state.js";

export const state = { items: null, failed: null, next: null, shown: "", accounts: [] };
export const several = () => shared.tenants.length > 1 && !shared.tenant;
export const nameOfTenant = (id) => tenantOf(id)?.name ?? id;

export async function loadItems({ more = false } = {}) {
  const { shown } = state;
  const { tenant } = shared;
  // What is shown stays shown: a live update asks for as much as there is.
  const limit = String(Math.min(200, Math.max(50, more ? 50 : state.items?.length ?? 50)));
  const given = { limit, result: shown, tenant_id: tenant, cursor: more && state.next };
  const query = new URLSearchParams(Object.entries(given).filter(([, value]) => value));
  const [answer, accounts] = await Promise.all([
    api(`/sync/runs?${query}`),
    api(`/sync/accounts${tenant ? `?tenant_id=${encodeURIComponent(tenant)}` : ""}`),
  ]);
  if (shown !== state.shown || tenant !== shared.tenant) return;
  state.items = more ? [...state.items, ...answer.items] : answer.items;
  state.next = answer.next;
  state.accounts = accounts.items;
}

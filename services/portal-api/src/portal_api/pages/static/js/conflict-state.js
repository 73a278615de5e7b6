// What the Sync page knows of conflicts, and the one way to ask for them again.
import { api, path } from "./api.js";
import { state as shared } from "./state.js";

export const conflicts = { items: null, failed: null, next: null, shown: "open", open: 0 };
export const conflictOf = (id) => conflicts.items?.find((each) => each.event_id === id) ?? null;

export async function loadConflicts({ more = false } = {}) {
  const { shown } = conflicts;
  const { tenant } = shared;
  // Few at a time: what was written into the CRMs is below. What is shown stays shown.
  const limit = String(Math.min(200, Math.max(5, more ? 50 : conflicts.items?.length ?? 5)));
  const given = { conflict: "true", acknowledged: String(shown === "done"), limit, tenant_id: tenant, cursor: more && conflicts.next };
  const query = new URLSearchParams(Object.entries(given).filter(([, value]) => value));
  const answer = await api(`/crm-changes?${query}`);
  if (shown !== conflicts.shown || tenant !== shared.tenant) return;
  conflicts.items = more ? [...conflicts.items, ...answer.items] : answer.items;
  conflicts.next = answer.next;
  conflicts.open = answer.open_conflicts;
}

export const acknowledge = (id, reason) => api(`${path("crm-changes", id)}/acknowledge`, { method: "POST", body: { reason } });

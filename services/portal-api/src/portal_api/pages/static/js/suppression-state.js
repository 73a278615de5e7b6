// What the Suppression page knows, and the one way to ask for it again.
import { api } from "./api.js";
import { settings, state as shared } from "./state.js";

export const state = { items: null, failed: null, next: null, imports: [], asked: { address: "", channel: "", reason: "", state: "active" } };

export const REASONS = {
  opt_out: "Opted out", provider_opt_out: "Opted out at the provider", complaint: "Complained",
  hard_bounce: "Bounced for good", soft_bounces: "Bounced again and again", manual: "By hand",
};
export const OWN_WORD = new Set(["opt_out", "provider_opt_out", "complaint"]);

function query(more = {}) {
  const given = { ...state.asked, ...more };
  const found = new URLSearchParams(Object.entries(given).filter(([, value]) => value));
  if (shared.tenant) found.set("tenant", shared.tenant);
  return found;
}

export async function loadItems({ more = false } = {}) {
  const asked = JSON.stringify(state.asked);
  // What is shown stays shown: a live update asks for as much as there is.
  const limit = String(Math.min(200, Math.max(50, more ? 50 : state.items?.length ?? 50)));
  const answer = await api(`/suppressions?${query({ limit, cursor: more ? state.next : "" })}`);
  if (asked !== JSON.stringify(state.asked)) return;
  state.items = more ? [...state.items, ...answer.items] : answer.items;
  state.next = answer.next;
}

export async function loadImports() {
  const tenant = shared.tenant ? `&tenant=${encodeURIComponent(shared.tenant)}` : "";
  state.imports = (await api(`/suppressions/imports?limit=3${tenant}`)).items;
}

// A list is one tenant's: nowhere to export from while several are shown.
export function exportAddress() {
  const tenant = settings.tenant || shared.tenant || (shared.tenants.length === 1 && shared.tenants[0].id);
  if (!tenant) return "";
  const asked = [...query()].filter(([name]) => ["channel", "state"].includes(name));
  return `/api/v1/suppressions/export?${new URLSearchParams([["tenant", tenant], ...asked])}`;
}

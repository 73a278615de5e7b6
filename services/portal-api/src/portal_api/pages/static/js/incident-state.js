// What the Incidents page knows, and the one way to ask for it again.
import { api, path } from "./api.js";
import { CHANNELS, sentence } from "./format.js";
import { state as shared, tenantOf } from "./state.js";

export const state = { items: null, failed: null, next: null, shown: "open", selected: null, full: null, preview: null, previewOf: null, kinds: [] };

export const selected = () => (state.full?.id === state.selected ? state.full : state.items?.find((each) => each.id === state.selected) ?? null);

export async function loadKinds() {
  state.kinds = (await api("/incidents/kinds")).items;
}

export async function loadItems({ more = false } = {}) {
  // What is shown stays shown: a live update asks for as much as there is.
  const limit = String(Math.min(200, Math.max(50, more ? 50 : state.items?.length ?? 50)));
  const query = new URLSearchParams({ state: state.shown, limit });
  if (shared.tenant) query.set("tenant", shared.tenant);
  if (more && state.next) query.set("cursor", state.next);
  const shown = state.shown;
  const answer = await api(`/incidents?${query}`);
  if (shown !== state.shown) return;
  state.items = more ? [...state.items, ...answer.items] : answer.items;
  state.next = answer.next;
}

export async function loadSelected() {
  const id = state.selected;
  if (!id) return;
  const full = await api(path("incidents", id));
  const preview = full.state === "open" ? await api(`${path("incidents", id)}/preview`) : null;
  if (state.selected !== id) return;
  Object.assign(state, { full, preview, previewOf: id });
}

const nameOfTenant = (id) => tenantOf(id)?.name ?? id;
export const nameOfSequence = (id) => shared.sequences?.find((each) => each.id === id)?.name ?? id;
const several = () => shared.tenants.length > 1;

// channel:acme:sms in words: "SMS of Acme Roofing"
export function scopeWords(scope) {
  const [kind, tenant, ...rest] = scope.split(":");
  if (kind === "everything") return "Everything";
  if (kind === "provider") return `Everything sent over ${tenant}`;
  if (kind === "tenant") return `All of ${nameOfTenant(tenant)}`;
  const name = kind === "channel" ? CHANNELS[rest[0]] ?? sentence(rest[0]) : nameOfSequence(rest.join(":"));
  return several() ? `${name} of ${nameOfTenant(tenant)}` : name;
}

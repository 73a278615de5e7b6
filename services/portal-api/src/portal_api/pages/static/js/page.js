// What every page of the staff does alike: its buttons and keys act, its list is walked through, its
// tenant is chosen, and it hears of changes.
import { h } from "./dom.js";
import { live } from "./live.js";
import { loadTenants, operator, settings, state as shared } from "./state.js";
import { toast } from "./toast.js";

export const wide = matchMedia("(min-width: 761px)");
export const place = (home, id = null) => `${home}${id ? `/${encodeURIComponent(id)}` : ""}${location.search}`;
export const addressed = (home) => (location.pathname.startsWith(`${home}/`) ? decodeURIComponent(location.pathname.slice(home.length + 1)) : null);

function switchTheme() {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const next = dark ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
}

async function signOut() {
  await fetch("/logout", { method: "POST", headers: { "X-Leadflow": "page" } });
  location.assign("/login");
}

function press(actions) {
  document.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-action]");
    if (!target || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    if (target.getAttribute("aria-busy") === "true") return;
    target.setAttribute("aria-busy", "true");
    try {
      await actions[target.dataset.action]({ ...target.dataset });
    } catch (error) {
      toast(error.message, true);
    } finally {
      target.removeAttribute("aria-busy");
    }
  });
}

// What is walked through: the list of the page, and what is above it.
const ROWS = ":is(#conflicts, #list) .item[data-id]";

// From the row that has the focus, else from the one that is shown.
function walk(by, chosen) {
  const rows = [...document.querySelectorAll(ROWS)];
  const focused = rows.indexOf(document.activeElement?.closest(ROWS));
  const at = focused >= 0 ? focused : rows.findIndex((each) => each.getAttribute("aria-current") === "true");
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
  if (!next) return;
  const { key } = next.dataset;
  chosen?.(next.dataset.id);
  document.querySelector(`:is(#conflicts, #list) [data-key="${CSS.escape(key)}"]`)?.focus();
}

// `keys` gives what a key does, false where it does nothing now.
function listen(keys, chosen) {
  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    const typing = target.closest("input, textarea, select") !== null;
    const walking = target === document.body || target.id === "find" || target.closest("#conflicts, #list") !== null;
    const does = {
      ArrowDown: walking && (() => walk(1, chosen)),
      ArrowUp: walking && (() => walk(-1, chosen)),
      ...keys(event, typing),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
}

function drawTenants(home, changed) {
  const choice = document.getElementById("tenant");
  if (settings.tenant || shared.tenants.length < 2) return;
  choice.replaceChildren(h("option", { value: "" }, "All tenants"), ...shared.tenants.map((each) => h("option", { value: each.id }, each.name)));
  choice.value = shared.tenant;
  document.getElementById("tenant-box").hidden = false;
  choice.addEventListener("change", () => {
    shared.tenant = choice.value;
    history.replaceState({}, "", `${home}${shared.tenant ? `?tenant=${encodeURIComponent(shared.tenant)}` : ""}`);
    changed();
  });
}

// `chosen` shows the row that was walked to; `another` forgets what was another tenant's; `refresh`
// asks for everything again and draws it.
export async function page({ home, actions, keys = () => ({}), chosen = null, draw, another, refresh, begin = refresh }) {
  let stop = () => {};
  const watch = () => {
    stop();
    stop = live(shared.tenant, refresh);
  };
  addEventListener("pagehide", () => stop());
  press({ theme: switchTheme, "sign-out": signOut, refresh, ...actions });
  listen(keys, chosen);
  for (const each of document.querySelectorAll("[data-operators]")) each.hidden = !operator;
  document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  draw();
  await loadTenants().catch((error) => toast(error.message, true));
  const wanted = new URLSearchParams(location.search).get("tenant");
  if (!settings.tenant && shared.tenants.some((each) => each.id === wanted)) shared.tenant = wanted;
  drawTenants(home, () => {
    another();
    draw();
    refresh();
    watch();
  });
  await begin();
  watch();
}

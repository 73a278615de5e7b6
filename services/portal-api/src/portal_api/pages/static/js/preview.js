// A template as a lead would get it, and a test of it to one's own mailbox.
import { api } from "./api.js";
import { field, select } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { toast } from "./toast.js";

const NOBODY = ["", "Somebody of whom nothing is known"];
const PAUSE_MS = 350;
const TRIES = 40;
const FINAL = ["sent", "failed", "unknown", "suppressed", "held"];

// `read` gives {channel, subject, body, body_html} as they are written now.
export function previewer({ tenant, read, mayTest }) {
  const out = h("div", { class: "shown", "aria-live": "polite" });
  const mail = h("div", {});
  const who = select("preview_lead", [NOBODY], "");
  const test = h("button", { class: "button small", type: "button" }, "Send me a test");
  const root = h("details", { class: "extra see" },
    h("summary", {}, "See it as a lead would get it"),
    h("div", {}, field("Shown to", who), out, mail, mayTest && test));
  let timer = 0;
  let asked = 0;
  let framed = "";
  const body = () => ({ ...read(), tenant_id: tenant, lead_id: who.value || null });

  async function show() {
    asked += 1;
    const mine = asked;
    let found;
    try {
      found = await api("/templates/preview", { method: "POST", body: body() });
    } catch (error) {
      found = { refused: { detail: error.message }, missing: [], warnings: [] };
    }
    if (mine === asked) draw(found);
  }

  function draw(found) {
    const html = found.html ?? "";
    if (html !== framed) {
      // A new frame each time: Chromium paints nothing in one that was hidden before. Nothing runs
      // in it, and nothing is loaded from anywhere: the page's policy holds there, too.
      const srcdoc = `<!doctype html><meta charset="utf-8"><body>${html}`;
      mail.replaceChildren(...(html ? [h("iframe", { class: "mail", sandbox: true, srcdoc, title: "The e-mail as it would look" })] : []));
      framed = html;
    }
    test.hidden = body().channel !== "email";
    sprout(out,
      found.refused && h("p", { class: "wrong" }, `Nothing would go out: ${found.refused.detail}.`),
      found.missing.length > 0 && h("p", { class: "wrong" }, `It would be held: there is no ${found.missing.join(", ")}, and no fallback.`),
      found.warnings.map((each) => h("p", { class: "note" }, each)),
      found.subject && h("p", { class: "subject" }, found.subject),
      !html && found.text && h("p", { class: "preview open" }, found.text));
  }

  async function send() {
    test.setAttribute("aria-busy", "true");
    try {
      const sent = await api("/templates/test-send", { method: "POST", body: { ...body(), to: null } });
      toast(`A test to ${sent.to} is on its way.`);
      follow(sent, TRIES);
    } catch (error) {
      toast(error.message, true);
    } finally {
      test.removeAttribute("aria-busy");
    }
  }

  async function follow(sent, left) {
    const now = await api(`/templates/test-sends/${sent.message_id}`).catch(() => null);
    if (now && FINAL.includes(now.state)) {
      const why = now.reason || now.rule;
      toast(now.state === "sent" ? `The test to ${sent.to} is sent.` : `The test is ${now.state}${why ? `: ${why}` : ""}.`, now.state !== "sent");
    } else if (left > 0) setTimeout(() => follow(sent, left - 1), 1000);
  }

  async function leads() {
    const { items } = await api(`/leads?limit=25&tenant=${encodeURIComponent(tenant)}`).catch(() => ({ items: [] }));
    const known = items.map((each) => [each.lead_id, [each.first_name, each.last_name].filter(Boolean).join(" ") || each.email || each.phone || each.lead_id]);
    who.replaceChildren(...select("", [NOBODY, ...known], known[0]?.[0] ?? "").children);
  }

  root.addEventListener("toggle", async () => {
    if (!root.open) return;
    if (who.options.length === 1) await leads();
    show();
  });
  who.addEventListener("change", show);
  test.addEventListener("click", send);
  return {
    root,
    changed() {
      clearTimeout(timer);
      if (root.open) timer = setTimeout(show, PAUSE_MS);
    },
  };
}

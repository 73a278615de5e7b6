// Choose leads, enroll them, and see what the sequencer said about each. Many go by a filter.
import { api, path } from "./api.js";
import { dialog } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { plural, sentence, words } from "./format.js";

const PAUSE_MS = 200;
const WAIT_SECONDS = 4;

export function enroll(sequence, done, many) {
  const chosen = new Map();
  const answers = new Map();
  let leads = null;
  let asked = 0;
  const found = h("div", { class: "pick", role: "group", "aria-label": "Leads" });
  const find = h("input", { type: "search", placeholder: "Name, company, e-mail or number", autofocus: true, "aria-label": "Find leads", autocomplete: "off" });
  const all = h("button", { class: "button small", type: "button" }, "Everybody who fits…");
  const { form, button, node } = dialog({
    title: `Enroll leads in ${sequence.name}`,
    body: [h("div", { class: "find-row" }, find, all), found],
    submit: "Enroll",
    work: async (_form, { refuse }) => {
      if (!chosen.size) {
        refuse("Choose at least one lead.");
        return false;
      }
      const answer = await api(path("sequences", sequence.id, "enroll"), { method: "POST", body: { lead_ids: [...chosen.keys()] }, wait: WAIT_SECONDS });
      const refused = answer.results.filter((each) => each.state === "refused");
      const taken = answer.results.length - refused.length;
      done(`${plural(taken, "lead")} ${taken === 1 ? "is" : "are"} ${answer.results.some((each) => each.state === "requested") ? "on the way in" : "enrolled"}.`, taken > 0);
      if (!refused.length) return true;
      for (const each of answer.results) {
        answers.set(each.lead_id, each);
        chosen.delete(each.lead_id);
      }
      draw();
      refuse(`${plural(refused.length, "lead was", "leads were")} refused: ${[...new Set(refused.map((each) => words(each.reason)))].join(", ")}.`);
      return false;
    },
  });

  function draw() {
    button.textContent = chosen.size ? `Enroll ${plural(chosen.size, "lead")}` : "Enroll";
    if (leads === null) return sprout(found, h("div", { class: "empty" }, h("p", {}, "Looking…")));
    if (!leads.length) return sprout(found, h("div", { class: "empty" }, h("h3", {}, "No lead fits"), h("p", {}, "Only active leads of this tenant can be enrolled.")));
    sprout(found, leads.map((lead) => {
      const answer = answers.get(lead.lead_id);
      const name = [lead.first_name, lead.last_name].filter(Boolean).join(" ") || lead.email || lead.phone || "Unknown lead";
      return h("label", { "data-key": lead.lead_id },
        h("input", { type: "checkbox", value: lead.lead_id, name: "lead" }),
        h("span", {}, h("b", {}, name), h("small", {}, [lead.email ?? lead.phone, lead.service, lead.stage && `stage ${lead.stage}`].filter(Boolean).join(" · "))),
        answer ? h("span", { class: `badge ${answer.state}`, title: words(answer.reason) }, answer.state === "refused" ? sentence(answer.reason) : sentence(answer.state)) : lead.temperature && h("span", { class: "badge" }, lead.temperature));
    }));
    for (const box of found.querySelectorAll("input")) box.checked = chosen.has(box.value);
  }

  async function look() {
    asked += 1;
    const mine = asked;
    const query = new URLSearchParams({ tenant: sequence.tenant_id, status: "active", limit: "50" });
    if (find.value.trim()) query.set("q", find.value.trim());
    const answer = await api(`/leads?${query}`);
    if (mine !== asked) return;
    leads = answer.items;
    draw();
  }

  all.addEventListener("click", () => {
    node.close();
    many();
  });
  let timer = 0;
  find.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  found.addEventListener("change", (event) => {
    if (event.target.checked) chosen.set(event.target.value, true);
    else chosen.delete(event.target.value);
    draw();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === find) event.preventDefault();
  });
  draw();
  look();
}

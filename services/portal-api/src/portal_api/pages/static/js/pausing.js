// To pause a sequence, and to let it go on: the same incident that the Incidents page shows.
import { api, path } from "./api.js";
import { dialog, field, select } from "./dialog.js";
import { h } from "./dom.js";
import { sentence } from "./format.js";
import { previewOf, resume, said } from "./resume.js";

const KINDS = ["data_quality", "delivery", "compliance", "privacy", "credential", "webhook", "import", "freshness"];

export function pauseSequence(sequence, done) {
  dialog({
    title: `Pause ${sequence.name}?`, submit: "Pause", narrow: true,
    body: [
      h("p", {}, "Nothing of it goes out until somebody has verified that it may. What is due meanwhile waits."),
      field("Reason", h("input", { name: "reason", maxlength: 300, placeholder: "Wrong price in step 2", autofocus: true }), "optional"),
      field("Kind of incident", select("kind", KINDS.map((each) => [each, sentence(each)]), "data_quality")),
    ],
    work: async ({ elements }) => {
      const body = { status: "paused", kind: elements.kind.value, reason: elements.reason.value.trim() || undefined };
      done(await api(path("sequences", sequence.id), { method: "PUT", body }), "Paused. What is due waits.");
    },
  });
}

export async function resumeSequence(sequence, done) {
  const scope = `sequence:${sequence.tenant_id}:${sequence.id}`;
  const { items } = await api(`/incidents?state=open&scope=${encodeURIComponent(scope)}`);
  const tasks = items.filter((each) => each.verification.status === "open").map((each) => each.verification.task);
  resume({
    title: `Resume ${sequence.name}?`,
    text: tasks.length ? `To verify first: ${tasks.join(" ")}` : null,
    preview: previewOf(scope),
    nameOf: () => sequence.name,
    more: tasks.length ? [field("What you saw", h("input", { name: "verified", maxlength: 300, required: true, "data-missing": "Say what you verified.", placeholder: "The price is right now" }))] : [],
    work: async ({ rate, form }) => {
      const verified = form.elements.verified?.value.trim() || undefined;
      const answer = await api(path("sequences", sequence.id), { method: "PUT", body: { status: "active", verified, rate_per_minute: rate } });
      done(answer, said(answer.release));
    },
  });
}

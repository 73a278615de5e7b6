// The strip on top: every lead that came in, accounted for, and what went out.
import { h, icon, sprout } from "./dom.js";
import { duration, number } from "./format.js";
import { state } from "./state.js";

export function drawPipeline() {
  const root = document.getElementById("pipeline");
  const now = state.pipeline;
  if (!now) return;
  sprout(root,
    h("div", { class: "flow", "data-key": "in" },
      total("Received", now.received),
      icon("arrow"),
      total("Normalized", now.normalized),
      total("Duplicates", now.merged),
      total("Quarantined", now.quarantined, now.quarantined ? "warn" : ""),
      total("Dead letters", now.dlq, now.dlq ? "bad" : "", "", "wide")),
    h("div", { class: "flow", "data-key": "out" },
      total("Enrolled", now.enrolled),
      icon("arrow"),
      total("Sent", now.messages_accepted),
      total("For people", now.messages_recorded),
      total("Held back", now.held + now.suppressed + now.unknown, now.unknown ? "warn" : ""),
      total("Failed", now.failed, now.failed ? "bad" : "", "", "wide")),
    h("div", { class: "flow", "data-key": "proof" },
      total("Summaries to review", now.summaries_pending),
      total("First answer, median", null, "", duration(now.latency_ms?.p50))));
}

function total(name, n, tone = "", text = "", more = "") {
  const none = n === 0 ? "none" : "";
  return h("div", { class: `total ${tone} ${none} ${more}`.trim(), "data-key": name, "data-total": name },
    h("b", {}, text && n === null ? text : number(n)), h("span", {}, name));
}

// A resume: how fast, and what goes out when. The same from an incident and from a sequence.
import { api } from "./api.js";
import { dialog, field } from "./dialog.js";
import { h, sprout } from "./dom.js";
import { CHANNELS, number, plural, words, zone } from "./format.js";

export const RATE = 60;
const LARGEST_RATE = 100000;
const PAUSE_MS = 250;

const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });
const moment = (iso) => {
  const at = new Date(iso);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
};

export function span(found) {
  if (!found.messages) return found.held ? "Nothing goes out yet: what waits is still held by another pause, or sends nothing." : "Nothing waits.";
  const many = `${plural(found.messages, "message")} ${found.messages === 1 ? "goes" : "go"} out`;
  const from = moment(found.first_at);
  const to = moment(found.last_at);
  return from === to ? `${many} within a minute.` : `${many}, from ${from} to ${to} ${zone(found.last_at)} at the earliest.`;
}

export function going(found, nameOf) {
  return [
    h("p", {}, h("b", {}, span(found))),
    found.groups.length > 0 && h("table", {},
      h("thead", {}, h("tr", {}, h("th", {}, "Sequence"), h("th", {}, "Channel"), h("th", { class: "n" }, "Messages"), h("th", {}, "From – to"))),
      h("tbody", {}, found.groups.map((each) => h("tr", {},
        h("td", {}, nameOf(each.sequence_id)),
        h("td", {}, CHANNELS[each.channel] ?? each.channel),
        h("td", { class: "n" }, number(each.messages)),
        h("td", {}, `${moment(each.first_at)} – ${moment(each.last_at)}`))))),
    ...Object.entries(found.skipped).map(([rule, n]) => h("p", {}, `${plural(n, "message")} will be skipped: ${words(rule)}.`)),
    found.messages > 0 && h("p", {}, "Send windows, quiet hours and stops still count."),
  ];
}

export const rateField = (value) => field("How many a minute", h("input", { name: "rate", type: "number", min: 1, max: LARGEST_RATE, step: 1, required: true, value, inputmode: "numeric", "data-missing": `A whole number of messages a minute, from 1 to ${number(LARGEST_RATE)}.` }), "so that it is no flood");

// Asks how fast, shows what that means, and hands both to `work`.
export function resume({ title, text, preview, nameOf, more = [], submit = "Resume", work }) {
  const shown = h("div", { class: "going", role: "status", "aria-label": "What goes out" });
  const asks = rateField(RATE);
  const rate = asks.querySelector("input");
  let asked = 0;
  let timer = 0;
  const draw = async () => {
    const mine = ++asked;
    if (!rate.validity.valid) return;
    try {
      const found = await preview(Number(rate.value));
      if (mine === asked) sprout(shown, going(found, nameOf));
    } catch (error) {
      if (mine === asked) sprout(shown, h("p", {}, error.message));
    }
  };
  const made = dialog({
    title,
    body: [text && h("p", {}, text), more, asks, shown],
    submit,
    work: (form) => work({ rate: Number(rate.value), form }),
  });
  rate.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(draw, PAUSE_MS);
  });
  sprout(shown, h("p", {}, "Counting what waits…"));
  draw();
  return made;
}

export const previewOf = (scope) => (rate) => api(`/incidents/preview?scope=${encodeURIComponent(scope)}&rate_per_minute=${rate}`);

export function said(release) {
  if (!release.resumed) return "Closed. Another incident keeps it paused.";
  if (!release.messages) return "Resumed. Nothing was waiting.";
  return `Resumed: ${plural(release.messages, "message")} until ${moment(release.last_at)} ${zone(release.last_at)}.`;
}

// Numbers, times and templates as people read them.
import { h } from "./dom.js";

export const CHANNELS = {
  email: "Email", sms: "SMS", whatsapp: "WhatsApp", call: "Call", task: "Task", wait: "Wait",
};
// Steps that no form can write yet.
export const BY_THE_API = { condition: "Condition", stop: "Stop" };
export const channelName = (channel) => CHANNELS[channel] ?? BY_THE_API[channel] ?? channel;
export const FOR_PEOPLE = new Set(["call", "task"]);

const numbers = new Intl.NumberFormat("en");
export const number = (n) => numbers.format(n ?? 0);
export const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(share * 100)}%`);
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
export function ago(iso) {
  if (!iso) return "";
  const seconds = (new Date(iso) - Date.now()) / 1000;
  for (const [unit, size] of UNITS) if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  return seconds > 0 ? "in a moment" : "just now";
}
// Times are the reader's, and say so: who reads along may sit elsewhere.
const full = new Intl.DateTimeFormat("en", { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" });
const short = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" });
export const zone = (iso) => full.formatToParts(new Date(iso)).find((each) => each.type === "timeZoneName").value;
// For what is near: without the year.
export const soon = (iso) => (iso ? short.format(new Date(iso)) : "");
export const when = (iso) => (iso ? full.format(new Date(iso)) : "");

export const words = (name) => (name ?? "").replaceAll("_", " ").replaceAll("-", " ");
export const sentence = (name) => words(name).replace(/^./, (first) => first.toUpperCase());

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120000) return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
  return `${Math.round(ms / 60000)} min`;
}

// A template with its merge variables marked: {{ first_name | default: "there" }}
export function template(text) {
  const parts = [];
  let from = 0;
  for (const found of (text ?? "").matchAll(/\{\{-?\s*([a-z_]+)([^}]*)\}\}/g)) {
    if (found.index > from) parts.push(text.slice(from, found.index));
    const fallback = /default:\s*["']([^"']*)["']/.exec(found[2]);
    const title = fallback ? `Without a value: “${fallback[1]}”` : "The message is held where there is no value";
    parts.push(h("span", { class: "var", title }, `{{${found[1]}}}`));
    from = found.index + found[0].length;
  }
  if (from < (text ?? "").length) parts.push(text.slice(from));
  return parts;
}

export const plainTemplate = (text) => (text ?? "").replace(/\{\{-?\s*([a-z_]+)[^}]*\}\}/g, "{{$1}}");

export function triggerLine(trigger) {
  if (trigger.kind === "manual") return ["Triggers when: ", h("code", {}, "enrolled by hand")];
  if (trigger.kind === "dormant") return ["Triggers when: ", h("code", {}, `no response for ${trigger.value} days`)];
  const left = trigger.kind === "stage" ? "pipeline.stage" : "event";
  return ["Triggers when: ", h("code", {}, `${left} = "${trigger.value}"`)];
}

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const dayName = (day) => day.replace(/^./, (first) => first.toUpperCase());

// "Mon–Fri 09:00–17:00 where the lead is, not on holidays"
export function windowLine(window) {
  const at = [...window.days].map((day) => DAYS.indexOf(day)).sort((a, b) => a - b);
  const whole = at.length > 2 && at.at(-1) - at[0] === at.length - 1;
  const days = at.length === 0 || at.length === 7 ? "Every day" : whole ? `${dayName(DAYS[at[0]])}–${dayName(DAYS[at.at(-1)])}` : at.map((each) => dayName(DAYS[each])).join(", ");
  return `${days} ${window.start}–${window.end} where the lead is${window.holidays ? "" : ", not on holidays"}`;
}

const OPS = { eq: "is", ne: "is not", in: "is one of", gte: "is at least", lte: "is at most" };

// What a condition asks, in words: message.hello eq opened
export function conditionLine(condition) {
  const asked = condition.field.startsWith("message.") ? `the message of step ${words(condition.field.slice(8))}` : words(condition.field);
  const value = condition.value.split(",").map(words).join(", ");
  return condition.field.startsWith("message.") ? `${asked} ${condition.op === "ne" ? "was not" : "was"} ${value.replaceAll("replied", "replied to")}` : `${asked} ${OPS[condition.op] ?? condition.op} ${value}`;
}

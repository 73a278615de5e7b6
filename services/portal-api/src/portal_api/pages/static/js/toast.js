// A word after every action.
import { h, icon } from "./dom.js";

export function toast(text, bad = false) {
  const root = document.getElementById("toasts");
  const node = h("div", { class: `toast ${bad ? "bad" : ""}`.trim() }, icon(bad ? "stop" : "check"), h("span", {}, text));
  root.append(node);
  while (root.children.length > 3) root.firstChild.remove();
  setTimeout(() => node.remove(), bad ? 9000 : 5000);
}

// A dialog with a form: it closes when its work is done, and says why when it is not.
import { h, icon } from "./dom.js";

let counted = 0;

export function dialog({ title, body, submit, danger = false, narrow = false, work, said = null }) {
  counted += 1;
  const label = `dialog-${counted}`;
  const wrong = h("p", { class: "wrong", role: "alert", hidden: true });
  const button = h("button", { class: `button primary ${danger ? "danger" : ""}`.trim(), type: "submit" }, submit);
  const form = h("form", { method: "dialog", novalidate: true },
    h("div", { class: "dialog-head" }, h("h2", { id: label }, title), h("button", { class: "icon-button", type: "button", "data-close": true, "aria-label": "Close" }, icon("close"))),
    h("div", { class: "dialog-body" }, wrong, body),
    h("div", { class: "dialog-foot" }, said && h("span", { class: "said" }, said), h("button", { class: "button", type: "button", "data-close": true }, "Cancel"), button));
  const node = h("dialog", { class: narrow ? "narrow" : "", "aria-labelledby": label }, form);
  const refuse = (text) => {
    wrong.textContent = text;
    wrong.hidden = false;
    wrong.scrollIntoView({ block: "nearest" });
  };
  form.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) node.close();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const first = form.querySelector(":invalid:not(fieldset)");
    if (first) {
      first.setAttribute("aria-invalid", "true");
      first.focus();
      return refuse(first.dataset.missing ?? "Something is missing here.");
    }
    wrong.hidden = true;
    button.setAttribute("aria-busy", "true");
    try {
      if ((await work(form, { button, refuse })) !== false) node.close();
    } catch (error) {
      refuse(error.message);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  form.addEventListener("input", (event) => event.target.removeAttribute("aria-invalid"));
  node.addEventListener("close", () => {
    node.remove();
    // What it was opened with may be gone; whoever uses the keys goes on where that was.
    if (document.activeElement === document.body) document.querySelector("#detail, #conflicts, #list")?.focus({ preventScroll: true });
  });
  document.getElementById("dialogs").append(node);
  node.showModal();
  (form.querySelector("[autofocus]") ?? form.querySelector(".dialog-body input, .dialog-body textarea, .dialog-body select") ?? button).focus();
  return { node, form, button };
}

export function confirm({ title, text, submit, danger, work, reason = null }) {
  const body = [h("p", {}, text), reason && h("label", { class: "field" }, h("span", {}, reason.label, h("em", {}, reason.required ? "" : "optional")), h("input", { name: "reason", required: reason.required ? true : null, maxlength: 300, "data-missing": "Say why.", placeholder: reason.placeholder ?? "" }))];
  return dialog({ title, body, submit, danger, narrow: true, work: (form) => work(form.elements.reason?.value.trim() || undefined) });
}

export const field = (name, control, note = "") => h("label", { class: "field", "data-key": name }, h("span", {}, name, note && h("em", {}, note)), control);
export const choices = (name, options, value) => h("div", { class: "choices" }, options.map(([id, label, dot]) => h("label", { class: "choice" }, h("input", { type: "radio", name, value: id, checked: id === value ? true : null }), h("span", {}, dot && h("i", { class: `dot ${dot}` }), label))));
export const select = (name, options, value) => h("select", { name }, options.map(([id, label]) => h("option", { value: id, selected: id === value ? true : null }, label)));

// Elements without HTML strings, and a way to bring what is shown up to date in place, so
// that focus, scrolling and open parts survive a live update.

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "pct") node.style.setProperty("--pct", value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

// What stands for a list that is not there yet, or could not be had.
export function pending(failed) {
  if (!failed) return [1, 2, 3].map(() => h("div", { class: "skeleton" }));
  return h("div", { class: "empty", "data-key": "failed", role: "alert" },
    h("h2", {}, "It could not be loaded"), h("p", {}, failed),
    h("button", { class: "button", type: "button", "data-action": "refresh" }, "Try again"));
}

// Where what had the focus is gone, the focus goes to what is beside it, else to the part of the page.
export function sprout(root, ...children) {
  const wanted = document.createElement(root.tagName);
  wanted.append(...children.flat(3).filter(Boolean));
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  const beside = focused?.parentElement;
  morphChildren(root, wanted);
  if (!focused || document.activeElement === focused) return;
  const next = focused.isConnected ? focused : beside.isConnected && beside.querySelector("a, button:enabled");
  (next || root.closest("[tabindex]"))?.focus({ preventScroll: true });
}

// A button that does something else is another button.
const keyOf = ({ dataset }) => dataset?.key ?? (dataset?.action && Object.values(dataset).join(" "));
const alike = (now, next) => now.nodeType === next.nodeType && now.nodeName === next.nodeName;

function without(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// What is wanted still stays the node that it is and where it is: what has gone in front of it goes
// first, and what is new comes in between. A click that has begun hits what it was meant for.
function morphChildren(now, wanted) {
  const wants = [...wanted.childNodes];
  const keys = new Map(wants.filter(keyOf).map((each) => [keyOf(each), each.nodeName]));
  for (const child of [...now.children]) if (keyOf(child) && keys.get(keyOf(child)) !== child.nodeName) child.remove();
  const kept = new Map([...now.children].filter(keyOf).map((each) => [keyOf(each), each]));
  const loose = (nodes) => [...nodes].filter((each) => !keyOf(each)).length;
  let spare = loose(now.childNodes) - loose(wants);
  let at = now.firstChild;
  for (const next of wants) {
    let match = kept.get(keyOf(next)) ?? null;
    if (!keyOf(next)) {
      for (; spare > 0 && at && !keyOf(at) && !alike(at, next); spare -= 1) at = without(at);
      if (at && !keyOf(at) && alike(at, next)) match = at;
      else if (at && !keyOf(at) && spare === 0) at = without(at);
      else spare += 1;
    }
    if (match) {
      let ahead = at;
      while (ahead && ahead !== match && !keyOf(ahead)) ahead = ahead.nextSibling;
      for (; ahead === match && at !== match; spare -= 1) at = without(at);
    }
    if (match && match === at) at = at.nextSibling;
    else now.insertBefore(match ?? next, at);
    if (match) morph(match, next);
  }
  while (at) at = without(at);
}

// What the page itself set, and no drawing knows of.
const OWN = (node, name) => (name === "open" && node.tagName === "DETAILS") || name === "aria-busy";

function morph(now, wanted) {
  if (now.nodeType === 3) {
    if (now.data !== wanted.data) now.data = wanted.data;
    return;
  }
  for (const { name } of [...now.attributes]) {
    if (!wanted.hasAttribute(name) && !OWN(now, name)) now.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (now.getAttribute(name) === value) continue;
    // The page's policy refuses a style attribute; a script's own style it takes.
    if (name === "style") now.style.cssText = value;
    else now.setAttribute(name, value);
  }
  morphChildren(now, wanted);
}

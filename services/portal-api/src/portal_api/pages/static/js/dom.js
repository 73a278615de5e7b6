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

export function sprout(root, ...children) {
  const wanted = document.createElement(root.tagName);
  wanted.append(...children.flat(3).filter(Boolean));
  morphChildren(root, wanted);
}

function morphChildren(now, wanted) {
  const kept = new Map();
  for (const child of now.children) if (child.dataset.key) kept.set(child.dataset.key, child);
  let at = now.firstChild;
  for (const next of [...wanted.childNodes]) {
    let match = null;
    if (next.nodeType === 1 && next.dataset.key) match = kept.get(next.dataset.key) ?? null;
    else if (at && at.nodeType === next.nodeType && at.nodeName === next.nodeName && !at.dataset?.key) match = at;
    if (match && match.nodeName !== next.nodeName) match = null;
    if (!match) {
      now.insertBefore(next, at);
      continue;
    }
    if (match !== at) now.insertBefore(match, at);
    else at = at.nextSibling;
    morph(match, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function morph(now, wanted) {
  if (now.nodeType === 3) {
    if (now.data !== wanted.data) now.data = wanted.data;
    return;
  }
  for (const { name } of [...now.attributes]) {
    if (!wanted.hasAttribute(name) && !(name === "open" && now.tagName === "DETAILS")) now.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (now.getAttribute(name) === value) continue;
    // The page's policy refuses a style attribute; a script's own style it takes.
    if (name === "style") now.style.cssText = value;
    else now.setAttribute(name, value);
  }
  morphChildren(now, wanted);
}

// A list on the left and one of it on the right; where there is no room, one after the other.
import { addressed, place, wide } from "./page.js";

const box = document.getElementById("split");
const detail = document.getElementById("detail");

// `state.selected` follows the address and what is chosen; `moved` hears of another one before it
// is drawn. Returns how to choose one, none (null), and how to go back to the list.
export function split({ home, state, draw, moved = () => {} }) {
  const view = () => {
    box.dataset.view = state.selected ? "detail" : "list";
  };
  function select(id, { push = true, focus = false } = {}) {
    const other = state.selected !== id;
    state.selected = id;
    view();
    if (other) {
      moved(id);
      if (push) history.pushState({}, "", place(home, id));
      if (wide.matches) detail.scrollTo(0, 0);
      else scrollTo(0, 0);
    }
    draw();
    if (other && focus && !wide.matches) detail.focus();
  }
  function back() {
    const left = state.selected;
    select(null);
    document.querySelector(`#list [data-id="${CSS.escape(left)}"]`)?.focus();
  }
  addEventListener("popstate", () => select(addressed(home), { push: false }));
  state.selected = addressed(home);
  view();
  return { select, back, view };
}

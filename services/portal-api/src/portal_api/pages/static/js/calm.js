// A live update takes nothing away from under a finger: it waits while a pointer is down, and for a
// moment after one has moved over something that can be pressed. Never for long.
const REST_MS = 500;
const LONGEST_MS = 3000;
const LOOK_MS = 50;
const CONTROLS = "a, button, input, label, select, summary, textarea";

let down = false;
let moved = -Infinity;

addEventListener("pointerdown", () => {
  down = true;
}, true);
// The click comes behind it.
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => setTimeout(() => {
  down = false;
}), true);
addEventListener("pointermove", (event) => {
  if (event.target.closest?.(CONTROLS)) moved = performance.now();
}, true);

const busy = () => down || performance.now() - moved < REST_MS;

// `draw`, as soon as it disturbs nobody; several calls meanwhile are one.
export function calmly(draw) {
  let since = null;
  const look = () => {
    if (busy() && performance.now() - since < LONGEST_MS) return setTimeout(look, LOOK_MS);
    since = null;
    return draw();
  };
  return () => {
    if (since !== null) return;
    since = performance.now();
    look();
  };
}

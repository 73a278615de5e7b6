// Told of changes by server-sent events; asks by itself now and then, in case it was not told.
const ASK_MS = 15000;
const APART_MS = 1200;

export function live(tenant, changed) {
  const box = document.getElementById("live");
  const text = document.getElementById("live-text");
  let last = 0;
  let timer = 0;
  const say = (state, words) => {
    box.dataset.state = state;
    text.textContent = words;
  };
  const soon = () => {
    if (timer) return;
    timer = setTimeout(async () => {
      timer = 0;
      last = Date.now();
      if (!document.hidden) await changed();
    }, Math.max(0, last + APART_MS - Date.now()));
  };
  const source = new EventSource(`/api/v1/events${tenant ? `?tenant=${encodeURIComponent(tenant)}` : ""}`);
  source.addEventListener("open", () => say("on", "Live"));
  source.addEventListener("error", () => say("off", "Reconnecting"));
  source.addEventListener("change", soon);
  const asking = setInterval(soon, ASK_MS);
  document.addEventListener("visibilitychange", soon);
  return () => {
    source.close();
    clearInterval(asking);
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", soon);
  };
}

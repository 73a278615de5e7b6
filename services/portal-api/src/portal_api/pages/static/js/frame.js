// What the bar of every page does.

export function switchTheme() {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const next = dark ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
}

export async function signOut() {
  await fetch("/logout", { method: "POST", headers: { "X-Leadflow": "page" } });
  location.assign("/login");
}

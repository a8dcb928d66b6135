// The buttons that switch between system, light and dark, and store the choice. Pictures follow by
// <source data-dark media="(prefers-color-scheme: dark)">.
const root = document.documentElement;
const media = { system: "(prefers-color-scheme: dark)", light: "not all", dark: "all" };
const buttons = document.querySelectorAll("button[data-theme]");

function chosen() {
  return ["light", "dark"].find((name) => root.classList.contains(name)) ?? "system";
}

function show() {
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button.dataset.theme === chosen()));
  }
  for (const source of document.querySelectorAll("source[data-dark]")) {
    source.media = media[chosen()];
  }
}

function choose(theme) {
  root.classList.remove("light", "dark");
  if (theme !== "system") root.classList.add(theme);
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // Applied, although it cannot be stored.
  }
  show();
}

for (const button of buttons) {
  button.addEventListener("click", () => choose(button.dataset.theme));
}

// The theme was changed in another tab.
addEventListener("storage", (event) => {
  if (event.key === "theme") choose(event.newValue ?? "system");
});

show();

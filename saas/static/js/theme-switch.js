// The buttons that switch between system, light and dark, and store the choice.
const root = document.documentElement;
const buttons = document.querySelectorAll("button[data-theme]");

function chosen() {
  return ["light", "dark"].find((name) => root.classList.contains(name)) ?? "system";
}

function show() {
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button.dataset.theme === chosen()));
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

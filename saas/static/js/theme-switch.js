// The buttons that choose between system, light and dark, and remember it.
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
    // Not remembered, but applied.
  }
  show();
}

for (const button of buttons) {
  button.addEventListener("click", () => choose(button.dataset.theme));
}

// Another tab chose.
addEventListener("storage", (event) => {
  if (event.key === "theme") choose(event.newValue ?? "system");
});

show();

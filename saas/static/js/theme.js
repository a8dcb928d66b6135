// Runs in <head>, before the first paint: marks that scripts work, and applies the stored theme.
// Without one, the stylesheet follows the system.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") root.classList.add(chosen);
  } catch {
    // Storage may be disabled; the system's theme applies then.
  }
})();

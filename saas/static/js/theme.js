// Runs in <head>, before anything is painted: says that scripts work, and applies the theme that
// the reader chose. Without a choice the style sheet follows the system by itself.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") root.classList.add(chosen);
  } catch {
    // Storage may be switched off; then the system decides.
  }
})();

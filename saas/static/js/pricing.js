// Switch between monthly and yearly prices. The page contains both; the stylesheet shows one of them.
const plans = document.querySelector("[data-interval]");
const links = document.querySelectorAll(".switch a[data-choose]");

for (const link of links) {
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    plans.dataset.interval = link.dataset.choose;
    for (const other of links) {
      if (other === link) other.setAttribute("aria-current", "true");
      else other.removeAttribute("aria-current");
    }
    history.replaceState(null, "", link.href);
  });
}

// Submit a form once, even on a double click. A second request for a one-time link would fail, and
// the user would see its error.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "true";
  setTimeout(() => delete form.dataset.sent, 10_000); // stopped by the user, or the network is down
});

// After Back, the browser may restore the page from its back/forward cache.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

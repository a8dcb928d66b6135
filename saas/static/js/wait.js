// Counts down until another email can be requested. Without JavaScript the button is always
// enabled, and the server says how long to wait.
for (const form of document.querySelectorAll("form[data-wait]")) {
  const shown = form.querySelector("[data-seconds]");
  if (!shown) continue;
  const button = form.querySelector("button");
  const ends = Date.now() + Number(form.dataset.wait) * 1000;
  button.disabled = true;
  const timer = setInterval(() => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    shown.textContent = Math.max(left, 0);
    if (left > 0) return;
    clearInterval(timer);
    button.disabled = false;
    shown.parentElement.textContent = "You can request another email now.";
  }, 250);
}

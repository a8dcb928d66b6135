// The command palette: press Ctrl K or ⌘ K, type part of a name, press Enter.
// It lists the links of the sidebar.
const dialog = document.querySelector("#palette");
const input = dialog.querySelector("input");
const list = dialog.querySelector("ul");
const nothing = dialog.querySelector("p");
const options = [...document.querySelectorAll("#sidebar nav a")].map(entry);
list.append(...options);

function entry(link, number) {
  const option = document.createElement("li");
  option.id = `palette-${number}`;
  option.className = "navlink";
  option.role = "option";
  option.dataset.href = link.href;
  option.append(...[...link.childNodes].map((node) => node.cloneNode(true)));
  return option;
}

const found = () => options.filter((option) => !option.hidden);
const begins = (option, words) => option.textContent.trim().toLowerCase().startsWith(words);
const selected = () => options.find((option) => option.getAttribute("aria-selected") === "true");

function select(option) {
  for (const other of options) other.setAttribute("aria-selected", String(other === option));
  if (option) {
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else {
    input.removeAttribute("aria-activedescendant");
  }
}

function search() {
  const words = input.value.trim().toLowerCase();
  for (const option of options) option.hidden = !option.textContent.toLowerCase().includes(words);
  const shown = found();
  nothing.hidden = shown.length > 0;
  select(shown.find((option) => begins(option, words)) ?? shown[0]);
}

function open() {
  if (dialog.open) return;
  for (const popover of document.querySelectorAll("[popover]:popover-open")) popover.hidePopover();
  input.value = "";
  dialog.showModal();
  search();
}

function move(steps) {
  const shown = found();
  if (shown.length === 0) return;
  select(shown[(shown.indexOf(selected()) + steps + shown.length) % shown.length]);
}

function go(option) {
  if (option) location.assign(option.dataset.href);
}

const keys = {
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Enter: () => go(selected()),
};

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    open();
  }
});

input.addEventListener("input", search);
input.addEventListener("keydown", (event) => {
  if (!(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

for (const option of options) {
  option.addEventListener("click", () => go(option));
  option.addEventListener("pointermove", () => select(option));
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

for (const button of document.querySelectorAll("[data-palette]")) {
  button.addEventListener("click", open);
}

// Prints the Jinja macro with the icons that lists name, taken from lucide-static.
import { readFileSync } from "node:fs";

const lists = process.argv.slice(2);
const names = [...new Set(lists.flatMap((list) => readFileSync(list, "utf8").split("\n")))]
  .filter(Boolean)
  .sort();

const shapes = names.map((name) => {
  const svg = readFileSync(`node_modules/lucide-static/icons/${name}.svg`, "utf8");
  const inside = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.indexOf("</svg>"));
  return `  "${name}": '${inside.replace(/\s*\n\s*/g, "").replaceAll(" />", "/>")}',`;
});

console.log(`{#- Made by assets/build.sh from ${lists.join(" and ")}. Icons: lucide, ISC license. -#}
{%- set shapes = {
${shapes.join("\n")}
} -%}
{%- macro icon(name, class="") -%}
<svg{% if class %} class="{{ class }}"{% endif %} xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{{ shapes[name]|safe }}</svg>
{%- endmacro -%}`);

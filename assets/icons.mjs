// Prints the Jinja macro with the icons that a list names, taken from lucide-static.
import { readFileSync } from "node:fs";

const names = readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean).sort();

const shapes = names.map((name) => {
  const svg = readFileSync(`node_modules/lucide-static/icons/${name}.svg`, "utf8");
  const inside = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.indexOf("</svg>"));
  return `  "${name}": '${inside.replace(/\s*\n\s*/g, "").replaceAll(" />", "/>")}',`;
});

console.log(`{#- Made by assets/build.sh from ${process.argv[2]}. Icons: lucide, ISC license. -#}
{%- set shapes = {
${shapes.join("\n")}
} -%}
{%- macro icon(name, class="") -%}
<svg{% if class %} class="{{ class }}"{% endif %} xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{{ shapes[name]|safe }}</svg>
{%- endmacro -%}`);

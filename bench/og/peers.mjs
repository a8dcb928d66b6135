// The same card, drawn by a package of npm: node peers.mjs PACKAGE COUNT FONTS
// Prints the mean size of the PNGs. bench/og/cards.py counts the CPU time.
import { readFile } from "node:fs/promises";
import { createElement as h } from "react";

const [name, count, fonts] = process.argv.slice(2);
const { ImageResponse } = await import(name === "takumi-js" ? "takumi-js/response" : name);
const face = async (family, file) => ({
  name: family,
  data: await readFile(`${fonts}/${file}`),
  weight: 400,
  style: "normal",
});
const faces = [await face("Cal Sans", "CalSans.ttf"), await face("Geist", "Geist-Medium.ttf")];

const row = { display: "flex", alignItems: "center" };
const brand = "linear-gradient(90deg, #6366f1, #a855f7)";

function card(heading) {
  const mark = { ...row, justifyContent: "center", width: 60, height: 60, borderRadius: 17 };
  const pill = { ...row, height: 48, padding: "0 22px", borderRadius: 24 };
  return h(
    "div",
    { style: { display: "flex", flexDirection: "column", width: 1200, height: 630, background: "#ffffff", fontFamily: "Geist" } },
    h(
      "div",
      { style: { ...row, padding: "56px 80px 0", justifyContent: "space-between" } },
      h(
        "div",
        { style: { ...row, fontFamily: "Cal Sans", fontSize: 34, color: "#14141c" } },
        h("div", { style: { ...mark, background: brand, color: "#ffffff", marginRight: 18 } }, "P"),
        "Plinth",
      ),
      h("div", { style: { fontSize: 26, color: "#72727a" } }, "plinth.example"),
    ),
    h(
      "div",
      { style: { display: "flex", flexDirection: "column", flex: 1, justifyContent: "center", alignItems: "flex-start", padding: "0 80px" } },
      h("div", { style: { ...pill, background: "#ededfc", color: "#4f46e5", fontSize: 26 } }, "Blog"),
      h("div", { style: { marginTop: 24, fontFamily: "Cal Sans", fontSize: 72, lineHeight: 1.12, color: "#14141c" } }, heading),
    ),
    h("div", { style: { height: 10, width: 1200, background: brand } }),
  );
}

let bytes = 0;
for (let number = 0; number < Number(count); number += 1) {
  const heading = `Card number ${number}: ship the product, not the plumbing`;
  const answer = new ImageResponse(card(heading), { width: 1200, height: 630, fonts: faces });
  bytes += (await answer.arrayBuffer()).byteLength;
}
console.log(Math.round(bytes / Number(count)));

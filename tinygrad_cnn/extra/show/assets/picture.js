// The drawing as a file: an SVG that needs no style sheet, and a PNG of it.

import { svg } from "./format.js";

const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-weight", "font-family", "text-anchor", "image-rendering"];
const SIDES = 16; // around the drawing
const LONGEST = 16384; // pixels of a side that browsers draw
const LARGEST = 1 << 27; // pixels that they draw in all

const pixel = document.createElement("canvas");
pixel.width = pixel.height = 1;

// A color as programs other than browsers read it. The page mixes colors, and some are transparent.
const known = new Map();
function plainColor(color) {
  if (color === "none" || known.has(color)) return known.get(color) ?? color;
  const context = pixel.getContext("2d", { willReadFrequently: true });
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
  known.set(color, a === 255 ? `rgb(${r},${g},${b})` : `rgba(${r},${g},${b},${(a / 255).toFixed(3)})`);
  return known.get(color);
}

// The drawing at its own size, with the styles that it has on the page in its elements.
export function picture(view, title) {
  const { width, height } = view.layout;
  const [w, h] = [Math.ceil(width + 2 * SIDES), Math.ceil(height + 2 * SIDES)];
  const copy = view.layer.cloneNode(true);
  const shown = [view.layer, ...view.layer.querySelectorAll("*")];
  const arrows = new Map(); // by color: a marker cannot take that of its line everywhere
  [copy, ...copy.querySelectorAll("*")].forEach((element, i) => {
    const style = getComputedStyle(shown[i]);
    for (const name of STYLES) {
      const value = style.getPropertyValue(name);
      const isColor = name === "fill" || name === "stroke";
      if (value && value !== "auto" && !(name === "opacity" && value === "1")) element.setAttribute(name, isColor ? plainColor(value) : value);
    }
    if (element.hasAttribute("marker-end")) {
      const color = element.getAttribute("stroke");
      if (!arrows.has(color)) arrows.set(color, `arrow${arrows.size}`);
      element.setAttribute("marker-end", `url(#${arrows.get(color)})`);
    }
    for (const name of ["class", "style", "role", "tabindex", "aria-label", "aria-hidden", "aria-expanded", "data-key", "data-edge"]) element.removeAttribute(name);
  });
  const drawn = view.layer.querySelectorAll(".open");
  const twins = [...copy.querySelectorAll("*")];
  const all = shown.slice(1);
  for (const open of drawn) twins[all.indexOf(open)].remove(); // there is nothing to click
  copy.setAttribute("transform", `translate(${SIDES} ${SIDES})`);
  const marker = ([color, id]) => svg("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 10, markerHeight: 10, markerUnits: "userSpaceOnUse", orient: "auto" },
    svg("path", { d: "M0 .6L8 4L0 7.4z", fill: color }));
  const paper = plainColor(getComputedStyle(document.body).backgroundColor);
  const whole = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: w, height: h, viewBox: `0 0 ${w} ${h}` },
    svg("title", {}, title), svg("defs", {}, [...arrows].map(marker)), svg("rect", { width: w, height: h, fill: paper }), copy);
  return { width: w, height: h, text: new XMLSerializer().serializeToString(whole) };
}

// The same as a PNG, twice as fine where that is not too large.
export async function bitmap(view, title) {
  const { width, height, text } = picture(view, title);
  const scale = Math.min(2, LONGEST / Math.max(width, height), Math.sqrt(LARGEST / (width * height)));
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [Math.floor(width * scale), Math.floor(height * scale)];
  sheet.getContext("2d").drawImage(image, 0, 0, sheet.width, sheet.height);
  return new Promise((done, fail) => sheet.toBlob((blob) => (blob ? done(blob) : fail(new Error("the picture is too large"))), "image/png"));
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export const fileName = (title, kind) => `${title.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 80) || "graph"}.${kind}`;

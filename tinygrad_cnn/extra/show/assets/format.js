// Numbers, shapes and elements. All text goes through createTextNode, so that no name can be taken for HTML.

const SVG = "http://www.w3.org/2000/svg";

function build(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const el = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

// A number with so many significant digits. NaN and infinity come as strings, which JSON can hold.
export function num(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return String(value);
  const x = Number(value);
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return String(x).replace("-", "−");
  const size = Math.abs(x);
  const text = size >= 1e6 || size < 1e-4 ? x.toExponential(digits - 2).replace(/(\.\d*?)0+e/, "$1e").replace(/\.?e\+?/, "e") : String(Number(x.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

export const count = (n) => n.toLocaleString("en");

export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

export const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${num(share * 100, 3)} %`);

export const shape = (sizes) => (sizes.length ? sizes.join(" × ") : "scalar");

// Nested lists in the way NumPy writes them, one row a line.
export function matrix(values, digits = 4) {
  const widths = [];
  const texts = (v) => (Array.isArray(v) ? v.map(texts) : num(v, digits));
  const measure = (v) => v.forEach((x, i) => (Array.isArray(x) ? measure(x) : (widths[i] = Math.max(widths[i] ?? 0, x.length))));
  const write = (v, depth) => {
    if (!Array.isArray(v)) return v;
    if (!Array.isArray(v[0])) return `[${v.map((x, i) => x.padStart(widths[i])).join("  ")}]`;
    return `[${v.map((row) => write(row, depth + 1)).join(`\n${" ".repeat(depth + 1)}`)}]`;
  };
  const all = texts(values);
  if (Array.isArray(all)) measure(all);
  return write(all, 0);
}

const unnamed = { parameter: "parameter", buffer: "buffer", input: "input", leaf: "leaf", constant: "constant", before: "earlier" };

// What an item is called: the function that the program calls, or the op; the name of a leaf, or what it holds.
export const label = (node) => (node.op ? node.label || node.op : node.name || node.label || unnamed[node.kind]);

// A sentence about an item, for lists and screen readers.
export function sentence(node) {
  const parts = [`${node.id}: ${label(node)}`];
  if (node.op && node.name) parts.push(node.name);
  parts.push(node.op ? null : node.kind, `${node.dtype} ${shape(node.shape)}`);
  for (const [what, summary] of [["value", node.value], ["gradient", node.gradient]]) {
    if (!summary) continue;
    if (summary.size === 1) parts.push(`${what} ${num(summary.values)}`);
    else if (summary.size) parts.push(`${what} mean ${num(summary.mean)}, spread ${num(summary.std)}`);
    if (summary.size > 1 && summary.nan + summary.inf) parts.push(`${what} has ${summary.nan} NaN and ${summary.inf} infinite`);
  }
  return parts.filter(Boolean).join(", ");
}

export const isBad = (summary) => Boolean(summary && summary.nan + summary.inf);

// Line charts and small curves as SVG.

import { el, num, svg } from "./format.js";

const W = 460;
const H = 190;
const PAD = { left: 50, right: 12, top: 10, bottom: 24 };

const MUCH = 30; // the largest of values beside the least, from where on a scale is better logarithmic

const finite = (points) => points.map(([x, y]) => [Number(x), Number(y)]);

// Round numbers between two, about four of them.
function ticks(low, high) {
  const raw = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((f) => f * power >= raw) * power;
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step / 1e6; t += step) found.push(Math.abs(t) < step / 1e6 ? 0 : t);
  return found;
}

// A path through points, with gaps where one is not finite.
function line(points, x, y) {
  let path = "";
  let up = true;
  for (const [a, b] of points) {
    if (Number.isFinite(y(b))) path += `${up ? "M" : "L"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`;
    up = !Number.isFinite(y(b));
  }
  return path;
}

export class Chart {
  // `auto`: a logarithmic scale where values differ by much, until somebody chooses.
  constructor(title, { auto = false, unit = "step" } = {}) {
    Object.assign(this, { title, auto, unit, log: false, lines: [] });
    this.legend = el("p", { class: "legend" });
    this.drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "chart", role: "img" });
    const toggle = el("button", { class: "log", "aria-pressed": "false", title: "logarithmic scale", onclick: () => {
      this.log = !this.log;
      this.auto = false;
      this.update(this.lines);
    } }, "log");
    this.toggle = toggle;
    this.element = el("section", { class: "card" }, el("header", {}, el("h2", {}, title), toggle), this.drawing, this.legend);
    this.drawing.addEventListener("pointermove", (event) => this.point(event));
    this.drawing.addEventListener("pointerleave", () => this.update(this.lines));
  }

  // `lines` have name, points, color, and thin for those that are only the background.
  update(lines) {
    this.lines = lines;
    const all = lines.map((each) => ({ ...each, points: finite(each.points) }));
    if (this.auto) {
      const values = all.flatMap((each) => each.points.map(([, y]) => y)).filter(Number.isFinite);
      this.log = Math.min(...values) > 0 && Math.max(...values) > MUCH * Math.min(...values);
    }
    this.toggle.setAttribute("aria-pressed", String(this.log));
    const scale = this.log ? (v) => (v > 0 ? Math.log10(v) : NaN) : (v) => v;
    const xs = all.flatMap((each) => each.points.map(([x]) => x));
    const ys = all.flatMap((each) => each.points.map(([, y]) => scale(y))).filter(Number.isFinite).sort((a, b) => a - b);
    this.tell(all.map((each) => [each, each.points.at(-1)]));
    this.drawing.setAttribute("aria-label", `${this.title}: ${this.legend.textContent}`);
    this.scales = null;
    if (!ys.length) return void this.drawing.replaceChildren(svg("text", { x: W / 2, y: H / 2, class: "middle" }, "no number that can be drawn"));
    const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
    let [y0, y1] = [ys[0], ys.at(-1)];
    if (ys.length > 50 && !this.log) y1 = Math.min(y1, ys[Math.floor(ys.length * 0.99)] * 1.15 + 1e-12); // a spike is not to flatten the rest
    if (y1 - y0 < 1e-12) [y0, y1] = [y0 - 0.5 * Math.abs(y0 || 1), y1 + 0.5 * Math.abs(y1 || 1)];
    const x = (v) => PAD.left + ((v - x0) / (x1 - x0 || 1)) * (W - PAD.left - PAD.right);
    const y = (v) => PAD.top + (1 - Math.max(-0.02, Math.min(1.02, (scale(v) - y0) / (y1 - y0)))) * (H - PAD.top - PAD.bottom);
    this.scales = { x, y, all };
    const steps = ticks(y0, y1);
    const digits = Math.min(8, 3 + Math.max(0, Math.floor(Math.log10(Math.max(Math.abs(y0), Math.abs(y1), 1e-12) / (y1 - y0)))));
    const marks = steps.map((t) => {
      const at = PAD.top + (1 - (t - y0) / (y1 - y0)) * (H - PAD.top - PAD.bottom);
      return svg("g", {}, svg("line", { class: "grid", x1: PAD.left, x2: W - PAD.right, y1: at, y2: at }),
        svg("text", { x: PAD.left - 6, y: at + 3.5, class: "left" }, num(this.log ? 10 ** t : t, digits)));
    });
    const below = ticks(x0, x1).filter(Number.isInteger).map((t) => svg("text", { x: x(t), y: H - 7, class: "middle" }, num(t)));
    this.drawing.replaceChildren(...marks, ...below,
      ...all.map((each) => each.points.length === 1
        ? svg("circle", { cx: x(each.points[0][0]), cy: y(each.points[0][1]), r: 3, style: `fill: ${each.color}` })
        : svg("path", { d: line(each.points, x, y), class: each.thin ? "thin" : "thick", style: `stroke: ${each.color}` })));
  }

  tell(values) {
    const at = values.find(([, point]) => point)?.[1][0];
    this.legend.replaceChildren(
      ...values.filter(([, point]) => point).map(([each, [, value]]) => el("span", {}, el("i", { style: `background: ${each.color}` }), `${each.name} `, el("b", { class: Number.isFinite(value) ? null : "bad" }, num(value)))),
      el("span", { class: "at" }, `${this.unit} ${num(at)}`));
  }

  // Tell the values where the pointer is.
  point(event) {
    if (!this.scales) return;
    const { x, y, all } = this.scales;
    const box = this.drawing.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * W;
    const nearest = (points) => points.reduce((a, b) => (Math.abs(x(b[0]) - px) < Math.abs(x(a[0]) - px) ? b : a), points[0]);
    const found = all.map((each) => [each, nearest(each.points)]);
    this.drawing.querySelectorAll(".dot").forEach((dot) => dot.remove());
    this.drawing.append(...found.filter(([, point]) => point && Number.isFinite(y(point[1]))).map(([each, [a, b]]) => svg("circle", { class: "dot", cx: x(a), cy: y(b), r: 4, style: `fill: ${each.color}` })));
    this.tell(found);
  }
}

// A small curve without axes, on a logarithmic scale, and the last of its numbers.
export function spark(points, color) {
  const width = 96;
  const height = 24;
  const all = finite(points).map(([x, y]) => [x, y > 0 ? Math.log10(y) : NaN]);
  const ys = all.map(([, y]) => y).filter(Number.isFinite);
  const [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const [x0, x1] = [all[0]?.[0] ?? 0, all.at(-1)?.[0] ?? 1];
  const path = line(all, (v) => 1 + ((v - x0) / (x1 - x0 || 1)) * (width - 2), (v) => height - 3 - ((v - y0) / (y1 - y0 || 1)) * (height - 6));
  return el("span", { class: "spark" }, svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, svg("path", { d: path, style: `stroke: ${color}` })),
    el("b", {}, num(points.at(-1)?.[1], 3)));
}

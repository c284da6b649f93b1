// A place to draw a digit, with mouse, finger or keyboard, and the 8 x 8 numbers that a network is given of it.
//
// The numbers are made as those of the data set were: the drawing fills 32 x 32 points, and each number counts the black ones
// among 4 x 4.

import { el } from "./view/format.js";

const SIZE = 224; // of the drawing on the page
const POINTS = 32;
const PEN = 4.2; // of these points
const WIDE = 26; // points that a digit is wide at most
const STEP = 1 / 16; // by which a key moves the pen

export class Digit {
  // `changed(pixels)` is called with 64 numbers from 0 to 16, or null where a key has cleared the drawing.
  constructor(changed) {
    this.changed = changed;
    this.canvas = el("canvas", {
      class: "draw", width: SIZE, height: SIZE, tabindex: "0", role: "application",
      "aria-label": "draw a digit: arrow keys move the pen, the space bar puts it down and lifts it, Delete clears",
    });
    this.context = this.canvas.getContext("2d");
    this.small = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    this.small.canvas.width = this.small.canvas.height = POINTS;
    this.clear();
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.begin(at(event));
    });
    this.canvas.addEventListener("pointermove", (event) => this.drawing && this.add(at(event)));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => (this.drawing = false));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    for (const change of ["focus", "blur"]) this.canvas.addEventListener(change, () => this.paint());
  }

  clear() {
    Object.assign(this, { strokes: [], given: null, drawing: false, down: false, pen: [0.5, 0.5], pixels: null });
    this.paint();
  }

  begin(point) {
    if (this.given) this.clear();
    this.drawing = true;
    this.strokes.push([]);
    this.add(point);
  }

  add(point) {
    this.strokes.at(-1).push(point);
    this.pixels = this.counted();
    this.paint();
    this.changed(this.pixels);
  }

  // Show an image of the data set.
  give(pixels) {
    this.clear();
    this.given = this.pixels = pixels;
    this.paint();
    this.changed(pixels);
  }

  key(event) {
    const move = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (move) {
      this.pen = this.pen.map((x, i) => Math.min(1, Math.max(0, x + STEP * move[i])));
      if (this.down) this.add(this.pen);
    } else if (event.key === " ") {
      if (!this.down) this.begin(this.pen);
      [this.down, this.drawing] = [!this.down, false];
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      this.changed(null);
    } else return;
    event.preventDefault();
    this.paint();
  }

  // The drawing, moved and scaled so that it fills the points, as numbers.
  counted() {
    const all = this.strokes.flat();
    const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
    const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const scale = Math.min((WIDE - PEN) / Math.max(x1 - x0, 1e-6), (POINTS - PEN) / Math.max(y1 - y0, 1e-6), 4 * POINTS);
    const place = ([x, y]) => [POINTS / 2 + (x - (x0 + x1) / 2) * scale, POINTS / 2 + (y - (y0 + y1) / 2) * scale];
    this.small.clearRect(0, 0, POINTS, POINTS);
    stroke(this.small, this.strokes.map((points) => points.map(place)), PEN, "black");
    const { data } = this.small.getImageData(0, 0, POINTS, POINTS);
    const counts = Array(64).fill(0);
    for (let i = 0; i < POINTS * POINTS; i++) {
      if (data[4 * i + 3] > 127) counts[8 * Math.floor(i / POINTS / 4) + Math.floor((i % POINTS) / 4)] += 1;
    }
    return counts;
  }

  paint() {
    const { context: c } = this;
    c.fillStyle = "#000";
    c.fillRect(0, 0, SIZE, SIZE);
    this.given?.forEach((v, i) => {
      c.fillStyle = `rgb(${v * 15.9}, ${v * 15.9}, ${v * 15.9})`;
      c.fillRect((i % 8) * (SIZE / 8), Math.floor(i / 8) * (SIZE / 8), SIZE / 8, SIZE / 8);
    });
    stroke(c, this.strokes.map((points) => points.map(([x, y]) => [x * SIZE, y * SIZE])), SIZE / 13, "#fff");
    if (document.activeElement === this.canvas && this.canvas.matches(":focus-visible")) {
      c.strokeStyle = this.down ? "#ff9166" : "#74a5ff";
      c.lineWidth = 3;
      c.beginPath();
      c.arc(this.pen[0] * SIZE, this.pen[1] * SIZE, 7, 0, 7);
      c.stroke();
    }
  }
}

function stroke(context, strokes, width, color) {
  Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round", strokeStyle: color });
  for (const [first, ...rest] of strokes) {
    context.beginPath();
    context.moveTo(...first);
    for (const point of rest.length ? rest : [first]) context.lineTo(...point);
    context.stroke();
  }
}

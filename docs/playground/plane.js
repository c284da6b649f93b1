// The tab "Plane": points of two classes, and the boundary between them that a small network draws while it trains.

import { el, num, percent, plural } from "./view/format.js";

const SLICE = 0.06; // seconds of training between two pictures
const SIZE = 480;
const DATA = ["circles", "moons", "spiral"];
const ACTIVATIONS = ["none", "relu", "tanh", "gelu"];
const COLORS = [[47, 111, 222], [212, 87, 42]];

export class Plane {
  name = "plane";
  title = "Plane";

  constructor(call, stop) {
    Object.assign(this, { call, halt: stop, running: false, made: null, losses: [] });
    const redo = () => void (this.running || this.reset()); // a training that runs makes a new network itself
    const choice = (name, values, chosen) => el("fieldset", { class: "choice", onchange: redo }, el("legend", {}, name),
      values.map((value) => el("label", {}, el("input", { type: "radio", name, value, checked: value === chosen }), value)));
    const slider = (name, value, min, max, step, write, onchange) => {
      const shown = el("output", {}, write(value));
      const input = el("input", { type: "range", min, max, step, value, oninput: () => (shown.textContent = write(Number(input.value))), onchange, "aria-label": name });
      return [input, el("label", { class: "slider" }, el("span", {}, name, " ", shown), input)];
    };
    this.data = choice("data", DATA, "moons");
    this.activation = choice("activation", ACTIVATIONS, "tanh");
    const [rate, rateLabel] = slider("learning rate", -2, -4, 0, 0.25, (power) => num(10 ** power, 2));
    const [width, widthLabel] = slider("width", 8, 1, 32, 1, (n) => plural(n, "neuron"), redo);
    const [noise, noiseLabel] = slider("noise", 0.08, 0, 0.3, 0.02, (x) => num(x, 2), redo);
    Object.assign(this, { rate, width, noise });
    const button = (text, onclick, more) => el("button", { onclick, disabled: true, ...more }, text);
    this.go = button("▶ Train", () => this.train(), { class: "primary", "data-python": "" });
    this.once = button("Step", () => this.step(), { "data-python": "" });
    this.again = button("Reset", () => this.reset(), { "data-python": "" });
    this.end = button("■ Stop", () => this.stop());
    this.told = el("p", { class: "told", role: "status" }, "The picture appears here in a moment.");
    this.canvas = el("canvas", { class: "plane-picture", width: SIZE, height: SIZE, role: "img", "aria-label": "points of two classes, and the network's answer in each place" });
    this.curve = el("canvas", { class: "plane-curve", width: SIZE, height: 90, role: "img", "aria-label": "the loss by step" });
    this.element = el("div", { class: "plane" },
      el("section", { class: "card" },
        el("h2", {}, "Two classes in the plane"),
        el("p", { class: "hint" }, "A network with two hidden layers learns which points are blue and which are orange. The color says what it would answer, and the dark line is where it cannot decide."),
        this.data, this.activation, widthLabel, rateLabel, noiseLabel),
      el("section", { class: "card" },
        el("div", { class: "buttons" }, this.go, this.end, this.once, this.again), this.told, this.canvas, this.curve));
  }

  ready() {
    Object.assign(this, { made: null, running: false });
    this.buttons();
    if (!this.element.closest("[hidden]")) this.reset();
  }

  shown() {
    if (!this.made && !this.go.disabled) this.reset();
  }

  buttons(busy = this.running) {
    for (const each of [this.go, this.once, this.again]) each.disabled = busy;
    this.end.disabled = !busy;
  }

  chosen(field) {
    return field.querySelector(":checked").value;
  }

  // What points and network are made of.
  get settings() {
    return [this.chosen(this.data), Number(this.noise.value), Number(this.width.value), this.chosen(this.activation)];
  }

  // Make points and network, if there are none of these settings.
  async make() {
    const { settings } = this;
    if (this.made === settings.join()) return true;
    const reply = await this.call("plane.start", ...settings);
    if (!this.took(reply)) return false;
    Object.assign(this, { made: settings.join(), points: reply.result.points, side: reply.result.side, parameters: reply.result.parameters, losses: [] });
    this.show(reply.result);
    return true;
  }

  async advance(seconds) {
    const reply = await this.call("plane.advance", seconds, 10 ** Number(this.rate.value));
    if (!this.took(reply)) return false;
    this.show(reply.result);
    return true;
  }

  took(reply) {
    if (reply?.error) this.told.textContent = reply.error.text;
    return Boolean(reply?.result);
  }

  async work(task) {
    if (this.running || this.go.disabled) return;
    this.running = true;
    this.buttons();
    await task();
    this.running = false;
    this.buttons(false);
  }

  // Settings that change on the way make a new network, and the training goes on with that.
  train() {
    return this.work(async () => {
      while (this.running && (await this.make()) && this.running && (await this.advance(SLICE)));
    });
  }

  step() {
    return this.work(async () => (await this.make()) && this.advance(0));
  }

  reset() {
    return this.work(async () => {
      this.made = null;
      while (this.made !== this.settings.join() && (await this.make())); // settings may change meanwhile
    });
  }

  async stop() {
    this.running = false;
    await this.halt();
  }

  show({ steps, loss, accuracy, cells }) {
    this.losses.push([steps, Number(loss)]);
    this.told.textContent = `Step ${steps}: loss ${num(loss, 3)}, ${percent(Number(accuracy))} of ${this.points.length} points right, ${plural(this.parameters, "parameter")}.`;
    this.paint(cells);
    this.chart();
  }

  paint(cells) {
    const n = Math.sqrt(cells.length);
    const small = document.createElement("canvas");
    small.width = small.height = n;
    const image = small.getContext("2d").createImageData(n, n);
    cells.forEach((cell, i) => {
      const p = cell / 255;
      const strength = 0.1 + 0.6 * Math.abs(2 * p - 1);
      COLORS[Number(p > 0.5)].forEach((c, k) => (image.data[4 * i + k] = 255 - strength * (255 - c)));
      image.data[4 * i + 3] = 255;
    });
    small.getContext("2d").putImageData(image, 0, 0);
    const c = this.canvas.getContext("2d");
    c.imageSmoothingEnabled = true;
    c.drawImage(small, 0, 0, SIZE, SIZE);
    c.beginPath();
    for (const [from, to] of boundary(cells, n)) {
      c.moveTo(...from.map((v) => ((v + 0.5) * SIZE) / n));
      c.lineTo(...to.map((v) => ((v + 0.5) * SIZE) / n));
    }
    Object.assign(c, { strokeStyle: "#1d2330", lineWidth: 2.5, lineCap: "round" });
    c.stroke();
    c.lineWidth = 1;
    for (const [x, y, kind] of this.points) {
      c.beginPath();
      const at = (v) => (v / this.side + 1) * (SIZE / 2);
      if (kind) c.arc(at(x), at(-y), 5, 0, 7);
      else c.rect(at(x) - 4, at(-y) - 4, 8, 8); // another shape, for who does not see the colors
      c.fillStyle = `rgb(${COLORS[kind].map((v) => v * 0.8)})`;
      c.fill();
      c.strokeStyle = "#fff";
      c.stroke();
    }
  }

  chart() {
    const c = this.curve.getContext("2d");
    const { width, height } = this.curve;
    c.clearRect(0, 0, width, height);
    const last = Math.max(1, this.losses.at(-1)[0]);
    const top = Math.max(...this.losses.map(([, loss]) => (Number.isFinite(loss) ? loss : 0)), 0.1);
    c.strokeStyle = getComputedStyle(this.element).getPropertyValue("--gradient") || "#d4572a";
    c.lineWidth = 2;
    c.beginPath();
    for (const [step, loss] of this.losses) if (Number.isFinite(loss)) c.lineTo((step / last) * width, height - 4 - (loss / top) * (height - 8));
    c.stroke();
  }
}

// Lines along which the cells of a grid are halfway: in each square of four cells, straight between the edges that they cross.
function boundary(cells, n) {
  const lines = [];
  const at = (x, y) => cells[y * n + x] - 127.5;
  for (let y = 0; y + 1 < n; y++) {
    for (let x = 0; x + 1 < n; x++) {
      const corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]];
      const crossed = corners.flatMap(([x0, y0], i) => {
        const [x1, y1] = corners[(i + 1) % 4];
        const [a, b] = [at(x0, y0), at(x1, y1)];
        return a > 0 === b > 0 ? [] : [[x0 + ((x1 - x0) * a) / (a - b), y0 + ((y1 - y0) * a) / (a - b)]];
      });
      for (let i = 0; i + 1 < crossed.length; i += 2) lines.push([crossed[i], crossed[i + 1]]);
    }
  }
  return lines;
}

// The tab "Train": a network on the digits, and a digit of one's own.

import { el, num, percent, plural, shape } from "./view/format.js";
import { livePage } from "./view/live.js";
import { Digit } from "./digit.js";
import { Editor } from "./editor.js";
import { NETWORKS } from "./presets.js";

const SLICE = 0.1; // seconds of training between two looks at the page
const LOOK = 250; // milliseconds between two looks at the digit

const OPTIMIZERS = ["Adam", "AdamW", "SGD", "SGD with momentum", "RMSprop"];

export class Train {
  name = "train";
  title = "Train";

  constructor(call, stop) {
    Object.assign(this, { call, halt: stop, running: false, made: null, epochs: 0, looked: 0, examples: 0 });
    this.editor = new Editor("the network, in Python", NETWORKS, 10, () => this.train());
    this.optimizer = el("select", {}, OPTIMIZERS.map((name) => el("option", {}, name)));
    const number = (value, step) => el("input", { type: "number", min: step, step, value });
    this.rate = number("0.003", "any");
    this.batch = number("50", "1");
    this.limit = number("40", "1");
    const button = (text, onclick, more) => el("button", { onclick, disabled: true, ...more }, text);
    this.go = button("▶ Train", () => this.train(), { class: "primary", "data-python": "" });
    this.once = button("Step", () => this.step(), { "data-python": "" });
    this.again = button("Reset", () => this.reset(), { "data-python": "" });
    this.end = button("■ Stop", () => this.stop());
    this.told = el("p", { class: "told", role: "status" });
    this.digit = new Digit((pixels) => (pixels ? this.look() : this.clear()));
    this.guess = el("p", { class: "guess", role: "status" }, "–");
    this.chances = el("ol", { class: "chances", start: "0" });
    this.inside = el("div", { class: "inside" });
    this.page = el("div");
    const field = (text, input) => el("label", {}, text, input);
    this.element = el("div", { class: "train" },
      el("div", { class: "column" },
        el("section", { class: "card" },
          el("h2", {}, "Network"),
          el("p", { class: "hint" }, "Python that makes model, which turns images (N, 1, 8, 8) into scores (N, 10). tg, nn and np are there."),
          this.editor.element,
          el("div", { class: "fields" }, field("optimizer", this.optimizer), field("rate", this.rate), field("batch", this.batch), field("epochs", this.limit)),
          el("div", { class: "buttons" }, this.go, this.end, this.once, this.again),
          this.told),
        el("section", { class: "card" },
          el("h2", {}, "Draw a digit"),
          el("div", { class: "drawn" }, this.digit.canvas, el("div", {}, this.guess, this.chances)),
          el("div", { class: "buttons" },
            el("button", { onclick: () => this.clear() }, "Clear"),
            el("button", { disabled: true, "data-python": "", onclick: () => this.example() }, "A digit of the data")),
          this.inside)),
      this.page);
  }

  async ready() {
    this.made = null;
    this.running = false;
    this.buttons();
    if (!this.digit.pixels) await this.example();
  }

  buttons(busy = this.running) {
    for (const each of [this.go, this.once, this.again]) each.disabled = busy;
    this.end.disabled = !busy;
  }

  // What the network is made of: where this has changed, a training begins anew.
  get recipe() {
    return JSON.stringify([this.editor.text, this.optimizer.value, this.batch.value]);
  }

  // Make the network, if there is none of this recipe. False if that fails.
  async make(anew = false) {
    if (!anew && this.made === this.recipe) return true;
    const recipe = this.recipe;
    const batch = Number(this.batch.value);
    if (!(Number.isInteger(batch) && batch > 0)) return this.fail({ error: { text: `batch is ${this.batch.value || "empty"}; it must be a whole number of at least 1` } });
    const reply = await this.call("train.start", this.editor.text, this.optimizer.value, Number(this.rate.value), batch);
    if (!reply) return false;
    if (!this.editor.show(reply)) return this.fail(reply);
    const { parameters, batches, news } = reply.result;
    Object.assign(this, { made: recipe, epochs: 0 });
    const root = el("div");
    this.page.replaceChildren(root);
    this.live = livePage(root, { graph: null, whole: false });
    this.live.take(news);
    this.told.textContent = `${plural(parameters, "parameter")}; ${plural(batches, "step")} in an epoch.`;
    await this.look(true);
    return true;
  }

  // Take steps for some seconds. False if that fails.
  async advance(seconds, epochs) {
    const reply = await this.call("train.advance", seconds, Number(this.rate.value), epochs);
    if (!reply) return false;
    if (reply.error) return this.fail(reply);
    this.editor.show(reply);
    this.epochs = reply.result.epochs;
    this.live.take(reply.result.news);
    await this.look(seconds === 0);
    return true;
  }

  fail(reply) {
    this.made = null;
    this.editor.show(reply);
    return false;
  }

  // One of the buttons: while it works, only Stop can be pressed.
  async work(task) {
    if (this.running || this.go.disabled) return;
    this.running = true;
    this.buttons();
    await task();
    this.running = false;
    this.buttons(false);
    this.pause();
  }

  // Until the next step the page says so.
  pause() {
    const { run, items } = this.live?.told ?? { items: {} };
    if (items.state) this.live.take({ run, series: {}, items: { state: { ...items.state, status: "paused" } } });
  }

  train() {
    return this.work(async () => {
      if (!(await this.make())) return;
      const epochs = this.epochs + Math.max(1, Math.floor(Number(this.limit.value)) || 1);
      while (this.running && this.epochs < epochs && (await this.advance(SLICE, epochs)));
      await this.look(true);
    });
  }

  step() {
    return this.work(async () => (await this.make()) && this.advance(0, Infinity));
  }

  reset() {
    return this.work(() => this.make(true));
  }

  async stop() {
    this.running = false;
    this.end.disabled = true;
    if (await this.halt()) this.told.textContent = "Python did not come to an end and was started anew: the next training begins from the start.";
  }

  clear() {
    this.digit.clear();
    this.guess.textContent = "–";
    this.chances.replaceChildren();
    this.inside.replaceChildren();
  }

  async example() {
    const reply = await this.call("train.example", this.examples++);
    if (reply?.result) this.digit.give(reply.result.pixels);
  }

  // What the network makes of the digit: at once if `now`, else when it is time again.
  async look(now = !this.running) {
    if (!this.digit.pixels || !this.made || this.looking || (!now && performance.now() - this.looked < LOOK)) return;
    this.looking = true;
    this.digit.canvas.dataset.pixels = this.digit.pixels.join(" ");
    const reply = await this.call("train.look", this.digit.pixels);
    this.looking = false;
    this.looked = performance.now();
    if (reply?.error) return this.editor.show(reply);
    if (reply?.result) this.tell(reply.result);
    if (reply && this.digit.pixels && this.digit.canvas.dataset.pixels !== this.digit.pixels.join(" ")) await this.look(true); // it was drawn on
  }

  tell({ guess, probabilities, saliency, maps }) {
    this.guess.replaceChildren("It is a ", el("b", {}, String(guess)), ` (${percent(Number(probabilities[guess]))})`);
    this.chances.replaceChildren(...probabilities.map((p, i) => el("li", { class: i === guess ? "best" : null, "data-digit": i },
      el("span", { class: "level", style: `width: ${Math.max(0, Number(p)) * 100}%` }), el("span", { class: "number" }, num(Number(p), 3)))));
    const figure = (picture, name, note) => el("figure", {}, el("img", { class: "picture", src: picture, alt: `${name}, ${note}` }), el("figcaption", {}, el("b", {}, name), ` ${note}`));
    this.inside.replaceChildren(figure(saliency, "Where it looks", `gradient of the score of ${guess} in each pixel`),
      ...maps.map((map) => figure(map.picture, map.name, shape(map.shape))));
  }
}

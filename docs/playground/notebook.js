// The tab "Notebook": a published notebook, cell by cell, with the gradients of the graph beside those computed by hand.

import { el, num, percent, plural, shape } from "./view/format.js";

const MISTAKES = [
  ["whole map", "The convolution fills the whole feature map, not only a corner of 3 × 3"],
  ["targets", "The gradient of the loss contains the targets"],
  ["one division", "Every gradient is divided by the number of images, once"],
];
const TITLES = {
  1: "Forward: convolution, relu, two linear layers, loss", 9: "Step 1: the loss", 10: "Step 2: the second linear layer",
  11: "Step 3: the first linear layer", 12: "Step 4: the relu", 15: "Step 5: the convolution",
};

export class Notebook {
  name = "notebook";
  title = "Notebook";

  constructor(call) {
    Object.assign(this, { call, at: 0, cells: [] });
    const button = (text, onclick, more) => el("button", { onclick, disabled: true, ...more }, text);
    this.next = button("Run the next cell", () => this.go(this.at + 1), { class: "primary" });
    this.all = button("Run all", () => this.go(this.cells.length));
    this.again = button("From the start", () => this.go(0));
    this.boxes = MISTAKES.map(([name]) => el("input", { type: "checkbox", value: name, onchange: () => this.run() }));
    this.list = el("div", { class: "cells" });
    this.told = el("p", { class: "told", role: "status" });
    this.error = el("pre", { class: "error", role: "alert", hidden: true });
    this.element = el("div", { class: "notebook" },
      el("section", { class: "card" },
        el("h2", {}, "Convolutional neural networks from scratch"),
        el("p", { class: "hint" }, "A notebook that computes a network of two images and all of its gradients with NumPy, as it was published. The library records the same network and computes every gradient by one backward pass. Beside each gradient of the notebook stands that of the graph. The notebook has three mistakes: one in its forward pass, which the graph repeats, and two that make its gradients wrong. Mend them:"),
        el("div", { class: "repairs" }, MISTAKES.map(([, text], i) => el("label", {}, this.boxes[i], text))),
        el("div", { class: "buttons" }, this.next, this.all, this.again), this.told, this.error),
      this.list);
  }

  async ready() {
    if (!this.cells.length && !this.element.closest("[hidden]")) await this.run();
    this.buttons();
  }

  shown() {
    if (!this.cells.length) this.run();
  }

  buttons() {
    this.next.disabled = this.all.disabled = this.at >= this.cells.length;
    this.again.disabled = !this.at;
  }

  async run() {
    const reply = await this.call("notebook.run", this.boxes.filter((box) => box.checked).map((box) => box.value));
    if (!reply) return;
    this.error.hidden = !reply.error;
    this.error.textContent = reply.error?.text ?? "";
    if (reply.error) return;
    this.cells = reply.result;
    this.go(this.at);
  }

  // Show the first `at` cells as run.
  go(at) {
    const more = at > this.at;
    this.at = at;
    this.list.replaceChildren(...this.cells.map((cell) => this.cell(cell, cell.number <= at)));
    const gradients = this.cells.slice(0, at).flatMap((cell) => cell.gradients);
    const right = gradients.filter((each) => each.agrees).length;
    this.told.textContent = gradients.length ? `${plural(gradients.length, "gradient")} so far: ${right} of them right.` : `${at} of ${this.cells.length} cells have run.`;
    this.buttons();
    if (more) this.list.children[at - 1]?.scrollIntoView({ block: "nearest" });
  }

  cell({ number, source, changed, output, gradients, rules }, ran) {
    const lines = source.split("\n").map((line, i) => el("span", { class: changed.includes(i) ? "mended" : null }, `${line}\n`));
    return el("article", { class: ran ? "card cell ran" : "card cell" },
      TITLES[number] ? el("h3", {}, TITLES[number]) : null,
      el("div", { class: "split" },
        el("div", {}, el("p", { class: "prompt" }, `In [${number}]`), el("pre", { class: "source", tabindex: "0" }, lines), ran && output ? el("pre", { class: "output" }, output) : null),
        ran && gradients.length ? el("div", { class: "beside" }, gradients.map((each) => this.compared(each)),
          el("details", {}, el("summary", {}, "The rules that compute them"), rules.map((each) => el("div", {}, el("h4", {}, each.op), el("pre", {}, each.rules.join("\n")))))) : null));
  }

  compared({ name, shape: sizes, hand, graph, error, agrees }) {
    const side = (title, { first, picture }) => el("td", {}, picture ? el("img", { class: "picture", src: picture, alt: `${name} ${title} as a picture` }) : null,
      el("span", { class: "number" }, first.map((each) => num(each, 4)).join("  "), sizes.reduce((a, b) => a * b, 1) > first.length ? " …" : ""));
    const word = agrees ? "agrees" : error > 10 || Number.isNaN(Number(error)) ? "is far off" : `is off by ${percent(Number(error))}`;
    return el("table", { class: `compared ${agrees ? "right" : "off"}` },
      el("caption", {}, el("b", {}, name), ` ${shape(sizes)} `, el("span", { class: agrees ? "good" : "bad" }, word)),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "by hand"), el("th", { scope: "col" }, "by the graph"))),
      el("tbody", {}, el("tr", {}, side("by hand", hand), side("by the graph", graph))));
  }
}

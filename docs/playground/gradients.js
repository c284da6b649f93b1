// The tab "Gradients": the graph of a program, numbers to change, and a check of the user's own rules.

import { el, num } from "./view/format.js";
import { start } from "./view/main.js";
import { Editor } from "./editor.js";
import { PROGRAMS, RULES } from "./presets.js";

const WAIT = 400; // milliseconds without typing after which a program is run
export class Gradients {
  name = "gradients";
  title = "Gradients";

  constructor(call, stop) {
    this.call = call;
    this.halt = stop;
    this.program = new Editor("a program, in Python", PROGRAMS, 9, () => this.show());
    this.rule = new Editor("an op with a rule, and its check, in Python", RULES, 10, () => this.check());
    this.numbers = el("div", { class: "fields numbers" });
    this.place = el("div", { class: "graph-place" });
    this.verdict = el("div", { class: "verdict" });
    this.program.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.show(), WAIT);
    });
    const button = (text, onclick, more) => el("button", { disabled: true, onclick, ...more }, text);
    this.ends = [button("■ Stop", () => this.stop()), button("■ Stop", () => this.stop())];
    this.element = el("div", { class: "gradients" },
      el("section", { class: "card" },
        el("h2", {}, "A program and its graph"),
        el("p", { class: "hint" }, "A line such as a = 2.0 makes a Tensor with a gradient. The graph is that of the last line. Press ▶ Play below it to see backward, and change a number to see it flow."),
        el("div", { class: "split" },
          el("div", {}, this.program.element, this.numbers,
            el("div", { class: "buttons" }, button("Show the graph", () => this.show(), { class: "primary", "data-python": "" }), this.ends[0])),
          this.place)),
      el("section", { class: "card" },
        el("h2", {}, "Check a rule of your own"),
        el("p", { class: "hint" }, "gradcheck compares the rule with differences of the function's values. See which entry is wrong, mend the rule, and check again."),
        el("div", { class: "split" },
          el("div", {}, this.rule.element,
            el("div", { class: "buttons" }, button("Check", () => this.check(), { class: "primary", "data-python": "" }), this.ends[1])),
          this.verdict)));
  }

  async ready() {
    this.busy = false;
    for (const end of this.ends) end.disabled = true;
    if (!this.page && !this.place.closest("[hidden]")) await this.show();
  }

  // A drawing needs to be in sight to know its size.
  shown() {
    if (!this.page) this.show();
  }

  // Run something of which only the last request counts.
  async run(name, editor, end) {
    if (this.busy) {
      this.next = { name, editor, end };
      return null;
    }
    this.busy = true;
    end.disabled = false;
    const reply = await this.call(name, editor.text);
    this.busy = false;
    end.disabled = true;
    const { next } = this;
    this.next = null;
    if (next) next.name === "gradients.show" ? this.show() : this.check();
    return reply && editor.show(reply) ? reply.result : null;
  }

  async stop() {
    this.next = null;
    await this.halt();
  }

  async show() {
    clearTimeout(this.timer);
    const result = await this.run("gradients.show", this.program, this.ends[0]);
    if (!result) return;
    this.draw(result.graph);
    this.offer(result.leaves);
  }

  // The page of tg.show. Where only numbers have changed, it stays as it is looked at.
  draw(data) {
    const root = el("div");
    const before = this.page;
    this.place.replaceChildren(root);
    this.page = start(root, data, root);
    const shape = data.nodes.map((node) => `${node.op}${node.name}${(node.inputs ?? []).map((input) => input.node)}`).join();
    if (before && shape === this.shape) {
      const { view, play } = this.page;
      view.move(before.view.x, before.view.y, before.view.scale);
      if (before.view.selected) view.choose(before.view.selected);
      play.show(before.play.at);
    }
    this.shape = shape;
  }

  // A field for each number that has a gradient. What is entered there goes into the text.
  offer(leaves) {
    const names = leaves.map((leaf) => leaf.name).join();
    if (names !== this.names) {
      this.names = names;
      this.inputs = leaves.map((leaf, i) => el("input", { type: "number", step: "0.1", oninput: (event) => this.change(i, event.target) }));
      this.numbers.replaceChildren(...leaves.map((leaf, i) => el("label", {}, leaf.name, this.inputs[i])));
    }
    this.leaves = leaves;
    leaves.forEach((leaf, i) => document.activeElement !== this.inputs[i] && (this.inputs[i].value = leaf.value));
  }

  change(i, input) {
    if (!Number.isFinite(input.valueAsNumber)) return;
    const text = /[.e]/.test(input.value) ? input.value : `${input.value}.0`;
    const { line, start: from, end: to } = this.leaves[i];
    const lines = this.program.text.split("\n");
    lines[line - 1] = lines[line - 1].slice(0, from) + text + lines[line - 1].slice(to);
    this.program.input.value = lines.join("\n");
    const moved = text.length - (to - from);
    this.leaves = this.leaves.map((leaf, j) => (j === i ? { ...leaf, end: to + moved } : leaf));
    this.show();
  }

  async check() {
    const result = await this.run("gradients.check", this.rule, this.ends[1]);
    if (!result) return void this.verdict.replaceChildren();
    const { passed, text, tables, incoming } = result;
    const entries = tables.some((table) => table.wrong.length);
    this.verdict.replaceChildren(
      el("p", { class: passed ? "good" : "bad", role: "status" }, passed ? "The rule agrees with the differences." : "The rule is wrong."),
      ...(passed || entries ? [] : [el("pre", {}, text)]), // what the table does not show
      ...tables.map((table) => this.table(table, incoming)));
  }

  table({ input, rules, differences, wrong, kinks }, incoming) {
    const flat = (values) => (Array.isArray(values) ? values.flat(Infinity) : [values]);
    const indices = (values) => (Array.isArray(values) ? values.flatMap((each, i) => indices(each).map((rest) => [i, ...rest])) : [[]]);
    const [given, known] = [flat(rules), flat(differences)];
    const rows = indices(rules).map((index, i) => {
      const bad = wrong.includes(i);
      return el("tr", { class: bad ? "bad" : null }, el("th", { scope: "row" }, `(${index.join(", ")})`), el("td", {}, num(given[i], 6)), el("td", {}, num(known[i], 6)), el("td", {}, bad ? "wrong" : kinks.includes(i) ? "a kink" : "agrees"));
    });
    const of = { ones: "the sum of the outputs (the incoming gradient g is 1)", counted: "the outputs, multiplied by 1, 2, 3, … and added (these are g)" }[incoming];
    return el("figure", {}, el("table", { class: "entries" },
      el("thead", {}, el("tr", {}, ["entry", "by the rule", "by differences", ""].map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, rows)),
      el("figcaption", {}, `Input ${input}: derivative of ${of}.`));
  }
}

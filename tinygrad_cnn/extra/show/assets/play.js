// The backward pass, node by node: gradients flow along edges, and sums add up where paths meet.

import { el, label, num, svg } from "./format.js";

export class Play {
  constructor(graph, view) {
    Object.assign(this, { graph, view, at: -1, timer: null });
    this.order = graph.data.order.map((id) => graph.nodes[id]).filter((node) => node.gradient);
    this.expected = new Map(); // how many gradients each node waits for
    for (const node of graph.nodes) {
      for (const input of node.inputs) if (input.gradient) this.expected.set(input.node, (this.expected.get(input.node) ?? 0) + 1);
    }
    this.toggle = el("button", { class: "primary", title: "Play the backward pass (p)", onclick: () => (this.timer ? this.pause() : this.play()) }, "▶ Play");
    this.slider = el("input", { type: "range", min: 0, max: this.order.length, value: 0, "aria-label": "step of the backward pass", oninput: (event) => { this.pause(); this.show(Number(event.target.value) - 1); } });
    this.text = el("p", { class: "told", "aria-live": "polite" });
    this.element = el("div", { class: "play", hidden: this.order.length < 2 },
      this.toggle,
      el("button", { title: "one step back", "aria-label": "one step back", onclick: () => { this.pause(); this.show(this.at - 1); } }, "◂"),
      el("button", { title: "one step on", "aria-label": "one step on", onclick: () => { this.pause(); this.show(this.at + 1); } }, "▸"),
      this.slider, this.text);
  }

  play() {
    if (this.at >= this.order.length - 1) this.at = -1;
    const wait = Math.min(1500, Math.max(80, 20000 / this.order.length));
    this.toggle.textContent = "❚❚ Pause";
    const next = () => {
      this.show(this.at + 1);
      this.timer = this.at < this.order.length - 1 ? setTimeout(next, wait) : null;
      if (!this.timer) this.pause();
    };
    next();
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.toggle.textContent = "▶ Play";
  }

  // The state after step `at`: which nodes have all of their gradient, and what has arrived at the others.
  show(at) {
    this.at = Math.min(Math.max(at, -1), this.order.length - 1);
    this.slider.value = this.at + 1;
    const { view, graph } = this;
    view.svg.classList.toggle("playing", this.at >= 0);
    view.labels.replaceChildren();
    for (const edge of view.edges.values()) edge.path.classList.remove("flow", "flowed");
    for (const g of view.drawn.values()) g.classList.remove("now", "done", "waiting");
    if (this.at < 0) {
      this.text.textContent = "";
      return;
    }
    const arrived = this.arrived();
    for (const [id, given] of arrived) {
      if (given.length < (this.expected.get(id) ?? 0)) this.mark(graph.nodes[id], "waiting");
    }
    for (const node of this.order.slice(0, this.at + 1)) this.mark(node, "done");
    const node = this.order[this.at];
    this.mark(node, "now");
    const key = graph.boxOf(node);
    view.center(key);
    for (const done of this.order.slice(0, this.at + 1)) {
      for (const input of done.inputs.filter((each) => each.gradient)) {
        const edge = view.edges.get(`${graph.boxOf(graph.nodes[input.node])}-${graph.boxOf(done)}`);
        edge?.path.classList.add(done === node ? "flow" : "flowed");
        if (done === node && edge) this.tag(edge.path, input.gradient);
      }
    }
    this.text.textContent = this.told(node, arrived);
  }

  mark(node, state) {
    this.view.drawn.get(this.graph.boxOf(node))?.classList.add(state);
  }

  tag(path, gradient) {
    const at = path.getPointAtLength(path.getTotalLength() / 2);
    const text = gradient.size === 1 ? num(gradient.values) : `norm ${num(gradient.norm, 3)}`;
    this.view.labels.append(svg("g", { transform: `translate(${at.x} ${at.y})` },
      svg("rect", { x: -(text.length * 3.6 + 6), y: -10, width: text.length * 7.2 + 12, height: 20, rx: 10 }), svg("text", { y: 4 }, text)));
  }

  // The gradients that have arrived at each node so far.
  arrived() {
    const found = new Map();
    for (const node of this.order.slice(0, this.at + 1)) {
      for (const input of node.inputs) {
        if (input.gradient) found.set(input.node, [...(found.get(input.node) ?? []), input.gradient]);
      }
    }
    return found;
  }

  told(node, arrived) {
    const own = node.gradient.size === 1 ? num(node.gradient.values) : `norm ${num(node.gradient.norm)}`;
    const given = arrived.get(node.id) ?? [];
    const numbers = given.every((each) => each.size === 1) ? given.map((each) => num(each.values)).join(" + ") : `${given.length} gradients added`;
    const parts = [`Step ${this.at + 1} of ${this.order.length}. ${label(node)}${node.op && node.name ? ` ${node.name}` : ""}: gradient ${given.length > 1 ? `${numbers} = ` : ""}${own}.`];
    const sums = new Set(node.inputs.filter((input) => input.gradient).map((input) => input.node));
    for (const id of sums) {
      const got = arrived.get(id).length;
      const want = this.expected.get(id);
      const name = label(this.graph.nodes[id]);
      if (want > 1) parts.push(got < want ? `${name} waits: ${got} of ${want} gradients have arrived.` : `${name} has all ${want}: they add up.`);
    }
    if (!node.inputs.length) parts.push("A leaf: this is its grad.");
    return parts.join(" ");
  }
}

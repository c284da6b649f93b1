// The drawing: boxes, edges and groups as SVG, with pan, zoom, keyboard and selection.

import { el, isBad, label, num, plural, sentence, shape, svg } from "./format.js";
import { bars } from "./details.js";
import { arrange, curve } from "./layout.js";

const SMALLEST = 0.6; // to which a drawing is zoomed out at first, so that texts can be read
const WHOLE = 0.8; // from which on all of it is shown
const PICTURE = 68;

const canvas = document.createElement("canvas").getContext("2d");
function widthOf(text, font) {
  canvas.font = font;
  return canvas.measureText(text).width;
}
const TITLE = "600 13px system-ui, sans-serif";
const SMALL = "11px system-ui, sans-serif";
const clip = (text, length = 30) => ([...text].length > length ? `${[...text].slice(0, length - 1).join("")}…` : text);
const tail = (text, length = 30) => ([...text].length > length ? `…${[...text].slice(1 - length).join("")}` : text); // of a path

// The lines of a box: a title, a line about it, rows of numbers, and a picture or a histogram.
function content(graph, box) {
  const node = box.group ? graph.outputOf(box.group) : box.node;
  const nodes = box.group ? [...graph.nodesIn(box.group)] : [node];
  const lines = { node, bad: nodes.some((each) => isBad(each.value) || isBad(each.gradient)), rows: [] };
  if (box.group) {
    const only = graph.onlyOp(box.group);
    lines.title = only ? clip(label(only)) : tail(graph.title(box.group));
    lines.note = clip(only ? graph.beside(box.group.module ?? box.group, label(only)) : graph.note(box.group));
    lines.below = `${plural(nodes.length, "node")}${node ? ` · ${shape(node.shape)}` : ""}`;
    lines.family = only ? graph.data.ops[only.op].family : "group";
  } else {
    lines.title = node.op ? clip(label(node)) : tail(label(node));
    lines.note = node.op ? clip(node.name || (node.module ? graph.beside(node.module, label(node)) : "")) : "";
    const constants = node.inputs.filter((input) => input.node === undefined && input.text !== "None" && input.text.length < 14);
    const plain = constants.map((input) => `${input.name} = ${input.text}`).join(", ");
    lines.below = node.shape.length ? shape(node.shape) : node.value?.size === 1 ? "" : "scalar";
    if (plain) lines.below = [lines.below, clip(plain)].filter(Boolean).join(" · ");
    lines.family = node.op ? graph.data.ops[node.op].family : node.kind;
  }
  const value = node?.value;
  if (value?.size === 1) lines.rows.push(["value", num(value.values)]);
  if (node?.gradient?.size === 1) lines.rows.push(["gradient", num(node.gradient.values)]);
  if (value?.picture) lines.picture = value.picture;
  else if (value?.histogram && value.size > 8) lines.histogram = value.histogram;
  else if (value?.values && value.size > 1 && node.shape.length === 1 && value.size <= 4) {
    lines.rows.push(["value", value.values.map((v) => num(v, 3)).join("  ")]);
    if (node.gradient?.values) lines.rows.push(["gradient", node.gradient.values.map((v) => num(v, 3)).join("  ")]);
  }
  if (lines.histogram && node.gradient?.histogram) lines.slopes = node.gradient.histogram;
  const rowWidth = lines.rows.reduce((sum, [, text]) => Math.max(sum, widthOf(text, "12px ui-monospace, monospace") + 44), 0);
  const titleWidth = widthOf(lines.title, TITLE) + (lines.note ? widthOf(lines.note, SMALL) + 8 : 0);
  lines.width = Math.max(72, titleWidth + (box.group ? 40 : 26), widthOf(lines.below, SMALL) + 26, rowWidth + 22, lines.picture ? 96 : lines.histogram ? 104 : 0);
  lines.height = 28 + (lines.below ? 15 : 0) + lines.rows.length * 17 + (lines.picture ? PICTURE + 8 : lines.histogram ? 30 : 0) + 4;
  return lines;
}

export class View {
  // `on.select(key)` is called for a box, and `on.change()` after a group was opened or closed.
  constructor(graph, on) {
    this.graph = graph;
    this.on = on;
    this.direction = null;
    this.selected = null;
    this.fitted = null; // the argument of `fit`, until the drawing is moved
    this.layer = svg("g");
    this.svg = svg("svg", { class: "drawing", role: "group", "aria-label": "graph: arrow keys move, Enter opens", tabindex: "0" },
      svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 10, markerHeight: 10, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
        svg("path", { d: "M0 .6L8 4L0 7.4z" }))),
      this.layer);
    this.element = el("div", { class: "canvas" }, this.svg);
    this.listen();
  }

  // Lay the open groups out and draw them.
  draw(fit = true) {
    const { graph } = this;
    const focused = this.layer.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const boxes = graph.boxes();
    for (const box of boxes) Object.assign(box, content(graph, box));
    const edges = graph.edges();
    const clusters = graph.clusters();
    this.direction ??= boxes.length <= 16 && !clusters.length && this.element.clientWidth > 800 ? "LR" : "TB";
    this.layout = arrange(boxes, edges, clusters, this.direction);
    this.boxes = new Map(boxes.map((box) => [box.key, box]));
    this.drawn = new Map();
    this.edges = new Map();
    this.layer.replaceChildren(
      ...clusters.map((group) => this.cluster(group)),
      svg("g", { class: "edges", "aria-hidden": "true" }, edges.map((edge) => this.edge(edge))),
      ...boxes.sort((a, b) => (a.node?.id ?? 0) - (b.node?.id ?? 0)).map((box) => this.box(box)),
      (this.labels = svg("g", { class: "labels", "aria-hidden": "true" })),
    );
    if (this.selected) this.drawn.get(this.selected)?.classList.add("selected");
    this.drawn.get(focused)?.focus({ preventScroll: true });
    if (fit) this.fit();
  }

  cluster(group) {
    const at = this.layout.place(`c${group.id}`);
    const title = clip(`${this.graph.title(group)} ${this.graph.note(group)}`, Math.max(8, at.width / 7));
    const close = () => this.toggle(group.id);
    const g = svg("g", { class: "cluster", transform: `translate(${at.x - at.width / 2} ${at.y - at.height / 2})`, tabindex: "-1", role: "button", "aria-expanded": "true", "aria-label": `close ${this.graph.title(group)}`, "data-key": `c${group.id}`, onclick: close },
      svg("rect", { width: at.width, height: at.height, rx: 14 }),
      svg("text", { x: 12, y: 17 }, `▾ ${title}`));
    this.drawn.set(`c${group.id}`, g);
    return g;
  }

  edge(edge) {
    const path = svg("path", { d: curve(this.layout.points(edge)), "marker-end": "url(#arrow)", "data-edge": edge.key, class: edge.inputs.some((i) => isBad(i.gradient)) ? "bad" : null });
    this.edges.set(edge.key, { ...edge, path });
    return path;
  }

  box(box) {
    const { width, height } = box;
    const at = this.layout.place(box.key);
    const g = svg("g", {
      class: `box ${box.group ? "closed" : box.node.kind} f-${box.family}${box.bad ? " bad" : ""}${(box.node?.output && !box.group) ? " output" : ""}`,
      transform: `translate(${at.x - width / 2} ${at.y - height / 2})`, tabindex: "-1", role: "button", "data-key": box.key,
      "aria-label": box.group ? `${this.graph.title(box.group)}, ${box.group.type}, ${box.below}, closed` : sentence(box.node),
      onclick: () => this.choose(box.key), ondblclick: () => box.group && this.toggle(box.group.id),
    });
    if (box.group) g.append(svg("rect", { class: "behind", x: 4, y: 4, width, height, rx: 9 }));
    g.append(svg("rect", { class: "face", width, height, rx: 9 }), svg("rect", { class: "stripe", x: 0, y: 8, width: 4, height: height - 16, rx: 2 }));
    g.append(svg("text", { class: "title", x: 13, y: 20 }, box.title, box.note ? svg("tspan", { class: "note", dx: 7 }, box.note) : null));
    let y = 24;
    if (box.below) g.append(svg("text", { class: "below", x: 13, y: (y += 12) }, box.below));
    y += 3;
    for (const [kind, text] of box.rows) {
      y += 16;
      const style = ["NaN", "∞"].some((bad) => text.includes(bad)) ? "number bad" : "number";
      g.append(svg("text", { class: `row ${kind}`, x: 13, y: y - 2 }, svg("tspan", { class: "key" }, kind === "value" ? "value" : "grad"), svg("tspan", { x: 52, class: style }, text)));
    }
    if (box.picture) g.append(svg("image", { href: box.picture, x: 13, y: y + 4, width: width - 26, height: PICTURE, preserveAspectRatio: "xMidYMid meet" }));
    else if (box.histogram) {
      g.append(svg("path", { class: "bars value", transform: `translate(13 ${y + 3})`, d: bars(box.histogram, box.slopes ? (width - 32) / 2 : width - 26, 24) }));
      if (box.slopes) g.append(svg("path", { class: "bars gradient", transform: `translate(${13 + (width - 32) / 2 + 6} ${y + 3})`, d: bars(box.slopes, (width - 32) / 2, 24) }));
    }
    if (box.group) {
      const open = (event) => { event.stopPropagation(); this.toggle(box.group.id); };
      g.append(svg("g", { class: "open", onclick: open }, svg("rect", { x: width - 30, width: 30, height: 30 }), svg("text", { x: width - 17, y: 20 }, "▸")));
    }
    if (box.bad) g.append(svg("g", { class: "badge", transform: `translate(${width - 8} 0)` }, svg("circle", { r: 9 }), svg("text", { y: 4 }, "!")));
    this.drawn.set(box.key, g);
    return g;
  }

  choose(key, focus = false) {
    this.drawn.get(this.selected)?.classList.remove("selected");
    this.selected = key;
    const g = this.drawn.get(key);
    g?.classList.add("selected");
    const near = new Set();
    for (const edge of this.edges.values()) {
      const touches = key !== null && (edge.from === key || edge.to === key);
      edge.path.classList.toggle("near", touches);
      if (touches) near.add(edge.from).add(edge.to);
    }
    for (const [each, element] of this.drawn) element.classList.toggle("near", near.has(each));
    if (focus) g?.focus({ preventScroll: true });
    this.on.select(key); // which may take some of the room
    if (g) this.center(key);
  }

  // Show a node wherever it is: open the groups around it, select it, and move it into sight.
  reveal(node, focus = false) {
    const key = `n${node.id}`;
    if (!this.boxes.has(key)) {
      this.graph.reveal(node);
      this.draw(false);
      this.on.change();
    }
    this.choose(key, focus);
  }

  toggle(id) {
    const before = this.drawn.get(`g${id}`) ?? this.drawn.get(`c${id}`);
    const at = before.getBoundingClientRect();
    if (!this.graph.toggle(id)) return this.on.refuse();
    this.draw(false);
    const after = this.drawn.get(`g${id}`) ?? this.drawn.get(`c${id}`);
    const now = after.getBoundingClientRect();
    this.move(this.x + at.left - now.left, this.y + at.top - now.top, this.scale); // what was clicked stays where it is
    after.focus({ preventScroll: true });
    return this.on.change();
  }

  // Pan and zoom

  move(x, y, scale) {
    Object.assign(this, { x, y, scale, fitted: null });
    this.layer.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
  }

  zoom(factor, at = null) {
    const { clientWidth: w, clientHeight: h } = this.element;
    const [px, py] = at ?? [w / 2, h / 2];
    const scale = Math.min(4, Math.max(0.05, this.scale * factor));
    const f = scale / this.scale;
    this.move(px - (px - this.x) * f, py - (py - this.y) * f, scale);
  }

  fit(smallest = SMALLEST) {
    const { clientWidth: w, clientHeight: h } = this.element;
    const { width, height } = this.layout;
    const across = Math.min(1, (this.direction === "LR" ? (h - 16) / height : (w - 16) / width)); // the rest is a matter of panning
    const whole = Math.min(1.25, (w - 16) / width, (h - 16) / height);
    const scale = smallest < SMALLEST || whole >= WHOLE ? Math.max(smallest, whole) : Math.max(smallest, across);
    const start = (room, size) => (size * scale < room ? (room - size * scale) / 2 : 8);
    const x = width * scale < w || this.direction === "LR" ? start(w, width) : w / 2 - this.first().x * scale;
    this.move(x, this.direction === "LR" && height * scale > h ? (h - height * scale) / 2 : start(h, height), scale);
    this.fitted = smallest;
  }

  // The place of an input, or else of the uppermost box: where to begin to look.
  first() {
    const places = [...this.boxes.values()].map((box) => ({ ...this.layout.place(box.key), input: box.node?.kind === "input" }));
    return places.reduce((a, b) => (b.input > a.input || (b.input === a.input && b.y < a.y) ? b : a));
  }

  center(key) {
    const at = this.layout.place(key);
    const { clientWidth: w, clientHeight: h } = this.element;
    const [x, y] = [at.x * this.scale + this.x, at.y * this.scale + this.y];
    if (x < 80 || x > w - 80 || y < 60 || y > h - 60) this.move(w / 2 - at.x * this.scale, h / 2 - at.y * this.scale, this.scale);
  }

  listen() {
    new ResizeObserver(() => { // a notebook gives the page its width late; a panel beside a selected box may not move the drawing
      if (this.fitted !== null && !this.selected) this.fit(this.fitted);
    }).observe(this.element);
    const held = new Map();
    let moved = 0;
    this.svg.addEventListener("pointerdown", (event) => {
      held.set(event.pointerId, [event.clientX, event.clientY]);
      moved = 0;
    });
    this.svg.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const others = [...held].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      held.set(event.pointerId, [event.clientX, event.clientY]);
      const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
      moved += Math.abs(dx) + Math.abs(dy);
      if (moved > 4 && !this.svg.hasPointerCapture(event.pointerId)) this.svg.setPointerCapture(event.pointerId);
      if (!others.length) return void this.move(this.x + dx, this.y + dy, this.scale);
      const [other] = others; // two fingers: zoom about their middle
      const distance = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
      const frame = this.svg.getBoundingClientRect();
      const middle = [(event.clientX + other[0]) / 2 - frame.left, (event.clientY + other[1]) / 2 - frame.top];
      this.move(this.x + dx / 2, this.y + dy / 2, this.scale);
      this.zoom(distance([event.clientX, event.clientY]) / Math.max(distance(before), 1), middle);
    });
    for (const end of ["pointerup", "pointercancel"]) this.svg.addEventListener(end, (event) => held.delete(event.pointerId));
    this.svg.addEventListener("click", (event) => {
      if (moved > 4) event.stopPropagation(); // it was a drag
      else if (event.target === this.svg) this.choose(null);
    }, true);
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      const frame = this.svg.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), [event.clientX - frame.left, event.clientY - frame.top]);
    }, { passive: false });
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const key = document.activeElement?.dataset?.key ?? this.selected;
    const arrows = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
    if (event.key in arrows) this.step(key, arrows[event.key]);
    else if (event.key === "Enter" || event.key === " ") {
      if (key?.startsWith("n")) this.choose(key, true);
      else if (key) this.toggle(Number(key.slice(1)));
    } else if (event.key === "Backspace") this.close(key);
    else if (event.key === "Escape") this.choose(null);
    else return;
    event.preventDefault();
  }

  // Close an open group, or the one around a box.
  close(key) {
    const group = key?.startsWith("c") ? Number(key.slice(1)) : (this.boxes.get(key)?.parent ?? null);
    if (group !== null) this.toggle(group);
  }

  // Move the selection to the nearest box or group in a direction.
  step(key, [dx, dy]) {
    if (!key || !this.drawn.has(key)) {
      const first = [...this.boxes.keys()][0];
      return this.choose(first, true);
    }
    const from = this.layout.place(key);
    let best = null;
    let least = Infinity;
    for (const other of this.boxes.keys()) {
      const to = this.layout.place(other);
      const ahead = (to.x - from.x) * dx + (to.y - from.y) * dy;
      const aside = Math.abs((to.x - from.x) * dy) + Math.abs((to.y - from.y) * dx);
      if (other === key || ahead <= 1) continue;
      const far = ahead + 2.5 * aside;
      if (far < least) [least, best] = [far, other];
    }
    if (best) this.choose(best, true);
  }

  // For each edge a width, from a function of the inputs that it stands for.
  widen(widthOf) {
    for (const edge of this.edges.values()) edge.path.style.strokeWidth = widthOf(edge.inputs);
  }
}

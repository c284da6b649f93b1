// The page of a training: what the server tells, or what was saved, as charts, tables and the graph.

import { count, el, num, percent, shape, svg } from "./format.js";
import { bars, details, groupDetails } from "./details.js";
import { Graph } from "./graph.js";
import { View } from "./view.js";
import { Chart, spark } from "./charts.js";

const COLORS = ["var(--value)", "var(--gradient)", "var(--activation)", "var(--reduce)", "var(--pool)", "var(--norm)"];

const clock = (seconds) => {
  const s = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
};

// What has been told so far.
class Told {
  constructor() {
    this.run = null;
    this.clear();
  }

  clear() {
    this.series = new Map();
    this.items = {};
  }

  take(message) {
    if (message.run !== this.run) this.clear();
    this.run = message.run;
    for (const [name, { reset, points }] of Object.entries(message.series)) {
      this.series.set(name, reset ? points : [...(this.series.get(name) ?? []), ...points]);
    }
    Object.assign(this.items, message.items);
  }

  // The series of a kind, such as "step" or "epoch", by the rest of their names.
  of(kind) {
    const found = [...this.series].filter(([name]) => name.startsWith(`${kind} `));
    return new Map(found.map(([name, points]) => [name.slice(kind.length + 1), points]));
  }
}

// The charts: of each metric by step with what validation gave by epoch, then of the learning rate.
class Curves {
  constructor() {
    this.element = el("div", { class: "cards" });
    this.charts = new Map();
  }

  chart(name, options) {
    if (!this.charts.has(name)) {
      this.charts.set(name, new Chart(name, options));
      this.element.append(this.charts.get(name).element);
    }
    return this.charts.get(name);
  }

  update(told) {
    const [steps, epochs] = [told.of("step"), told.of("epoch")];
    for (const [name, points] of steps) {
      this.chart(name === "lr" ? "learning rate" : `${name} by step`, { auto: /loss$/.test(name) }).update([{ name, points, color: COLORS[name === "lr" ? 3 : 0], thin: points.length > 100 }]);
    }
    const metrics = new Set([...epochs.keys()].filter((name) => name !== "lr").map((name) => name.replace(/^val_/, "")));
    for (const name of metrics) {
      const lines = [["", "training"], ["val_", "validation"]].map(([prefix, label], i) => ({ name: label, points: epochs.get(prefix + name) ?? [], color: COLORS[i] }));
      this.chart(`${name} by epoch`, { unit: "epoch", auto: /loss$/.test(name) }).update(lines.filter((each) => each.points.length));
    }
  }
}

function layers(told) {
  const { list, left_out: more } = told.items.layers;
  const [weights, gradients, ratios] = ["weight", "gradient", "ratio"].map((kind) => told.of(kind));
  const small = (h, kind) => (h ? svg("svg", { viewBox: "0 0 96 24", class: "spark", role: "img", "aria-label": `${kind} from ${num(h.low)} to ${num(h.high)}` }, svg("path", { class: `bars ${kind}`, d: bars(h, 96, 24) })) : "–");
  const health = (ratio) => (!Number.isFinite(ratio) || ratio > 0.1 ? "high" : ratio < 1e-5 ? "low" : "fine");
  const head = ["layer", "weights", "norm of weights", "gradients", "norm of gradients", "update / weight"];
  return el("section", { class: "card wide" }, el("header", {}, el("h2", {}, "Layers")),
    el("div", { class: "scroll", tabindex: "0" }, el("table", { class: "layers" },
      el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, list.map((layer) => el("tr", {},
        el("th", { scope: "row" }, layer.name, el("small", {}, shape(layer.shape))),
        el("td", {}, small(layer.weight, "value")),
        el("td", {}, spark(weights.get(layer.name) ?? [], COLORS[0])),
        el("td", {}, small(layer.gradient, "gradient")),
        el("td", {}, gradients.has(layer.name) ? spark(gradients.get(layer.name), COLORS[1]) : "–"),
        el("td", { class: health(Number(ratios.get(layer.name)?.at(-1)[1])) }, spark(ratios.get(layer.name) ?? [], COLORS[2]))))))),
    more ? el("p", { class: "at" }, `and ${count(more)} more`) : null,
    el("p", { class: "at" }, "An update of about 0.001 of the weights is usual. Curves are logarithmic."));
}

function confusion({ epoch, counts }) {
  const rows = counts.map((row) => row.reduce((a, b) => a + b, 0));
  const right = counts.reduce((sum, row, i) => sum + row[i], 0);
  const cell = (n, i, j) => {
    const share = rows[i] ? n / rows[i] : 0;
    const color = i === j ? "var(--activation)" : "var(--bad)";
    return el("td", { style: `background: color-mix(in srgb, ${color} ${Math.round(Math.min(1, i === j ? share : 4 * share) * 75)}%, transparent)`, title: `${i} taken for ${j}: ${n}` }, n ? String(n) : "");
  };
  return el("section", { class: "card" }, el("header", {}, el("h2", {}, "Confusion matrix")),
    el("div", { class: "scroll", tabindex: "0" }, el("table", { class: "confusion" },
      el("thead", {}, el("tr", {}, el("th", {}, ""), counts.map((_, j) => el("th", { scope: "col" }, String(j))))),
      el("tbody", {}, counts.map((row, i) => el("tr", {}, el("th", { scope: "row" }, String(i)), row.map((n, j) => cell(n, i, j))))))),
    el("p", { class: "at" }, `Rows are classes, columns what was predicted. ${percent(right / rows.reduce((a, b) => a + b, 0))} are right after epoch ${epoch}.`));
}

function mistakes({ epoch, list }) {
  return el("section", { class: "card" }, el("header", {}, el("h2", {}, "Worst mistakes")),
    list.length ? el("ul", { class: "mistakes" }, list.map((each) => el("li", {},
      each.picture ? el("img", { src: each.picture, alt: "" }) : null,
      el("span", {}, "is ", el("b", {}, String(each.target)), ", took it for ", el("b", { class: "bad" }, String(each.guess)), el("small", {}, `with ${percent(Number(each.wrong))}`))))) : el("p", {}, "none"),
    el("p", { class: "at" }, `after epoch ${epoch}`));
}

const filters = ({ name, picture }) =>
  el("section", { class: "card" }, el("header", {}, el("h2", {}, "First filters")), el("img", { class: "picture", src: picture, alt: `filters ${name}` }), el("p", { class: "at" }, name));

// The graph, with edges as wide as the gradients along them are large. It is fetched while it is in sight.
class Drawn {
  constructor(fetched) {
    this.side = el("aside", { class: "side", hidden: true, "aria-label": "details" });
    this.note = el("p", { class: "at" }, "The graph is drawn when it comes into sight.");
    this.stage = el("div", { class: "stage" });
    this.element = el("section", { class: "card wide graph" }, el("header", {}, el("h2", {}, "Graph")), this.stage, this.note);
    if (fetched === undefined) new IntersectionObserver(([entry]) => {
      this.inSight = entry.isIntersecting;
      this.ask();
    }).observe(this.element);
  }

  async ask() {
    if (!this.inSight || this.asking) return;
    this.asking = true;
    try {
      const data = await (await fetch("graph.json")).json();
      if (data) this.show(data);
    } catch {
      // the status line tells that the connection is lost
    } finally {
      this.asking = false;
    }
  }

  show(data) {
    const graph = new Graph(data);
    const follow = (node) => this.view.reveal(node, true);
    const same = this.view?.graph.nodes.length === graph.nodes.length; // else it is of another model
    if (same) graph.open = this.view.graph.open;
    if (this.view) {
      this.view.graph = graph;
      this.view.draw(!same);
      if (!same) this.view.choose(null);
      else if (this.view.selected) this.select(this.view.selected, follow);
    } else {
      this.view = new View(graph, { select: (key) => this.select(key, follow), change: () => this.widen(), refuse() {} });
      this.stage.append(this.view.element, this.side);
      this.view.draw();
    }
    this.widen();
    this.note.textContent = "Edges are as wide as the gradients along them are large. Computed with the last batch's first examples.";
  }

  select(key, follow) {
    this.side.hidden = key === null;
    if (key === null) return;
    const { graph } = this.view;
    const id = Number(key.slice(1));
    const close = el("button", { class: "close", "aria-label": "close the details", onclick: () => this.view.choose(null) }, "×");
    this.side.replaceChildren(close, key[0] === "n" ? details(graph, graph.nodes[id], follow) : groupDetails(graph, graph.groups.get(id), follow));
  }

  widen() {
    const size = (gradient) => Math.abs(Number(gradient.size === 1 ? gradient.values : gradient.norm));
    const largest = (inputs) => Math.log10(Math.max(...inputs.filter((input) => input.gradient).map((input) => size(input.gradient)), 0));
    const known = [...this.view.edges.values()].map((edge) => largest(edge.inputs)).filter(Number.isFinite);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    this.view.widen((inputs) => {
      const at = largest(inputs);
      return Number.isFinite(at) ? `${1 + (6 * (at - low)) / (high - low || 1)}px` : "0.8px";
    });
  }
}

// Replace what is in an element. Tables stay scrolled, and focused, as they were.
function renew(place, ...content) {
  const before = [...place.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each === document.activeElement]);
  place.replaceChildren(...content);
  place.querySelectorAll(".scroll").forEach((each, i) => {
    each.scrollLeft = before[i]?.[0] ?? 0;
    if (before[i]?.[1]) each.focus({ preventScroll: true });
  });
}

// The share of a training that is done, if that is known.
function share(state) {
  const total = state?.epochs && state.batches ? state.epochs * state.batches : null;
  return total ? Math.min(1, state.step / total) : null;
}

const windowTitle = ({ state, title = "training" }) => (share(state) !== null && state.status === "running" ? `${Math.floor(share(state) * 100)} % ${title}` : title);

function status({ state }) {
  if (!state) return [];
  const done = share(state);
  const parts = [
    state.reason ? `${state.status}: ${state.reason}` : state.status,
    state.epochs ? `epoch ${Math.min(state.epoch + (state.status === "running" ? 1 : 0), state.epochs)} of ${state.epochs}` : state.epoch ? `epoch ${state.epoch}` : null,
    `step ${count(state.step)}`,
    state.rate ? `${count(Math.round(state.rate))} examples/s` : null,
    state.status === "running" && state.left !== null && state.left !== undefined ? `${clock(state.left)} left` : `${clock(state.seconds)} in all`,
  ];
  return [el("span", { class: `badge ${state.status}` }, parts[0]), ...parts.slice(1).filter(Boolean).map((text) => el("span", {}, text)),
    done === null ? null : el("progress", { max: 1, value: done, "aria-label": "progress" })].filter(Boolean);
}

// The page in an element. `graph`: undefined to ask the server for it, null for none. `whole`: the browser's window is its own.
export function livePage(root, { graph, whole = true } = {}) {
  const told = new Told();
  const title = el("h1", {}, "Training");
  const state = el("div", { class: "state" });
  const lost = el("p", { class: "lost", role: "status", hidden: true }, "The connection is lost: the training has ended, or its program has. Trying again.");
  const how = el("p", { class: "at" });
  const curves = new Curves();
  const [layerPlace, pictures] = [el("div"), el("div", { class: "cards" })];
  const drawn = new Drawn(graph);
  root.className = "live";
  root.append(el("header", { class: "bar" }, whole ? title : null, state, lost), el(whole ? "main" : "div", { class: "main" }, curves.element, layerPlace, pictures, drawn.element, how));
  if (graph === null) drawn.element.hidden = true;
  if (graph) drawn.show(graph);

  let due = false;
  let graphStep = null;
  const render = () => {
    due = false;
    const { items } = told;
    title.textContent = items.title ?? "Training";
    state.replaceChildren(...status(items));
    if (whole) document.title = windowTitle(items);
    how.textContent = items.state?.how ?? "";
    curves.update(told);
    if (items.layers) renew(layerPlace, layers(told));
    renew(pictures, ...[items.filters && filters(items.filters), items.confusion && confusion(items.confusion), items.mistakes && mistakes(items.mistakes)].filter(Boolean));
    if (items.graph?.error) drawn.note.textContent = `The graph cannot be drawn: ${items.graph.error}`;
    if (items.graph && items.graph.step !== graphStep && graph === undefined) drawn.ask();
    graphStep = items.graph?.step ?? null;
  };
  const take = (message) => {
    told.take(message);
    if (!due) requestAnimationFrame(render);
    due = true;
  };
  return { told, lost, take };
}

export function startLive(root, saved) {
  const page = livePage(root, { graph: saved ? (saved.graph ?? null) : undefined });
  if (saved) return void page.take(saved);
  const source = new EventSource("events");
  source.onopen = () => {
    page.told.run = null; // everything is told again
    page.lost.hidden = true;
  };
  source.onmessage = (event) => page.take(JSON.parse(event.data));
  source.onerror = () => (page.lost.hidden = false);
}

// What is known of one item: its value and gradient, where it came from and went, its rule with the numbers that went in.

import { count, el, isBad, label, matrix, num, percent, plural, shape, svg } from "./format.js";

export const MARGIN = 0.5;

// The bars of a histogram as one path, in a box of this size.
export function bars(histogram, width, height) {
  const top = Math.max(...histogram.counts, 1);
  const step = width / histogram.counts.length;
  return histogram.counts
    .map((n, i) => {
      const h = n ? Math.max((n / top) * height, 1) : 0;
      return `M${(i * step).toFixed(2)} ${height}v${-h.toFixed(2)}h${(step - MARGIN).toFixed(2)}v${h.toFixed(2)}z`;
    })
    .join("");
}

function histogram(h, kind) {
  const width = 280;
  const zero = h.low < 0 && h.high > 0 ? (-h.low / (h.high - h.low)) * width : null;
  return el(
    "figure",
    { class: "histogram" },
    svg(
      "svg",
      { viewBox: `0 0 ${width} 56`, class: kind, role: "img", "aria-label": `histogram from ${num(h.low)} to ${num(h.high)}` },
      svg("path", { d: bars(h, width, 54) }),
      zero === null ? null : svg("line", { x1: zero, x2: zero, y1: 0, y2: 56 }),
    ),
    el("figcaption", {}, el("span", {}, num(h.low)), h.sampled ? "of a sample" : "", el("span", {}, num(h.high))),
  );
}

// The section about a value or a gradient.
export function summary(title, s, kind) {
  if (!s) return null;
  const facts = [];
  if (s.size > 1) facts.push(["mean", num(s.mean)], ["spread", num(s.std)], ["zeros", s.zeros === undefined ? "–" : percent(s.zeros)], ["norm", num(s.norm)]);
  const bad = [s.nan && plural(s.nan, "NaN").replace("NaNs", "NaN"), s.inf && `${count(s.inf)} infinite`].filter(Boolean);
  const body = [
    bad.length ? el("p", { class: "bad" }, bad.join(", ")) : null,
    s.size === 0 ? el("p", {}, "no elements") : null,
    s.picture ? el("img", { src: s.picture, alt: `${title.toLowerCase()} as a picture`, class: "picture" }) : null,
    facts.length && s.mean !== null
      ? el("dl", { class: "facts" }, facts.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))))
      : null,
    s.histogram ? histogram(s.histogram, kind) : null,
    s.values !== null ? el("pre", { class: `values ${kind}` }, matrix(s.values)) : null,
  ];
  return el("section", { class: kind }, el("h3", {}, title), body);
}

const short = (s) => (s ? (s.size === 1 ? num(s.values) : s.values ? matrix(s.values, 3) : `mean ${num(s.mean, 3)}, spread ${num(s.std, 3)}`) : "–");

// A rule as it is written, then what went in and what came out.
function rule(graph, node, r) {
  const inputs = new Map(node.inputs.map((input) => [input.name, input]));
  const valueOf = (name) => {
    if (name === "g") return short(node.gradient);
    if (name === "y") return short(node.value);
    if (name in node.params) return node.params[name];
    const input = inputs.get(name);
    if (input) return input.node === undefined ? input.text : short(graph.nodes[input.node].value);
    if (name === "in_shape") return `(${graph.nodes[inputs.get(r.inputs[0])?.node]?.shape.join(", ") ?? ""})`;
    return null;
  };
  const given = r.names.map((name) => [name, valueOf(name)]).filter(([, text]) => text !== null);
  const results = node.inputs
    .filter((input) => input.gradient && (r.inputs.includes(input.name) || r.inputs.includes(input.name.split("[")[0])))
    .map((input) => [`${input.name}′`, short(input.gradient)]);
  const row = ([name, text], kind) => el("tr", { class: kind }, el("th", {}, name), el("td", {}, text));
  return el(
    "div",
    { class: "rule" },
    el("h4", {}, `gradient in ${r.inputs.join(", ")}`),
    el("pre", {}, r.text),
    node.gradient
      ? el("table", {}, given.map((each) => row(each, each[0] === "g" ? "gradient" : "value")), results.map((each) => row(each, "result")))
      : null,
  );
}

export function details(graph, node, follow) {
  const op = node.op ? graph.data.ops[node.op] : null;
  const jump = (target) => el("button", { class: "jump", onclick: () => follow(target) }, `${label(target)}${target.op && target.name ? ` ${target.name}` : ""}`);
  const around = graph.path(node.group).filter((group) => group.type !== "repeat").flatMap((group) => (group.module ? [group.module, group] : [group]));
  const path = [...around, ...(node.module ? [node.module] : [])].map((group) => graph.title(group)).join(" › ");
  const uses = [...new Set(graph.uses[node.id])];
  return el(
    "article",
    {},
    el("header", {},
      el("h2", {}, label(node), node.op && node.name ? el("span", { class: "name" }, ` ${node.name}`) : null),
      el("p", { class: "type" }, `${node.kind === "op" ? (node.label && node.label !== node.op ? `op ${node.op} · ` : "") : `${node.kind} · `}${node.dtype} · ${shape(node.shape)}${node.output ? " · result" : ""}`),
      path ? el("p", { class: "path" }, path) : null),
    isBad(node.value) || isBad(node.gradient) ? el("p", { class: "bad" }, "This item is not finite.") : null,
    summary("Value", node.value, "value") ?? el("section", {}, el("h3", {}, "Value"), el("p", {}, "not known: no rule keeps it")),
    summary("Gradient", node.gradient, "gradient"),
    node.inputs.length ? el("section", {}, el("h3", {}, "Inputs"), el("ul", { class: "links" }, node.inputs.map((input) =>
      el("li", {}, el("b", {}, input.name), input.node === undefined ? ` = ${input.text}` : jump(graph.nodes[input.node]),
        input.gradient ? el("span", { class: "sent" }, `receives ${short(input.gradient)}`) : null)))) : null,
    uses.length ? el("section", {}, el("h3", {}, "Used by"), el("ul", { class: "links" }, uses.map((user) => el("li", {}, jump(user))))) : null,
    Object.keys(node.params).length ? el("section", {}, el("h3", {}, "Parameters"), el("ul", { class: "links" },
      Object.entries(node.params).map(([name, text]) => el("li", {}, el("b", {}, name), ` = ${text}`)))) : null,
    op && op.formula ? el("section", {}, el("h3", {}, "Formula"), el("p", { class: "formula" }, op.formula.split(/\n\s*\n(?:Args|Raises|Returns|Shapes)/)[0])) : null,
    op && op.rules.length ? el("section", {}, el("h3", {}, "Rule"), op.rules.map((r) => rule(graph, node, r))) : null,
    op ? el("details", {}, el("summary", {}, "Definition"), el("pre", {}, op.definition)) : null,
    node.place ? el("section", {}, el("h3", {}, "Called at"), el("p", { class: "place" }, `${node.place[0]}:${node.place[1]}`)) : null,
  );
}

export function groupDetails(graph, group, follow) {
  const nodes = [...graph.nodesIn(group)];
  const parameters = nodes.filter((node) => node.kind === "parameter");
  const total = parameters.reduce((sum, node) => sum + node.shape.reduce((a, b) => a * b, 1), 0);
  const output = graph.outputOf(group);
  return el(
    "article",
    {},
    el("header", {}, el("h2", {}, graph.title(group)), el("p", { class: "type" }, [graph.note(group), plural(nodes.filter((n) => n.op).length, "op"), plural(total, "parameter")].filter(Boolean).join(" · "))),
    output ? summary("Output", output.value, "value") : null,
    output ? summary("Gradient of the output", output.gradient, "gradient") : null,
    el("section", {}, el("h3", {}, "Inside"), el("ul", { class: "links" }, nodes.slice(0, 200).map((node) =>
      el("li", {}, el("button", { class: "jump", onclick: () => follow(node) }, label(node)), ` ${shape(node.shape)}`)))),
  );
}

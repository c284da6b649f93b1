// The graph as text: a nested list of groups and nodes for screen readers, and the results of a search.

import { el, label, sentence } from "./format.js";

const SHOWN = 50; // results of a search

function entry(graph, node, follow) {
  const from = node.inputs.map((input) => `${input.name} ${input.node === undefined ? `= ${input.text}` : `from ${input.node}`}`).join(", ");
  const to = [...new Set(graph.uses[node.id])].map((user) => user.id).join(", ");
  return el("li", {}, el("button", { class: "jump", onclick: () => follow(node) }, sentence(node)),
    `${from ? ` inputs: ${from};` : ""}${to ? ` used by ${to}` : " a result"}`);
}

function listed(graph, group, follow) {
  return el("ul", {}, group.nodes.map((node) => entry(graph, node, follow)), group.groups.map((each) => {
    const inside = el("details", {}, el("summary", {}, `${graph.title(each)}${each.type === "repeat" ? "" : ` (${each.type})`}, ${graph.sizes.get(each.id)} nodes`));
    inside.addEventListener("toggle", () => inside.childElementCount < 2 && inside.append(listed(graph, each, follow)));
    return el("li", {}, inside);
  }));
}

// Written when it is opened first: it may be long.
export function outline(graph, follow) {
  const list = el("details", { class: "outline" }, el("summary", {}, "The graph as text"));
  list.addEventListener("toggle", () => list.childElementCount < 2 && list.append(listed(graph, graph.top, follow)));
  return list;
}

const matches = (node, words) => {
  const text = `${label(node)} ${node.op ?? ""} ${node.module ? `${node.module.name} ${node.module.type}` : ""} ${node.name} ${node.kind} ${node.dtype} ${node.shape.join("x")} ${node.id}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

export function search(graph, follow) {
  const results = el("ul", { class: "results", "aria-label": "results", hidden: true });
  const close = () => (results.hidden = true);
  const choose = (node) => {
    close();
    follow(node);
  };
  const find = (text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const groups = [...graph.groups.values()].filter((group) => words.length && words.every((word) => `${group.name} ${group.type}`.toLowerCase().includes(word)));
    const inGroups = groups.map((group) => graph.outputOf(group) ?? [...graph.nodesIn(group)][0]).filter(Boolean);
    const found = words.length ? [...new Set([...graph.nodes.filter((node) => matches(node, words)), ...inGroups])] : [];
    results.hidden = !words.length;
    results.replaceChildren(...found.slice(0, SHOWN).map((node) =>
      el("li", {}, el("button", { onclick: () => choose(node) }, sentence(node)))),
      found.length ? (found.length > SHOWN ? el("li", {}, `and ${found.length - SHOWN} more`) : "") : el("li", {}, "nothing found"));
    return found;
  };
  const input = el("input", { type: "search", placeholder: "Search  ( / )", "aria-label": "search for an op, a name or a shape",
    oninput: () => find(input.value),
    onkeydown: (event) => {
      if (event.key === "Enter") {
        const [first] = find(input.value);
        if (first) choose(first);
      } else if (event.key === "ArrowDown") results.querySelector("button")?.focus();
      else if (event.key === "Escape") close();
    } });
  results.addEventListener("keydown", (event) => event.key === "Escape" && (close(), input.focus()));
  return { element: el("div", { class: "search" }, input, results), input };
}

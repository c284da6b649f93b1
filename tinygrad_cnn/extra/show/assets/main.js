// The page of a graph: its head, the drawing, what is known of the selected item, and the graph as text.

import { count, el, plural } from "./format.js";
import { details, groupDetails } from "./details.js";
import { Graph, LIMIT } from "./graph.js";
import { outline, search } from "./outline.js";
import { bitmap, download, fileName, picture } from "./picture.js";
import { Play } from "./play.js";
import { View } from "./view.js";

// `keys`: the element whose keyboard it listens to.
export function start(root, data, keys = document) {
  const graph = new Graph(data);
  const told = el("p", { class: "status", role: "status" });
  const side = el("aside", { class: "side", "aria-label": "details", hidden: true });
  const say = (text) => (told.textContent = text);
  const follow = (node) => view.reveal(node, true);

  const view = new View(graph, {
    select(key) {
      side.hidden = key === null;
      if (key === null) return;
      const id = Number(key.slice(1));
      const node = key[0] === "n" ? graph.nodes[id] : graph.onlyOp(graph.groups.get(id)); // a module of one op is shown as that op
      const content = node ? details(graph, node, follow) : groupDetails(graph, graph.groups.get(id), follow);
      const open = key[0] === "g" ? el("button", { class: "primary", onclick: () => view.toggle(id) }, "Open the group") : null;
      side.replaceChildren(el("button", { class: "close", "aria-label": "close the details", onclick: () => view.choose(null) }, "×"), open ?? "", content);
      side.scrollTop = 0;
    },
    change: () => play.show(play.at),
    refuse: () => say(`That would be more than ${count(LIMIT)} boxes: open smaller groups, or search.`),
  });
  const play = new Play(graph, view);
  const find = search(graph, follow);

  const ops = graph.nodes.filter((node) => node.op).length;
  const parameters = graph.nodes.filter((node) => node.kind === "parameter").reduce((sum, node) => sum + node.shape.reduce((a, b) => a * b, 1), 0);
  const button = (text, title, onclick) => el("button", { title, "aria-label": title, onclick }, text);
  const redraw = () => {
    view.draw();
    play.show(play.at);
  };
  const every = () => (graph.openAll() ? redraw() : say(`${count(graph.nodes.length)} nodes are too many to draw at once (${count(LIMIT)} at most): open groups one by one, or search.`));
  const turn = () => {
    view.direction = view.direction === "LR" ? "TB" : "LR";
    redraw();
  };
  const title = data.title || "graph";
  const saveSvg = () => download(new Blob([picture(view, title).text], { type: "image/svg+xml" }), fileName(title, "svg"));
  const savePng = () => bitmap(view, title).then((blob) => download(blob, fileName(title, "png")), (error) => say(`No PNG could be made: ${error.message}. Close some groups, or save an SVG.`));
  root.className = "app";
  root.append(
    el("header", { class: "bar" },
      el("h1", {}, title),
      el("p", { class: "counts" }, [plural(ops, "op"), parameters ? plural(parameters, "parameter") : null].filter(Boolean).join(" · ")),
      find.element,
      el("div", { class: "tools", role: "toolbar", "aria-label": "view" },
        button("−", "zoom out (-)", () => view.zoom(1 / 1.3)), button("+", "zoom in (+)", () => view.zoom(1.3)),
        button("⤢", "fit (0)", () => view.fit(0.05)), button("⇄", "turn the layout", turn),
        graph.groups.size ? button("⊞", "open all groups", every) : null,
        graph.groups.size ? button("⊟", "close all groups", () => { graph.closeAll(); redraw(); }) : null,
        button("SVG", "save the drawing as SVG", saveSvg), button("PNG", "save the drawing as PNG", savePng))),
    el("main", { class: "stage" }, view.element, side),
    play.element,
    el("footer", {}, told, data.notes.map((note) => el("p", { class: "note" }, note)), outline(graph, follow)),
  );
  view.draw();

  keys.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { "/": () => find.input.focus(), "+": () => view.zoom(1.3), "-": () => view.zoom(1 / 1.3), 0: () => view.fit(0.05), p: () => play.toggle.click(), Escape: () => view.choose(null) };
    if (!(event.key in keys)) return;
    keys[event.key]();
    event.preventDefault();
  });
  return { graph, view, play };
}

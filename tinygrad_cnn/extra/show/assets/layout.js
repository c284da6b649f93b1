// Places for boxes and routes for edges. Each open group is laid out by dagre by itself, and is then one box in the group
// around it: so the time grows with the number of boxes, and a thousand of them take a second. An edge that crosses borders
// is put together from pieces, one in each group on its way, which meet at ports on the borders.

/* global dagre */

const MANY = 250; // boxes in a group from which on a faster, plainer way to rank them is used, and ...
const FAR = 6; // ... edges that span more ranks than this are drawn straight: room for them would take minutes to find
const SIDE = 12; // between a border and what is inside
const HEAD = 24; // above, for the name of the group
const STUB = 16; // of an edge where it leaves a box or comes in
const GAP = 5; // between that and an edge that comes in

const TOP = "top";

// `boxes` have key, width, height and parent, the id of a group or null; `groups` are the open ones, with id and parent.
export function arrange(boxes, edges, groups, direction) {
  const container = (id) => ({ key: id === null ? TOP : `c${id}`, children: [], edges: [], inputs: new Set(), outputs: new Set() });
  const containers = new Map([[TOP, container(null)]]);
  const parents = new Map();
  const put = (key, parent) => {
    parents.set(key, parent === null ? TOP : `c${parent}`);
    containers.get(parents.get(key)).children.push(key);
  };
  for (const group of groups) containers.set(`c${group.id}`, container(group.id)); // outer ones first
  for (const group of groups) put(`c${group.id}`, group.parent);
  for (const box of boxes) put(box.key, box.parent);
  const sizes = new Map(boxes.map((box) => [box.key, box]));

  const chain = (key) => {
    const found = [key];
    while (key !== TOP) found.push((key = parents.get(key)));
    return found;
  };
  const routes = edges.map((edge) => {
    const from = chain(edge.from);
    const to = chain(edge.to);
    const meet = from.find((key) => containers.has(key) && to.includes(key));
    const [up, down] = [from.slice(0, from.indexOf(meet)), to.slice(0, to.indexOf(meet))];
    const [out, into] = [`out ${edge.from}`, `in ${edge.from}`];
    containers.get(meet).edges.push([up.at(-1), down.at(-1)]);
    for (let i = 1; i < up.length; i++) {
      containers.get(up[i]).outputs.add(out);
      containers.get(up[i]).edges.push([up[i - 1], out]);
    }
    for (let i = 1; i < down.length; i++) {
      containers.get(down[i]).inputs.add(into);
      containers.get(down[i]).edges.push([into, down[i - 1]]);
    }
    return { edge, meet, up, down, out, into };
  });

  for (const inner of [...containers.values()].reverse()) sizes.set(inner.key, place(inner, sizes, direction));

  const places = new Map();
  const origins = new Map([[TOP, { x: SIDE, y: SIDE }]]);
  for (const { key, children, layout } of containers.values()) {
    const origin = origins.get(key);
    for (const child of children) {
      const local = layout.node(child);
      const { width, height } = sizes.get(child);
      places.set(child, { x: origin.x + local.x, y: origin.y + local.y, width, height });
      if (containers.has(child)) {
        origins.set(child, { x: origin.x + local.x - width / 2 + SIDE, y: origin.y + local.y - height / 2 + HEAD - containers.get(child).cut });
      }
    }
  }
  const points = new Map(routes.map((route) => [route.edge.key, pieces(route)]));

  function pieces({ meet, up, down, out, into }) {
    const inside = (key, from, to) => {
      const { layout, cut, end } = containers.get(key);
      const origin = origins.get(key);
      const all = attached(containers.get(key), from, to);
      const found = all.filter((p) => p.y >= cut && p.y <= end);
      if (found.length && all[0].y < cut) found.unshift({ x: found[0].x, y: cut + GAP }); // from a port: first across, then down
      if (found.length && all.at(-1).y > end) found.push({ x: found.at(-1).x, y: end - GAP });
      return found.map((p) => ({ ...p, x: p.x + origin.x, y: p.y + origin.y }));
    };
    const port = (key, name, last) => { // on the border where edges leave a group (last) or come in
      const at = containers.get(key).layout.node(name);
      const origin = origins.get(key);
      const border = places.get(key);
      return direction === "LR"
        ? { x: border.x + (last ? 0.5 : -0.5) * border.width, y: at.y + origin.y }
        : { x: at.x + origin.x, y: border.y + (last ? 0.5 : -0.5) * border.height };
    };
    const found = [];
    for (let i = 1; i < up.length; i++) {
      found.push(...inside(up[i], up[i - 1], out).slice(i > 1 ? 1 : 0), port(up[i], out, true));
    }
    const across = inside(meet, up.at(-1), down.at(-1));
    const bend = across.findIndex((p) => p.only);
    if (bend > 0 && up.length + down.length > 2) { // between neighbours, of which one is a group: half way to its port
      const from = up.length > 1 ? found.at(-1) : across[bend - 1];
      const to = down.length > 1 ? port(down.at(-1), into, false) : across[bend + 1];
      if (direction === "LR") across[bend].y = (from.y + to.y) / 2;
      else across[bend].x = (from.x + to.x) / 2;
    }
    found.push(...across.slice(up.length > 1 ? 1 : 0, down.length > 1 ? -1 : undefined));
    for (let i = down.length - 1; i > 0; i--) {
      const piece = inside(down[i], into, down[i - 1]);
      found.push(port(down[i], into, false), ...piece.slice(0, i > 1 ? -1 : undefined));
    }
    const stub = (at, next, side) => { // so that an edge does not graze the box
      const [dx, dy] = [Math.abs(next.x - at.x), Math.abs(next.y - at.y)];
      if (direction === "LR") return dy > dx ? [{ x: at.x + side * Math.min(STUB, dx / 2), y: at.y }] : [];
      return dx > dy ? [{ x: at.x, y: at.y + side * Math.min(STUB, dy / 2) }] : [];
    };
    return [found[0], ...stub(found[0], found[1], 1), ...found.slice(1, -1), ...stub(found.at(-1), found.at(-2), -1), found.at(-1)];
  }

  const { width, height } = sizes.get(TOP);
  return { place: (key) => places.get(key), points: (edge) => points.get(edge.key), width, height };
}

// Lay out what is in one group. Returns how large it is with its border.
function place(group, sizes, direction) {
  const g = new dagre.graphlib.Graph();
  g.setGraph({
    rankdir: direction, nodesep: 22, ranksep: direction === "LR" ? 56 : 38, edgesep: 14, marginx: 2, marginy: 2,
    ranker: group.children.length > MANY ? "longest-path" : "network-simplex",
  });
  g.setDefaultEdgeLabel(() => ({}));
  for (const key of group.children) g.setNode(key, { width: sizes.get(key).width, height: sizes.get(key).height });
  for (const port of [...group.inputs, ...group.outputs]) g.setNode(port, { width: 1, height: 1 });
  const depth = group.children.length > MANY ? depths(group) : null;
  for (const [from, to] of group.edges) if (!depth || depth.get(to) - depth.get(from) <= FAR) g.setEdge(from, to);
  if (group.inputs.size) { // hold the ports of what comes in at the top
    const first = g.sources().filter((key) => !group.inputs.has(key));
    g.setNode("root", { width: 0, height: 0 });
    for (const port of group.inputs) g.setEdge("root", port, { weight: 50, minlen: 1 });
    for (const key of first) g.setEdge("root", key, { weight: 0, minlen: 1 });
  }
  dagre.layout(g);
  group.layout = g;
  group.reach = new Map(); // by the middle of a rank, half the length of its largest box
  for (const key of group.children) {
    const { x, y, width, height } = g.node(key);
    const [at, half] = direction === "LR" ? [x, width / 2] : [y, height / 2];
    group.reach.set(at, Math.max(group.reach.get(at) ?? 0, half));
  }
  const { width = 0, height = 0 } = g.graph();
  const inner = group.children.map((key) => g.node(key));
  const flat = direction === "LR"; // else there are only ports above and below these:
  group.cut = group.inputs.size && !flat ? Math.min(...inner.map((each) => each.y - each.height / 2)) - SIDE : 0;
  group.end = group.outputs.size && !flat ? Math.max(...inner.map((each) => each.y + each.height / 2)) + SIDE : height;
  return { width: width + 2 * SIDE, height: group.end - group.cut + SIDE + (group.key === TOP ? SIDE : HEAD) };
}

// For each box the number of edges of the longest path to it.
function depths({ edges }) {
  const found = new Map(edges.flat().map((key) => [key, 0]));
  const missing = new Map([...found.keys()].map((key) => [key, 0]));
  const next = new Map([...found.keys()].map((key) => [key, []]));
  for (const [from, to] of edges) {
    next.get(from).push(to);
    missing.set(to, missing.get(to) + 1);
  }
  const ready = [...found.keys()].filter((key) => !missing.get(key));
  for (const key of ready) {
    for (const to of next.get(key)) {
      found.set(to, Math.max(found.get(to), found.get(key) + 1));
      missing.set(to, missing.get(to) - 1);
      if (!missing.get(to)) ready.push(to);
    }
  }
  return found;
}

// Points of an edge that leaves a box and comes in at the sides where its direction points to, not at those beside, and that
// passes by the larger boxes beside these. The point between neighbours is marked as the only one.
function attached({ layout, reach }, from, to) {
  const points = layout.edge(from, to)?.points ?? straight(layout, from, to);
  const flat = layout.graph().rankdir === "LR";
  const [along, across, length, breadth] = flat ? ["x", "y", "width", "height"] : ["y", "x", "height", "width"];
  const meet = (key, next, side) => {
    const box = layout.node(key);
    const room = Math.max(0, box[breadth] / 2 - 10);
    const at = box[across] + Math.max(-room, Math.min(room, next[across] - box[across]));
    const ends = [box[length] / 2, reach.get(box[along]) ?? 0].map((half) => ({ [along]: box[along] + side * half, [across]: at }));
    return /^[ng]/.test(key) && reach.get(box[along]) > box[length] / 2 + 4 ? ends : ends.slice(0, 1);
  };
  const inner = points.slice(1, -1).map((p) => ({ ...p, only: points.length === 3 }));
  return [...meet(from, points[1], 1), ...inner, ...meet(to, points.at(-2), -1).reverse()];
}

function straight(layout, from, to) {
  const [a, b] = [layout.node(from), layout.node(to)];
  return layout.graph().rankdir === "LR"
    ? [{ x: a.x + a.width / 2, y: a.y }, { x: b.x - b.width / 2, y: b.y }]
    : [{ x: a.x, y: a.y + a.height / 2 }, { x: b.x, y: b.y - b.height / 2 }];
}

// A smooth curve through points: a quadratic piece around each inner one.
export function curve(points) {
  const at = (p) => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`;
  if (points.length < 3) return `M${points.map(at).join("L")}`;
  const middle = (p, q) => ({ x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 });
  let path = `M${at(points[0])}L${at(middle(points[0], points[1]))}`;
  for (let i = 1; i < points.length - 1; i++) path += `Q${at(points[i])} ${at(middle(points[i], points[i + 1]))}`;
  return `${path}L${at(points.at(-1))}`;
}

// The graph with some of its groups open: which boxes are to be seen, and which edges there are between them.

export const LIMIT = 2000; // boxes that are drawn at most
const ROOM = 42; // boxes up to which groups are opened at first
const REPEATS = 4; // equal blocks, one after the other, from which on they are folded
const PERIOD = 12; // boxes of such a block at most

const summaries = { size: 1, nan: 0, inf: 0, values: null, picture: null, histogram: null, mean: null };
const filled = (summary) => (summary ? { ...summaries, ...summary } : null);

// A node with what a page leaves out: whatever is as it mostly is.
const whole = (node, id, files) => ({
  id, kind: "op", op: null, name: "", label: "", shape: [], dtype: "float32", params: {}, group: null, requires_grad: true,
  ...node,
  place: node.place && files ? [files[node.place[0]], node.place[1]] : (node.place ?? null),
  value: filled(node.value),
  gradient: filled(node.gradient),
  inputs: (node.inputs ?? []).map((input) => ({ ...input, gradient: filled(input.gradient) })),
});

export class Graph {
  constructor(data) {
    this.data = data;
    this.nodes = data.nodes.map((node, id) => whole(node, id, data.files));
    const groups = data.groups.map((group) => (Array.isArray(group) ? { id: group[0], name: group[1], type: group[2], parent: group[3] } : group));
    this.groups = new Map(groups.map((group) => [group.id, { ...group, groups: [], nodes: [] }]));
    this.top = { id: null, groups: [], nodes: [] };
    this.uses = this.nodes.map(() => []);
    for (const group of this.groups.values()) this.within(group.parent).groups.push(group);
    for (const node of this.nodes) {
      this.within(node.group).nodes.push(node);
      node.inputs.forEach((input) => input.node !== undefined && this.uses[input.node].push(node));
    }
    this.next = Math.max(-1, ...this.groups.keys()) + 1;
    this.dissolve(this.top);
    this.fold(this.top);
    this.sizes = new Map();
    this.size(this.top);
    this.open = new Set();
    this.openSome();
  }

  within(id) {
    return id === null ? this.top : this.groups.get(id);
  }

  // A module of one op is shown as that op, and a module of one function as that function.
  dissolve(group) {
    for (const each of [...group.groups]) {
      this.dissolve(each);
      const [node] = each.nodes;
      const [inner] = each.groups;
      if (each.type === "part" || each.nodes.length + each.groups.length !== 1 || !(node ? node.op : inner.type === "function")) continue;
      if (node) {
        Object.assign(node, { group: group.id, module: node.module ?? each });
        group.nodes.push(node);
        group.groups.splice(group.groups.indexOf(each), 1);
      } else {
        Object.assign(inner, { parent: group.id, module: inner.module ?? each });
        group.groups.splice(group.groups.indexOf(each), 1, inner);
      }
      this.groups.delete(each.id);
    }
    group.nodes.sort((a, b) => a.id - b.id);
  }

  // The nodes and groups in a group, in the order in which they were computed; inputs are no part of it.
  units(group) {
    const first = (each) => (each.groups ? [...this.nodesIn(each)].reduce((least, node) => (node.op ? Math.min(least, node.id) : least), Infinity) : each.id);
    return [...group.nodes.filter((node) => node.op), ...group.groups].map((unit) => ({ unit, at: first(unit) })).filter(({ at }) => at < Infinity)
      .sort((a, b) => a.at - b.at).map(({ unit }) => ({ unit, form: this.form(unit) }));
  }

  // What equal blocks have in common: ops, shapes and how they are connected, but neither names nor numbers.
  form(unit) {
    if (!unit.groups) return `${unit.op}|${unit.label}|${unit.dtype}|${unit.shape}|${JSON.stringify(unit.params)}|${unit.inputs.map((input) => input.text ?? "")}`;
    const nodes = [...this.nodesIn(unit)].sort((a, b) => a.id - b.id);
    const places = new Map(nodes.map((node, i) => [node.id, i]));
    const one = (node) => (node.op ? this.form(node) : `${node.kind}|${node.dtype}|${node.shape}`) + node.inputs.map((input) => places.get(input.node) ?? "");
    return `${unit.type}(${unit.groups.map((each) => each.type)})${nodes.map(one).join(";")}`;
  }

  // Put equal blocks that follow each other into a group "Block × 30": the first of them, and a group of the others.
  fold(group) {
    for (const each of [...group.groups]) this.fold(each);
    const units = this.units(group);
    for (let at = 0; at < units.length; at++) {
      for (let period = 1; period <= PERIOD; period++) {
        if (!units.slice(at, at + period).some(({ unit }) => unit.groups)) continue;
        let end = at + period;
        while (end < units.length && units[end].form === units[end - period].form) end++;
        const count = Math.floor((end - at) / period);
        if (count < REPEATS) continue;
        const block = (i) => units.slice(at + i * period, at + (i + 1) * period).map(({ unit }) => unit);
        this.foldOne(group, Array.from({ length: count }, (_, i) => block(i)));
        at += count * period - 1;
        break;
      }
    }
  }

  foldOne(group, blocks) {
    const made = (title, parent) => {
      const found = { id: this.next++, name: "", type: "repeat", heading: title, parent, groups: [], nodes: [] };
      this.groups.set(found.id, found);
      return found;
    };
    const move = (unit, to) => {
      const from = this.within(unit.groups ? unit.parent : unit.group);
      const list = unit.groups ? from.groups : from.nodes;
      list.splice(list.indexOf(unit), 1);
      (unit.groups ? to.groups : to.nodes).push(unit);
      unit[unit.groups ? "parent" : "group"] = to.id;
    };
    const single = blocks[0].length === 1;
    const whole = made(`${single ? this.kind(blocks[0][0]) : "block"} × ${blocks.length}`, group.id);
    const others = Object.assign(made(`${blocks.length - 1} more like it`, whole.id), { isRest: true });
    group.groups.push(whole);
    const tops = blocks.map((block, i) => {
      const home = i ? others : whole;
      if (single) {
        move(block[0], home);
        return block[0];
      }
      const top = made(`block ${i + 1}`, home.id);
      home.groups.push(top);
      for (const unit of block) move(unit, top);
      return top;
    });
    whole.groups.push(others);
    const inside = new Map(tops.flatMap((top) => [...this.nodesIn(top)].map((node) => [node.id, top])));
    for (const leaf of group.nodes.filter((node) => !node.op)) { // what only one of the blocks uses
      const users = new Set(this.uses[leaf.id].map((user) => inside.get(user.id)));
      const [top] = users;
      if (users.size === 1 && top && !single) move(leaf, top);
    }
  }

  // How many nodes are in a group, its groups counted too.
  size(group) {
    const total = group.nodes.length + group.groups.reduce((sum, each) => sum + this.size(each), 0);
    this.sizes.set(group.id, total);
    return total;
  }

  // Open groups from the outside in, while there is room for what is in them.
  openSome() {
    let boxes = this.top.nodes.length + this.top.groups.length;
    const waiting = [...this.top.groups];
    for (let group = waiting.shift(); group; group = waiting.shift()) {
      if (group.type === "function" || group.isRest) continue; // one call, as the program has it; one block stands for the others
      const more = group.nodes.length + group.groups.length - 1;
      if (boxes > 1 && (boxes + more > ROOM || this.onlyOp(group))) continue; // a module of one op is shown as that op
      this.open.add(group.id);
      boxes += more;
      waiting.push(...group.groups);
    }
  }

  openAll() {
    if (this.nodes.length > LIMIT) return false;
    this.open = new Set(this.groups.keys());
    return true;
  }

  closeAll() {
    this.open.clear();
  }

  // Open or close a group. False if there would be too many boxes.
  toggle(id) {
    if (this.open.delete(id)) return true;
    this.open.add(id);
    if (this.boxes().length <= LIMIT) return true;
    this.open.delete(id);
    return false;
  }

  // Open all groups around a node.
  reveal(node) {
    for (let id = node.group; id !== null; id = this.groups.get(id).parent) this.open.add(id);
  }

  // The groups around a node or group, from the outside in.
  path(id) {
    const found = [];
    for (; id !== null; id = this.groups.get(id).parent) found.unshift(this.groups.get(id));
    return found;
  }

  // The box in which a node is seen: its own, or that of the outermost group around it that is closed.
  boxOf(node) {
    const closed = this.path(node.group).find((group) => !this.open.has(group.id));
    return closed ? `g${closed.id}` : `n${node.id}`;
  }

  boxes() {
    const found = [];
    const visit = (group) => {
      found.push(...group.nodes.map((node) => ({ key: `n${node.id}`, node, parent: group.id })));
      for (const each of group.groups) {
        if (this.open.has(each.id)) visit(each);
        else found.push({ key: `g${each.id}`, group: each, parent: group.id });
      }
    };
    visit(this.top);
    return found;
  }

  // The groups that are open and in sight, outer ones before those in them.
  clusters() {
    const found = this.top.groups.filter((group) => this.open.has(group.id));
    for (const group of found) found.push(...group.groups.filter((each) => this.open.has(each.id)));
    return found;
  }

  // One edge for each pair of boxes, with the inputs that it stands for.
  edges() {
    const found = new Map();
    for (const node of this.nodes) {
      const to = this.boxOf(node);
      for (const input of node.inputs) {
        if (input.node === undefined) continue;
        const from = this.boxOf(this.nodes[input.node]);
        if (from === to) continue;
        const key = `${from}-${to}`;
        if (!found.has(key)) found.set(key, { key, from, to, inputs: [] });
        found.get(key).inputs.push({ ...input, user: node.id });
      }
    }
    return [...found.values()];
  }

  *nodesIn(group) {
    yield* group.nodes;
    for (const each of group.groups) yield* this.nodesIn(each);
  }

  // What a group gives to the outside: the last of its nodes that something outside of it uses, or its last one.
  outputOf(group) {
    const inside = new Set([...this.nodesIn(group)]);
    const ops = [...inside].filter((node) => node.op);
    return ops.findLast((node) => node.output || this.uses[node.id].some((user) => !inside.has(user))) ?? ops.at(-1);
  }

  // A module is called by its name, or by its class if it only has a number; the other one stands beside it.
  title(group) {
    return group.heading ?? (/\D/.test(group.name) ? group.name : group.type);
  }

  note(group) {
    if (group.module) return this.beside(group.module, group.name);
    return ["part", "function", "repeat"].includes(group.type) || !group.name ? "" : /\D/.test(group.name) ? group.type : group.name;
  }

  // What stands beside the name of an op: its module, by a name that says more.
  beside(module, text) {
    const title = this.title(module);
    return title.toLowerCase() === text.replaceAll("_", "").toLowerCase() ? module.name : title;
  }

  kind(group) {
    return group.type === "function" ? group.name : group.type;
  }

  // The only op of a closed module, beside parameters.
  onlyOp(group) {
    const ops = group.groups.length ? [] : group.nodes.filter((node) => node.op);
    return ops.length === 1 && group.type !== "part" && group.type !== "repeat" ? ops[0] : null;
  }
}

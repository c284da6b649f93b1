// The graph with some of its groups open: which boxes are to be seen, and which edges there are between them.

export const LIMIT = 2000; // boxes that are drawn at most
const ROOM = 42; // boxes up to which groups are opened at first

const summaries = { size: 1, nan: 0, inf: 0, values: null, picture: null, histogram: null, mean: null };
const filled = (summary) => (summary ? { ...summaries, ...summary } : null);

// A node with what a page leaves out: whatever is as it mostly is.
const whole = (node, id, files) => ({
  id, kind: "op", op: null, name: "", shape: [], dtype: "float32", params: {}, group: null, requires_grad: true,
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
    this.sizes = new Map();
    this.size(this.top);
    this.open = new Set();
    this.openSome();
  }

  within(id) {
    return id === null ? this.top : this.groups.get(id);
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
      const more = group.nodes.length + group.groups.length - 1;
      if (boxes > 1 && (boxes + more > ROOM || (more === 0 && !group.groups.length))) continue; // one op says no more than its module
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
    return /\D/.test(group.name) ? group.name : group.type;
  }

  note(group) {
    return group.type === "part" || !group.name ? "" : /\D/.test(group.name) ? group.type : group.name;
  }
}

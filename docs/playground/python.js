// The page's side of Python: one Web Worker at a time, and calls that are promises.

const PATIENCE = 1500; // milliseconds for which a call may go on after Stop

export class Python {
  // `on.starting`, `on.progress`, `on.ready` and `on.lost` are called as a worker loads; `base` is an address for Pyodide's files, or null.
  constructor(base, on) {
    Object.assign(this, { base, on, waiting: new Map(), count: 0, ready: false, starts: 0 });
  }

  // Start, or start anew. Nothing of an earlier worker is left.
  async start() {
    this.worker?.terminate();
    for (const { reject } of this.waiting.values()) reject(new Stopped());
    this.waiting.clear();
    this.ready = false;
    this.loading = true;
    this.starts += 1;
    this.on.starting();
    this.worker = new Worker("worker.js", { type: "module" });
    this.worker.onmessage = ({ data }) => this.take(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.loading = false;
      this.on.lost(event.message || "worker.js cannot be loaded; open the page through a web server");
    };
    try {
      const reply = await this.send({ name: "load", base: this.base });
      this.loading = false;
      if (reply.error) return void this.on.lost(reply.error.text);
      this.ready = true;
      this.on.ready();
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
  }

  take({ id, reply, progress }) {
    if (progress) return void (this.loading && this.on.progress(progress)); // other files may arrive after one has failed
    const { resolve } = this.waiting.get(id);
    this.waiting.delete(id);
    resolve(reply);
  }

  send(message) {
    const id = (this.count += 1);
    this.worker.postMessage({ ...message, id });
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  // Call a function of the page's Python, such as "train.start": {result, output} or {error, output}.
  call(name, ...args) {
    return this.send({ name, args });
  }

  // Let calls come to their end, and start anew if they do not. Returns whether that was necessary.
  async stop() {
    const began = this.starts;
    const end = performance.now() + PATIENCE;
    while (this.waiting.size && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
    if (!this.waiting.size || this.starts !== began) return false;
    await this.start();
    return true;
  }
}

// What a call ends with whose worker was stopped.
export class Stopped extends Error {}

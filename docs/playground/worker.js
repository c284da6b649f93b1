// Python in a Web Worker: loads Pyodide and the library, and answers calls of Python functions, one after the other.
//
// Every file of Pyodide is fetched here, against its hash in pyodide.json, and Pyodide is given what was fetched: so nothing
// of it runs or is read that was not checked. The browser keeps what was fetched, for the next visit.

const fetched = new Map(); // by address
const KEPT = "pyodide "; // the beginning of a cache's name

async function load(base) {
  const tell = (progress) => postMessage({ progress });
  const config = await (await own("config.json")).json();
  const url = new URL(base ?? config.url, self.location).href.replace(/\/*$/, "/");
  const pins = Object.entries(config.files);
  const total = pins.reduce((sum, [, { bytes }]) => sum + bytes, config.library.bytes);
  let done = 0;
  tell({ url, config, done, total });
  const library = own("library.zip");
  const cache = await self.caches?.open(`${KEPT}${config.version}`).catch(() => null); // absent where storage is turned off
  const fresh = [];
  await Promise.all(pins.map(async ([name, { bytes, integrity }]) => {
    const kept = await cache?.match(url + name);
    const response = kept ?? await fetch(url + name, { integrity }).catch(() => null);
    if (!response?.ok) throw new Error(`${url}${name} cannot be loaded, or it is not the file whose hash is in pyodide.json`);
    const body = await response.arrayBuffer();
    if (!kept) fresh.push([url + name, new Response(body)]);
    fetched.set(url + name, { body, type: name.endsWith(".wasm") ? "application/wasm" : "text/javascript" });
    tell({ url, config, done: (done += bytes), total });
  }));
  const archive = await (await library).arrayBuffer();
  tell({ url, config, done: total, total });

  const network = self.fetch;
  self.fetch = (address, options) => {
    const found = fetched.get(String(address));
    return found ? Promise.resolve(new Response(found.body, { headers: { "Content-Type": found.type } })) : network(address, options);
  };
  const script = (name) => import(URL.createObjectURL(new Blob([fetched.get(url + name).body], { type: "text/javascript" })));
  const { loadPyodide } = await script("pyodide.mjs");
  const lock = { info: config.info, packages: {} }; // it is to load no packages
  const options = { indexURL: url, env: { HOME: "/home" } };
  if (config.files["pyodide.asm.mjs"]) Object.assign(options, { createPyodideModule: (await script("pyodide.asm.mjs")).default, lockFileContents: lock, packageBaseUrl: url });
  else { // before version 314
    await script("pyodide.asm.js");
    options.lockFileURL = `data:application/json,${encodeURIComponent(JSON.stringify(lock))}`;
  }
  const pyodide = await loadPyodide(options);
  pyodide.unpackArchive(fetched.get(url + pins.at(-1)[0]).body, "wheel");
  pyodide.unpackArchive(archive, "zip", { extractDir: "/library" });
  self.fetch = network;
  fetched.clear();
  pyodide.runPython("import sys; sys.path.insert(0, '/library')");
  if (cache) keep(cache, config.version, fresh);
  return pyodide;
}

// Keep files for the next visit, and drop those of another version.
async function keep(cache, version, fresh) {
  await Promise.allSettled(fresh.map(([address, response]) => cache.put(address, response)));
  for (const name of await caches.keys()) if (name.startsWith(KEPT) && name !== `${KEPT}${version}`) await caches.delete(name);
}

// A file of the page itself.
async function own(name) {
  const response = await fetch(name).catch(() => null);
  if (!response?.ok) throw new Error(`${name} is missing; complete the folder with docs/build_playground.py, and open it through a web server`);
  return response;
}

let pyodide = null;
let importModule = null;

onmessage = async ({ data: { id, base, name, args } }) => {
  try {
    if (name === "load") {
      pyodide = await load(base);
      importModule = pyodide.pyimport("importlib").import_module;
      importModule("playground.call");
      postMessage({ id, reply: { result: true } });
      return void setTimeout(() => importModule("playground.course")); // NumPy and the library, while the first text is read
    }
    const [module, method] = name.split(".");
    const { answer } = pyodide.pyimport("playground.call");
    const given = args.map((arg) => pyodide.toPy(arg));
    postMessage({ id, reply: JSON.parse(answer(importModule(`playground.${module}`)[method], ...given)) });
  } catch (error) {
    postMessage({ id, reply: { error: { text: error.message, file: null, line: null }, failed: true } });
  }
};

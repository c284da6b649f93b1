// Run tests under Pyodide, in Node: NumPy of wasm32 has 32-bit indices, one thread, no OpenBLAS to call, no lzma and no mmap.
//
//     node tests/wasm/run.mjs PYODIDE WHEELS [arguments of pytest]
//
// PYODIDE is a folder with a Pyodide distribution and its NumPy, WHEELS one with pytest, hypothesis and what they need.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [distribution, wheels, ...args] = process.argv.slice(2);
if (!wheels) {
  console.error("run.mjs: two folders are needed: node tests/wasm/run.mjs PYODIDE WHEELS [arguments of pytest]");
  process.exit(2);
}
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const folder = path.resolve(distribution) + "/";
const { loadPyodide } = await import(pathToFileURL(`${folder}pyodide.mjs`));
const pyodide = await loadPyodide({ indexURL: folder, env: { HOME: "/home/pyodide", CI: "true", HYPOTHESIS_PROFILE: process.env.HYPOTHESIS_PROFILE ?? "ci" } });

const unpack = (file) => pyodide.unpackArchive(new Uint8Array(readFileSync(file)), "wheel", { extractDir: "/lib/python3.12/site-packages" });
const numpy = readdirSync(folder).find((name) => /^numpy-.*wasm32\.whl$/.test(name));
unpack(folder + numpy);
for (const name of readdirSync(wheels).filter((each) => each.endsWith(".whl"))) unpack(path.join(wheels, name));
// A copy: a folder of this machine that is mounted is slow to import from.
const copy = (from, to) => {
  pyodide.FS.mkdirTree(to);
  for (const each of readdirSync(from, { withFileTypes: true })) {
    if (each.name === "__pycache__") continue;
    if (each.isDirectory()) copy(path.join(from, each.name), `${to}/${each.name}`);
    else if (each.isFile()) pyodide.FS.writeFile(`${to}/${each.name}`, readFileSync(path.join(from, each.name)));
  }
};
for (const each of ["tinygrad_cnn", "tests", "examples", "docs"]) copy(path.join(root, each), `/work/${each}`);
pyodide.FS.writeFile("/work/pyproject.toml", readFileSync(path.join(root, "pyproject.toml")));

pyodide.globals.set("arguments", pyodide.toPy(args));
try {
  process.exitCode = pyodide.runPython(`
import os, sys
os.chdir("/work")
sys.path.insert(0, "/work")
import pytest
options = ["-q", "-p", "no:cacheprovider", "--capture=sys", "-p", "tests.wasm.plugin"]
int(pytest.main([*options, *arguments]))
`);
} catch (error) {
  console.error(error.message); // Node would print the line of a minified script as well
  process.exitCode = 1;
}

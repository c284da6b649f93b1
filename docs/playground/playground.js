// The playground: tabs that share one Python.

import { el, num } from "./view/format.js";
import { Course } from "./course.js";
import { Gradients } from "./gradients.js";
import { Notebook } from "./notebook.js";
import { Plane } from "./plane.js";
import { Python, Stopped } from "./python.js";
import { Train } from "./train.js";

const megabytes = (bytes) => `${num(bytes / 1e6, 3)} MB`;

const state = el("p", { class: "loading", role: "status" }, "Loading …");
const bar = el("progress", { max: 1, value: 0, "aria-label": "loading" });
const retry = el("button", { hidden: true, onclick: () => python.start() }, "Try again");
const about = el("p", { class: "about" });

// `?pyodide=folder/` takes Pyodide from a folder beside the page instead of from the CDN.
const base = new URLSearchParams(location.search).get("pyodide");

const python = new Python(base, {
  starting() {
    enabled(false);
    tabs.forEach((tab) => tab.leaving?.());
    retry.hidden = true;
  },
  progress({ url, config, done, total }) {
    bar.value = done / total;
    state.textContent = done < total ? `Loading Python: ${megabytes(done)} of ${megabytes(total)} …` : "Starting Python …";
    const from = new URL(url).origin === location.origin ? "from this site" : `from ${new URL(url).host}`;
    about.textContent = `This page runs Python ${config.python} with NumPy ${config.numpy} in your browser. It loads Pyodide ${config.version} ${from}, ${megabytes(total)} in all, which is about half as much when compressed on the way, and checks each file against its hash. ${navigator.serviceWorker ? "The browser keeps them, and then the page works without a network. " : ""}What you write and draw stays here: it is sent nowhere.`;
  },
  ready() {
    enabled(true);
    state.textContent = python.starts > 1 ? "Python was started anew. What you have written is still there." : "Python is ready.";
    tabs.forEach((tab) => tab.ready());
  },
  lost(message) {
    state.textContent = `Python could not be started: ${message}. Check the connection and try again, or use a copy of Pyodide beside this page, with ?pyodide=folder/ in the address. What you have written is kept.`;
    bar.hidden = true;
    retry.hidden = false;
  },
});

// Whether buttons that need Python can be pressed.
function enabled(on) {
  bar.hidden = on;
  for (const button of document.querySelectorAll("[data-python]")) button.disabled = !on;
}

// Stop whatever Python does. Returns whether it had to be started anew, and has forgotten everything.
async function stop() {
  state.textContent = "Stopping …";
  const anew = await python.stop();
  if (!anew) state.textContent = "Stopped.";
  return anew;
}

// Calls a function of Python; null if Python is not there, or was stopped before the end of the call.
async function call(name, ...args) {
  if (!python.ready) return null;
  try {
    return await python.call(name, ...args);
  } catch (error) {
    if (error instanceof Stopped) return null;
    throw error;
  }
}

const tabs = [new Course(call, stop), new Train(call, stop), new Plane(call, stop), new Gradients(call, stop), new Notebook(call)];

// The tabs: arrow keys move between them, as is usual.
const buttons = tabs.map((tab, i) => el("button", {
  role: "tab", id: `tab-${tab.name}`, "aria-controls": `panel-${tab.name}`, onclick: () => choose(i), onkeydown: (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) choose((i + step + tabs.length) % tabs.length, true);
  },
}, tab.title));
const panels = tabs.map((tab) => el("section", { role: "tabpanel", id: `panel-${tab.name}`, "aria-labelledby": `tab-${tab.name}` }, tab.element));

function choose(at, focus = false) {
  buttons.forEach((button, i) => {
    button.setAttribute("aria-selected", String(i === at));
    button.tabIndex = i === at ? 0 : -1;
    panels[i].hidden = i !== at;
  });
  if (focus) buttons[at].focus();
  history.replaceState(null, "", `#${tabs[at].name}`);
  tabs[at].shown?.();
}

document.getElementById("app").replaceChildren(
  el("header", { class: "head" }, el("h1", {}, "tinygrad_cnn"), el("div", { role: "tablist", "aria-label": "playground" }, buttons),
    el("div", { class: "python" }, state, bar, retry)),
  el("main", { class: "panels" }, panels),
  el("footer", {}, about),
);
choose(Math.max(0, tabs.findIndex((tab) => `#${tab.name}` === location.hash)));
if (typeof WebAssembly === "object") python.start();
else {
  enabled(false);
  bar.hidden = true;
  state.textContent = "This browser has no WebAssembly, or it is turned off, so Python cannot run here. You can read the exercises and their solutions.";
}
navigator.serviceWorker?.register("offline.js").catch(() => {}); // without it, the page needs a network when it is opened again

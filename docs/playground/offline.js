// A service worker: it keeps the page's own files, and gives them where there is no network. worker.js keeps those of Pyodide.

const NAME = "tinygrad_cnn page";
const here = new URL("./", self.location).href;

async function keep() {
  const { page } = await (await fetch("config.json", { cache: "no-cache" })).json();
  await (await caches.open(NAME)).addAll(["./", ...page].map((name) => new Request(name, { cache: "no-cache" })));
}

// The newest file, or the kept one.
async function answer(request) {
  const cache = await caches.open(NAME);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(here) && !url.startsWith(`${here}pyodide/`)) event.respondWith(answer(event.request));
});

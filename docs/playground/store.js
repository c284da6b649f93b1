// What the browser keeps for this page: nothing where storage is turned off.

const NAME = "tinygrad_cnn course";

function storage() {
  try {
    localStorage.setItem(`${NAME} test`, "1");
    localStorage.removeItem(`${NAME} test`);
    return localStorage;
  } catch {
    return null; // turned off, or full
  }
}

const found = storage();

export const keeps = found !== null;

export function read() {
  try {
    return JSON.parse(found?.getItem(NAME)) ?? {};
  } catch {
    return {}; // written by something else
  }
}

export function write(value) {
  try {
    found?.setItem(NAME, JSON.stringify(value));
  } catch {
    // full: what was kept before stays
  }
}

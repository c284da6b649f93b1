// A field for Python with what it printed and what went wrong below it.

import { el } from "./view/format.js";

export class Editor {
  // `texts` is what stands there first, or texts to choose from, by name. `run` is called by Ctrl+Enter.
  constructor(label, texts, rows, run) {
    const text = typeof texts === "string" ? texts : Object.values(texts)[0];
    const choice = typeof texts === "string" ? null : el("select", { "aria-label": `begin with, for ${label}`, onchange: () => this.set(texts[choice.value]) }, Object.keys(texts).map((name) => el("option", {}, name)));
    this.input = el("textarea", { class: "code", rows, spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-label": label, wrap: "off" });
    this.input.value = text;
    this.error = el("pre", { class: "error", role: "alert", hidden: true });
    this.output = el("pre", { class: "output", "aria-label": "what was printed", hidden: true });
    this.element = el("div", { class: "editor" }, choice && el("label", { class: "preset" }, "begin with ", choice), this.input, this.error, this.output);
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        return run();
      }
      const before = this.input.value.slice(0, this.input.selectionStart).split("\n").at(-1);
      const indent = before.match(/^ */)[0] + (/:\s*$/.test(before) ? "    " : "");
      if (!indent) return;
      event.preventDefault();
      document.execCommand("insertText", false, `\n${indent}`); // which can be undone
    });
  }

  get text() {
    return this.input.value;
  }

  // Replace the text, in a way that can be undone.
  set(text) {
    const before = document.activeElement;
    this.input.focus();
    this.input.select();
    if (!document.execCommand("insertText", false, text)) this.input.value = text;
    before?.focus();
    this.show({});
  }

  // Show what came back from a call; true if it went well. An error in this text is marked in it.
  show({ error, output }) {
    this.output.hidden = !output;
    this.output.textContent = output ?? "";
    this.error.hidden = !error;
    this.error.textContent = error?.text ?? "";
    if (error?.line && document.activeElement !== this.input) this.mark(error.line);
    return !error;
  }

  // Select a line, counted from 1.
  mark(line) {
    const lines = this.text.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    this.input.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
  }

  say(text) {
    this.error.hidden = !text;
    this.error.textContent = text;
  }
}

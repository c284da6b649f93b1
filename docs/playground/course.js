// The tab "Course": twelve exercises, one at a time. Answers are graded by Python, and kept in the browser.

import { el, num, percent, plural } from "./view/format.js";
import { Digit } from "./digit.js";
import { Editor } from "./editor.js";
import { prose } from "./prose.js";
import { keeps, read, write } from "./store.js";

const WAIT = 500; // milliseconds without typing after which an answer is kept
const LAST = 12; // the exercise whose network reads digits that are drawn

export class Course {
  name = "course";
  title = "Course";

  constructor(call, stop) {
    Object.assign(this, { call, halt: stop, busy: false, kept: { answers: {}, solved: [], at: 1, ...read() } });
    this.list = el("ol", { class: "exercises" });
    this.told = el("p", { class: "hint", role: "status" });
    this.place = el("div", { class: "card exercise" }, el("p", { class: "hint" }, "Loading the exercises …"));
    this.element = el("div", { class: "course" },
      document.getElementById("lead"), // which is there before any script
      el("nav", { class: "card", "aria-label": "exercises" }, this.told, this.list,
        keeps ? null : el("p", { class: "hint" }, "This browser keeps nothing for this page: your answers are lost when you close it.")),
      this.place);
    addEventListener("pagehide", () => this.keep());
    this.load();
  }

  async load() {
    const response = await fetch("course.json").catch(() => null);
    if (!response?.ok) return void this.place.replaceChildren(el("p", { class: "bad", role: "alert" }, "The exercises cannot be loaded: course.json is missing."));
    this.exercises = await response.json();
    this.items = this.exercises.map(({ number, title }) => el("button", { "data-number": number, onclick: () => this.open(number, true) }, el("b", {}, String(number)), el("span", {}, title)));
    this.list.replaceChildren(...this.items.map((item) => el("li", {}, item)));
    this.open(Math.min(Math.max(1, Number(this.kept.at) || 1), this.exercises.length));
  }

  ready() {
    this.enable(true);
    if (this.begun) this.check(); // what was asked for before Python was there
  }

  leaving() {
    this.enable(false);
  }

  // Tell what is solved, in the list and above it.
  tell() {
    const solved = this.kept.solved.length;
    this.told.textContent = solved ? `${solved} of ${this.exercises.length} solved.` : `${plural(this.exercises.length, "exercise")}. Complete the code, and press Check.`;
    for (const item of this.items) {
      const number = Number(item.dataset.number);
      const done = this.kept.solved.includes(number);
      item.className = done ? "solved" : "";
      item.setAttribute("aria-label", `${number}: ${this.exercises[number - 1].title}${done ? ", solved" : ""}`);
      if (number === this.exercise?.number) item.setAttribute("aria-current", "true");
      else item.removeAttribute("aria-current");
    }
  }

  open(number, focus = false) {
    this.keep();
    const exercise = this.exercises[number - 1];
    Object.assign(this, { exercise, hints: 0, begun: false });
    this.kept.at = number;
    write(this.kept);
    this.editor = new Editor("your answer, in Python", exercise.code, exercise.code.split("\n").length, () => this.check());
    this.editor.input.value = this.kept.answers[number] ?? exercise.code;
    this.editor.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.keep(), WAIT);
    });
    const button = (text, onclick, more) => el("button", { onclick, ...more }, text);
    this.go = button("Check", () => this.check(), { class: "primary", "data-python": "", disabled: !this.here });
    this.end = button("■ Stop", () => this.stop(), { disabled: true });
    this.hint = button(`Hint 1 of ${exercise.hints.length}`, () => this.help());
    this.verdict = el("div", { class: "answered", role: "status" });
    this.helped = el("ol", { class: "hints" });
    this.after = el("div");
    const heading = el("h2", { tabindex: "-1" }, `${number}. ${exercise.title}`);
    const step = (to, text) => button(text, () => this.open(to, true), { disabled: !this.exercises[to - 1] });
    this.place.replaceChildren(heading, el("div", { class: "prose" }, prose(exercise.text)), this.editor.element,
      el("div", { class: "buttons" }, this.go, this.end, this.hint, button("Start again", () => this.editor.set(exercise.code))),
      this.verdict, this.helped, this.after,
      el("details", { class: "solution" }, el("summary", {}, "Solution"), el("pre", {}, exercise.solution)),
      el("div", { class: "buttons steps" }, step(number - 1, "← Back"), step(number + 1, "Next →")));
    if (number === LAST && this.kept.solved.includes(LAST)) this.draw();
    this.tell();
    this.items[number - 1].scrollIntoView?.({ block: "nearest", inline: "nearest" });
    if (focus) heading.focus();
  }

  enable(on) {
    this.here = on;
    if (this.go) this.go.disabled = !on || this.busy;
  }

  // Keep the answer in the browser.
  keep() {
    clearTimeout(this.timer);
    if (!this.exercise) return;
    const { number, code } = this.exercise;
    if (this.editor.text === code) delete this.kept.answers[number];
    else this.kept.answers[number] = this.editor.text;
    write(this.kept);
  }

  help() {
    const { hints } = this.exercise;
    if (this.hints < hints.length) this.helped.append(el("li", {}, prose(hints[this.hints++])));
    this.hint.disabled = this.hints === hints.length;
    this.hint.textContent = this.hint.disabled ? "No more hints" : `Hint ${this.hints + 1} of ${hints.length}`;
  }

  async check() {
    if (this.busy) return;
    this.keep();
    this.begun = !this.here;
    if (!this.here) return this.say("Python is not ready yet. The answer is checked as soon as it is.");
    this.busy = true;
    this.go.disabled = true;
    this.end.disabled = false;
    const { exercise, editor } = this;
    editor.show({});
    this.say("Checking …");
    const reply = await this.call("course.check", exercise.number, editor.text);
    this.busy = false;
    this.enable(this.here);
    this.end.disabled = true;
    if (this.exercise !== exercise) return; // another one was opened
    if (!reply) return this.say("Stopped.");
    if (!editor.show(reply)) return this.say("");
    const { solved, text } = reply.result;
    this.say(text, solved);
    const line = /^line (\d+) /.exec(text);
    if (line) editor.mark(Number(line[1]));
    if (!solved) return;
    if (!this.kept.solved.includes(exercise.number)) this.kept.solved.push(exercise.number);
    this.keep();
    this.tell();
    if (exercise.number === LAST) this.draw();
  }

  say(text, solved = null) {
    const first = solved === null ? [] : [el("p", { class: solved ? "good" : "bad" }, solved ? "✓ Solved." : "Not yet.")];
    this.verdict.replaceChildren(...first, ...(text ? [el(solved === false ? "pre" : "p", {}, text)] : []));
  }

  async stop() {
    this.end.disabled = true;
    if (await this.halt()) this.say("Python did not come to an end and was started anew.");
  }

  // A digit of one's own, for the network that was just trained.
  draw() {
    const guess = el("p", { class: "guess", role: "status" }, "Draw a digit: your network reads it.");
    const digit = new Digit(async (pixels) => {
      if (!pixels || digit.looking) return;
      digit.looking = true;
      const reply = this.here ? await this.call("course.look", pixels) : null;
      digit.looking = false;
      if (!reply) return;
      if (!reply.result) return void (guess.textContent = "The network is not trained in this visit: press Check first.");
      const { guess: found, probabilities } = reply.result;
      guess.replaceChildren("It is a ", el("b", {}, String(found)), ` (${percent(Number(probabilities[found]))})`);
    });
    this.after.replaceChildren(el("div", { class: "drawn" }, digit.canvas, el("div", {}, guess, el("button", { onclick: () => digit.clear() }, "Clear"))));
  }
}

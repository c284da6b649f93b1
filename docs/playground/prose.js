// Markdown as the pages of the course use it: paragraphs, `code`, **bold**.

import { el } from "./view/format.js";

const spans = (text) => text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
  if (/^`.+`$/s.test(part)) return el("code", {}, part.slice(1, -1));
  return part.startsWith("**") ? el("strong", {}, part.slice(2, -2)) : part;
});

export const prose = (text) => text.split(/\n\n+/).map((paragraph) => el("p", {}, spans(paragraph.replaceAll("\n", " "))));

// Text that somebody takes along.

import { h } from "./dom.js";
import { notice } from "./notices.js";
import { button } from "./parts.js";

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    notice("good", "Copied.");
  } catch {
    notice("warn", "This browser does not let pages copy; select the text.");
  }
}

// Text as it is, and a button that copies it.
export function toCopy(label, text) {
  return h("div", { class: "to-copy" }, h("pre", { class: "text", tabindex: "0", role: "group", "aria-label": label }, text), button("Copy", () => copy(text), { kind: "small" }));
}

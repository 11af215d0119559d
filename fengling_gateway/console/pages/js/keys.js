// Shortcuts: single keys, and g followed by another. Never while somebody types.

import { h } from "./dom.js";
import { dialog } from "./dialog.js";
import { go } from "./router.js";

const PLACES = { h: ["/history", "History"], o: ["/", "Home"], r: ["/routes", "Routes"], s: ["/services", "Services"], k: ["/kubernetes", "Kubernetes"], e: ["/explain", "Explain"], f: ["/fleet", "Fleet"], t: ["/settings", "Settings"] };
const CHORD_MS = 1500;

let began = 0;
let search = () => {};

export function startKeys(openPalette) {
  search = openPalette;
  document.addEventListener("keydown", pressed);
}

function pressed(event) {
  if ((event.ctrlKey || event.metaKey) && event.key === "k") {
    event.preventDefault();
    search();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const isSecond = event.timeStamp - began < CHORD_MS;
  began = 0;
  if (isSecond && event.key in PLACES) go(PLACES[event.key][0]);
  else if (event.key === "g") began = event.timeStamp;
  else if (event.key === "/") find();
  else if (event.key === "?") help();
  else if (event.key === "n") document.querySelector("[data-shortcut=new]")?.click();
  else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
  else return;
  event.preventDefault();
}

export function isTyping(target) {
  return target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]") !== null;
}

// The search of the page, if it has one, else that of everything.
function find() {
  const field = document.querySelector("[data-shortcut=search]");
  if (field) field.focus();
  else search();
}

// To the next row, or the one before.
function step(by) {
  const rows = [...document.querySelectorAll("a[data-row]")];
  const at = rows.indexOf(document.activeElement);
  rows[Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
}

export function help() {
  const lines = [
    ["/", "Search on this page"],
    ["Ctrl K", "Go to anything"],
    ["j  k", "Next row, row before; Enter opens it"],
    ["n", "New, where something can be made"],
    ["Ctrl Enter", "Save a form"],
    ...Object.entries(PLACES).map(([key, [, name]]) => [`g ${key}`, name]),
    ["?", "This list"],
  ];
  dialog("Shortcuts", (close) => [
    h("dl", { class: "keys" }, lines.map(([keys, text]) => [h("dt", {}, keys.split(" ").map((key) => key && h("kbd", {}, key))), h("dd", {}, text)])),
    h("p", { class: "actions" }, h("button", { type: "button", class: "button", autofocus: true, onclick: () => close(null) }, "Close")),
  ]);
}

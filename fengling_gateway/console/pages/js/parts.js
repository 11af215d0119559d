// Small things that many pages show.

import { h, svg } from "./dom.js";
import { ago, clock } from "./text/format.js";
import { sparkline } from "./text/sparkline.js";

// Drawn by ourselves, 16 × 16; what they mean is always said in words, too.
const ICONS = {
  good: "M3 8.5l3.2 3.2L13 5",
  bad: "M4 4l8 8M12 4l-8 8",
  warn: "M8 3v6M8 12v.6",
  unknown: "M5.6 6a2.4 2.4 0 1 1 3.4 2.2c-.7.3-1 .8-1 1.5M8 12.4v.4",
  off: "M8 2.5v5M4.6 4.4a5 5 0 1 0 6.8 0",
  drain: "M3 4h10M5 8h6M7 12h2",
  search: "M7 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM10 10l3.5 3.5",
  plus: "M8 3v10M3 8h10",
  right: "M6 3l5 5-5 5",
  left: "M10 3L5 8l5 5",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6L13 13M13 3l-1.4 1.4M4.4 11.6L3 13",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z",
  person: "M8 2.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM3 13.5c.5-2.8 2.4-4 5-4s4.5 1.2 5 4",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  wait: "M8 4v4l2.5 2.5M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z",
};

export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }),
  );
}

// A word with a tone, which an icon says, too: good, bad, warn, unknown, off, drain, plain.
export function badge(tone, text, title, named = tone) {
  return h("span", { class: `badge ${tone}`, title }, named in ICONS && icon(named), text);
}

// Text in which what is between backticks is code.
export function coded(text) {
  return text.split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));
}

export function when(value) {
  return h("time", { title: clock(value), datetime: typeof value === "string" ? value : null }, ago(value));
}

export function button(text, onclick, { kind = "", icon: named, ...props } = {}) {
  return h("button", { type: "button", class: `button ${kind}`, onclick, ...props }, named && icon(named), text);
}

export function linkButton(text, href, { kind = "", icon: named } = {}) {
  return h("a", { class: `button ${kind}`, href }, named && icon(named), text);
}

export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text && h("p", {}, text), actions.length > 0 && h("p", { class: "actions" }, actions));
}

export function failed(error, again) {
  return h(
    "div",
    { class: "failed", role: "alert" },
    h("p", {}, icon("bad"), " ", error.message),
    error.problems?.length > 0 && h("ul", {}, error.problems.map((one) => h("li", {}, one.path && h("code", {}, one.path), " ", one.message))),
    again && button("Try again", again),
  );
}

// What is shown while something is on its way, as large as what comes.
export function waiting(lines = 3) {
  return h(
    "div",
    { class: "waiting", role: "status", "aria-label": "loading" },
    Array.from({ length: lines }, () => h("div", { class: "bone" })),
  );
}

export function heading(text, ...actions) {
  return h(
    "header",
    { class: "page-head" },
    h("h1", { id: "page-title", tabindex: "-1" }, text),
    h("div", { class: "actions" }, actions),
  );
}

// (Without a name it is no landmark: what is in it has one, where somebody may want to go.)
export function section(title, props, ...children) {
  const { note, actions, id } = props ?? {};
  return h(
    "section",
    { class: "section" },
    h("div", { class: "section-head" }, h("h2", { id }, title), note && h("p", { class: "quiet" }, typeof note === "string" ? coded(note) : note), actions && h("div", { class: "actions" }, actions)),
    children,
  );
}

// A table that scrolls by itself where it is wider than the page. Columns: [title, class].
export function table(label, columns, rows, props = {}) {
  return h(
    "div",
    { class: "table-box", role: "region", "aria-label": label, tabindex: "0" },
    h(
      "table",
      props,
      h("thead", {}, h("tr", {}, columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title || h("span", { class: "for-readers" }, "actions"))))),
      h("tbody", {}, rows),
    ),
  );
}

export function chart(label, values, shown, { most = 1, tone = "", slots = 180, over = "over the last minutes" } = {}) {
  const [width, height] = [240, 48];
  const { line, area } = sparkline(values, { width, height, slots, most });
  return h(
    "figure",
    { class: `chart ${tone}` },
    h("figcaption", {}, h("span", { class: "quiet" }, label), h("span", { class: "chart-value" }, shown)),
    svg(
      "svg",
      { viewBox: `0 -2 ${width} ${height + 4}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${shown}, ${over}` },
      svg("path", { class: "area", d: area || "M0,0" }),
      svg("path", { class: "line", d: line || "M0,0", "vector-effect": "non-scaling-stroke" }),
    ),
  );
}

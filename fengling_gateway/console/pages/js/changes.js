// What changes, drawn: of each entity the lines that differ.

import { h } from "./dom.js";
import { badge } from "./parts.js";
import { placeOf } from "./text/headline.js";
import { diffLines } from "./text/diff.js";
import { yaml } from "./text/yaml.js";

const SIGNS = { "+": "come", "-": "gone", " ": "same" };
const SAID = { "+": "added: ", "-": "removed: ", " ": "" };
const AROUND = 2;

const TONES = { create: "good", update: "plain", delete: "bad" };
const WORDS = { create: "new", update: "changed", delete: "deleted" };

// Changes as the API tells them: [{action, kind, id, fields: {name: [before, after]}}].
export function changeList(changes, { links = true } = {}) {
  return h(
    "div",
    { class: "changes" },
    changes.map((one) => {
      const name = `${one.kind} ${one.id}`;
      const place = links && one.action !== "delete" && placeOf(name);
      return h(
        "article",
        { class: "change", "data-key": name },
        h("h3", {}, badge(TONES[one.action] ?? "plain", WORDS[one.action] ?? one.action, undefined, one.action === "create" ? "plus" : undefined), " ", one.kind, " ", place ? h("a", { href: place }, one.id) : h("b", {}, one.id)),
        fieldDiffs(one.fields),
      );
    }),
  );
}

export function fieldDiffs(fields) {
  const names = Object.keys(fields ?? {});
  if (!names.length) return null;
  const side = (at) => names.map((name) => lines(name, fields[name][at])).join("");
  return diff(side(0), side(1));
}

function lines(name, value) {
  return value === null || value === undefined ? "" : yaml({ [name]: value });
}

// Two texts, line by line; of what is the same in both, only what is around.
export function diff(before, after) {
  const all = diffLines(before, after);
  const near = new Set();
  all.forEach(({ sign }, at) => {
    if (sign !== " ") for (let i = at - AROUND; i <= at + AROUND; i++) near.add(i);
  });
  let skipped = false;
  const shown = all.flatMap(({ sign, text }, at) => {
    if (!near.has(at)) {
      const gap = skipped ? [] : [h("span", { class: "skipped" }, "…\n")];
      skipped = true;
      return gap;
    }
    skipped = false;
    return [h("span", { class: SIGNS[sign] }, h("span", { class: "for-readers" }, SAID[sign]), h("span", { "aria-hidden": "true" }, `${sign} `), `${text}\n`)];
  });
  return h("pre", { class: "diff", tabindex: "0", role: "group", "aria-label": "what differs" }, shown);
}

// Lists of revisions, as home and history show them.

import { h } from "./dom.js";
import { badge, table, when } from "./parts.js";
import { placeOf } from "./text/headline.js";
import { number } from "./text/format.js";

const STATES = {
  held: ["bad", "held"],
  waiting: ["warn", "waits"],
  "never served": ["off", "never served"],
  forced: ["plain", "forced"],
  confirmed: ["plain", "confirmed"],
};

export function stateBadge(state) {
  const [tone, text] = STATES[state] ?? [];
  return tone && badge(tone, text);
}

// What revisions are, in a table. `extra` returns one more cell of a revision.
export function revisionTable(revisions, { extra } = {}) {
  return table(
    "Revisions",
    [["Revision", "number"], ["When"], ["Who"], ["Why"], ["What"], ...(extra ? [["", "end"]] : [])],
    revisions.map((one) =>
      h(
        "tr",
        { "data-key": String(one.id) },
        h("td", { class: "number" }, h("a", { href: `/history/${one.id}`, "data-row": true }, String(one.id))),
        h("td", { class: "nowrap" }, when(one.committed_at)),
        h("td", { class: "who" }, author(one)),
        h("td", { class: "comment" }, one.comment ?? h("span", { class: "quiet" }, "–"), " ", stateBadge(one.state)),
        h("td", { class: "what" }, what(one)),
        extra && h("td", { class: "end" }, extra(one)),
      ),
    ),
  );
}

export function author(revision) {
  const by = revision.author_verified ? "" : " (says so)";
  const how = (revision.application ?? "").split(" ")[0];
  return h("span", {}, revision.author, h("span", { class: "quiet" }, by, how && ` by ${how}`));
}

const VERBS = { create: "+", update: "~", delete: "−" };
const SAID = { create: "made", update: "changed", delete: "deleted" };

function what({ first, changes }) {
  const more = changes - first.length;
  return [
    first.map(({ action, kind, id }, at) => {
      const place = action !== "delete" && placeOf(`${kind} ${id}`);
      return [
        at > 0 && ", ",
        h("span", { class: `verb ${action}`, title: SAID[action], "aria-label": SAID[action], role: "img" }, VERBS[action] ?? action),
        " ",
        kind,
        " ",
        place ? h("a", { href: place }, id) : id,
      ];
    }),
    more > 0 && ` and ${number(more)} more`,
  ];
}

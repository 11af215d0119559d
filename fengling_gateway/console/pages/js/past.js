// Who has changed one entity, and how.

import { get, pathOf } from "./api.js";
import { fieldDiffs } from "./changes.js";
import { h } from "./dom.js";
import { button, failed, waiting, when } from "./parts.js";
import { author, stateBadge } from "./revisions.js";

const VERBS = { create: "made it", update: "changed it", delete: "deleted it" };

export function entityHistory(page, list, id) {
  let items = null;
  let next = null;
  let error = null;

  async function load(before = null) {
    try {
      const answer = await get(pathOf(list, id, "history"), { limit: 10, before }, { signal: page.signal, unattended: true });
      items = before ? [...items, ...answer.items] : answer.items;
      next = answer.next;
      error = null;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error = problem;
    }
    page.redraw();
  }

  function draw() {
    if (error) return failed(error, () => load());
    if (!items) return waiting(4);
    if (!items.length) return h("p", { class: "quiet" }, "The log of changes knows nothing of it.");
    return [h("ol", { class: "past" }, items.map(entry)), next && button("Earlier ones", () => load(next), { kind: "small" })];
  }

  return { load, draw };
}

function entry({ id, committed_at: at, comment, state, change, ...revision }) {
  return h(
    "li",
    { "data-key": String(id) },
    h("p", {}, h("a", { href: `/history/${id}` }, `Revision ${id}`), " ", author(revision), ` ${VERBS[change.action] ?? change.action} `, when(at), " ", stateBadge(state)),
    comment && h("p", { class: "comment" }, comment),
    change.action === "update" && fieldDiffs(change.fields),
  );
}

// What lies between two revisions.

import { get } from "../api.js";
import { changeList } from "../changes.js";
import { h } from "../dom.js";
import { live, onLive } from "../live.js";
import { badge, button, empty, failed, heading, section, waiting } from "../parts.js";
import { go } from "../router.js";
import { may } from "../session.js";
import { number } from "../text/format.js";
import { planned } from "./revision.js";

export function comparePage(page) {
  page.title("Compare");
  let { from = "", to = "" } = page.query;
  let found = null;
  let error = null;

  async function load() {
    if (!from) return page.redraw();
    try {
      found = await get("/revisions/diff", { from, to }, { signal: page.signal });
      error = null;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error = problem;
    }
    page.redraw();
  }

  const field = (name, label, value, set) =>
    h("p", { class: "field" }, h("label", { for: name }, label), h("input", { id: name, class: "input number", inputmode: "numeric", pattern: "[0-9]+", value, oninput: (event) => set(event.target.value) }));

  onLive("summary", () => page.redraw(), page.signal);
  page.draw(() => [
    heading("Compare revisions", may("admin") && found && button(`Roll back to ${found.from}`, () => planned(`Roll back to revision ${found.from}?`, "Everything becomes as it was then, as a revision of its own.", "/rollback", { to: found.from }))),
    h(
      "form",
      {
        class: "filters",
        onsubmit: (event) => {
          event.preventDefault();
          go(`/history/diff?from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`);
        },
      },
      field("from", "From", from, (value) => (from = value)),
      field("to", "To", to || String(live.summary?.position?.revision ?? ""), (value) => (to = value)),
      h("button", { type: "submit", class: "button" }, "Compare"),
    ),
    error ? failed(error, load) : found ? shown(found) : from ? waiting(8) : empty("Which two?", "Say the numbers of two revisions."),
  ]);
  load();
}

function shown({ from, to, changes, change_count }) {
  if (!changes.length) return empty(`Nothing differs between ${from} and ${to}.`, "");
  const count = (action) => changes.filter((one) => one.action === action).length;
  const note = [["create", "good", "new"], ["update", "plain", "changed"], ["delete", "bad", "deleted"]].map(([action, tone, word]) => count(action) > 0 && [badge(tone, `${number(count(action))} ${word}`), " "]);
  if (change_count > changes.length) note.push(`the first ${number(changes.length)} of ${number(change_count)}`);
  return section(`From ${from} to ${to}`, { id: "between", note }, changeList(changes));
}

// The editor of an entity: its form, the same change as SQL, YAML and curl, what it changes, and
// the bar with which it is saved.

import { Problem, api, get, pathOf } from "../api.js";
import { diff } from "../changes.js";
import { toCopy } from "../clipboard.js";
import { ask } from "../dialog.js";
import { h } from "../dom.js";
import { notice } from "../notices.js";
import { badge, button, coded, icon } from "../parts.js";
import { change, tellLate, tellSaved } from "../saved.js";
import { may, session } from "../session.js";
import { changeAsCurl, changeAsYaml } from "../text/change.js";
import { KINDS, said } from "../text/kinds.js";
import { compare, merged } from "../text/merge.js";
import { sql } from "../text/sql.js";
import { yaml } from "../text/yaml.js";

const TABS = ["Form", "SQL", "YAML", "curl"];

// Draw it. `form` returns the fields, `saved` is called with the answer to what was saved.
export function editor(editing, { tab, setTab, form, saved, aside }) {
  editing.startTelling();
  const fields = form();
  return h(
    "div",
    { class: "editor" },
    editing.conflict && conflict(editing),
    h("div", { class: "tabs", role: "tablist", "aria-label": "The change as", onkeydown: (event) => turn(event, tab, setTab) }, TABS.map((name) => tabButton(editing.kind, name, tab, setTab))),
    h(
      "div",
      { class: "editor-columns" },
      h(
        "div",
        { id: `${editing.kind}-panel`, role: "tabpanel", "aria-labelledby": `${editing.kind}-tab-${tab}` },
        h("form", { class: "editor-form", novalidate: true, onsubmit: (event) => event.preventDefault(), onkeydown: (event) => submits(event) && save(editing, saved) }, tab === "Form" ? [untold(editing), fields] : asText(editing, tab)),
      ),
      h("aside", { class: "editor-aside", "aria-label": "What it comes to" }, outcome(editing), aside),
    ),
    bar(editing, saved),
  );
}

const submits = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey);

function tabButton(kind, name, tab, setTab) {
  const isHere = name === tab;
  return h("button", { type: "button", role: "tab", id: `${kind}-tab-${name}`, "aria-selected": String(isHere), "aria-controls": `${kind}-panel`, tabindex: isHere ? "0" : "-1", onclick: () => setTab(name) }, name);
}

function turn(event, tab, setTab) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const name = TABS.at((TABS.indexOf(tab) + by) % TABS.length);
  setTab(name);
  const tabs = event.currentTarget;
  queueMicrotask(() => tabs.querySelector('[aria-selected="true"]')?.focus());
}

function asText(editing, tab) {
  const of = {
    kind: editing.kind,
    id: editing.id,
    before: editing.before,
    after: editing.fields,
    version: editing.base?.version,
    comment: editing.comment,
    author: session.person?.subject,
    origin: location.origin,
  };
  const [text, note] = {
    SQL: () => [sql(of), "As one would write it by hand, in psql."],
    YAML: () => [changeAsYaml(of), "For `fenglingctl apply -f -`; what is as by default is left out."],
    curl: () => [changeAsCurl(of), "$TOKEN is made by `fenglingctl token create`."],
  }[tab]();
  return h(
    "div",
    { class: "as-text" },
    h("p", { class: "quiet" }, coded(note)),
    toCopy(tab, text),
  );
}

// What is wrong and is at none of the fields.
function untold(editing) {
  const { error } = editing;
  if (!error) return null;
  const left = editing.untold();
  if (error instanceof Problem && error.problems.length && !left.length) return null;
  return h(
    "div",
    { class: "failed", role: "alert" },
    !error.problems?.length && h("p", {}, icon("bad"), " ", error.message),
    left.length > 0 && h("ul", {}, left.map((one) => h("li", {}, one.entity && one.entity !== `${editing.kind} ${editing.id}` && h("b", {}, `${one.entity} `), one.path && h("code", {}, `${one.path} `), one.message))),
  );
}

// What is odd about it, and what it changes.
function outcome(editing) {
  const warnings = editing.checked?.warnings ?? [];
  const isPublic = editing.checked?.public?.length > 0;
  const before = editing.isNew ? "" : whole(editing.kind, editing.before);
  const after = whole(editing.kind, editing.fields);
  return [
    h(
      "section",
      { class: "lint", role: "status" },
      h("h2", {}, "Before it is saved"),
      warnings.length === 0 && h("p", {}, verdict(editing)),
      warnings.length > 0 && h("ul", {}, warnings.map((one) => h("li", {}, badge("warn", one.code.replaceAll("_", " ")), " ", warning(one)))),
      isPublic && h("p", {}, badge("plain", "public"), " Anybody may ask it: there is no policy auth."),
    ),
    h("section", {}, h("h2", {}, editing.isNew ? "What is new" : "What changes"), editing.isDirty ? diff(before, after) : h("p", { class: "quiet" }, "Nothing yet.")),
  ];
}

function verdict(editing) {
  if (!editing.isDirty) return h("span", { class: "quiet" }, "Change something, and see here what is odd about it.");
  if (editing.isChecking) return badge("wait", "looking…");
  if (editing.error) return badge("bad", "it can't be saved so");
  if (editing.checked) return badge("good", "nothing odd about it");
  return h("span", { class: "quiet" }, "Nothing is looked at yet.");
}

// What the linter says, with a link to the other route.
function warning({ message, other }) {
  if (!other || !message.includes(other)) return message;
  const at = message.indexOf(other);
  return [message.slice(0, at), h("a", { href: `/routes/${encodeURIComponent(other)}`, target: "_blank" }, other), message.slice(at + other.length)];
}

function whole(kind, fields) {
  const shown = said(kind, fields);
  return Object.keys(shown).length ? yaml(shown) : "";
}

function bar(editing, saved) {
  if (!may("editor")) return h("p", { class: "save-bar quiet" }, "You may look, and change nothing.");
  const isReady = editing.isDirty && !editing.isSaving && !editing.conflict;
  return h(
    "div",
    { class: "save-bar" },
    h("input", { class: "input", "aria-label": "Why", placeholder: "Why? (for the history)", maxlength: "2000", value: editing.comment, oninput: (event) => ((editing.comment = event.target.value), editing.changed()) }),
    button(editing.isSaving ? "Saving…" : "Save", () => save(editing, saved), { kind: "primary", disabled: !isReady, title: "Ctrl Enter" }),
    !editing.isNew && button("Discard", () => (editing.begin(editing.base), editing.changed()), { disabled: !editing.isDirty || editing.isSaving }),
  );
}

export async function save(editing, saved, options = {}) {
  if (!editing.isDirty || editing.isSaving) return;
  try {
    const answer = await editing.save(options);
    tellSaved(answer, () => saved(null));
    saved(answer);
  } catch (error) {
    if (tellLate(error, () => saved(null))) return saved(error.document);
    if (error.code === "precondition_failed") return meet(editing);
    if (error.message.includes("take_over=true")) return takeOver(editing, saved, error);
    if (!error.problems?.length) notice("bad", error.message);
    focusFirstProblem();
  }
}

function focusFirstProblem() {
  queueMicrotask(() => document.querySelector('[aria-invalid="true"]')?.focus());
}

async function takeOver(editing, saved, error) {
  const agreed = await ask("Somebody else manages it", [`${error.message.split(";")[0]}.`, "What you change by hand may be overwritten the next time that they apply theirs."], { yes: "Save all the same" });
  if (agreed) await save(editing, saved, { takeOver: true });
}

// Somebody was faster: read what they have made of it.
export async function meet(editing) {
  try {
    const theirs = await get(pathOf(editing.list, editing.id));
    if (theirs.version === editing.base?.version) return;
    const history = await get(pathOf(editing.list, editing.id, "history"), { limit: 1 }).catch(() => null);
    editing.conflict = { theirs, by: history?.items?.[0] ?? null, take: new Set() };
  } catch (error) {
    if (error.code !== "not_found") throw error;
    editing.conflict = { theirs: null, by: null, take: new Set() };
  }
  editing.error = null;
  editing.changed();
}

function conflict(editing) {
  const { theirs, by, take } = editing.conflict;
  const who = by ? `${by.author} has changed it (revision ${by.id}${by.comment ? `: ${by.comment}` : ""})` : "Somebody has changed it";
  if (!theirs) {
    return h(
      "section",
      { class: "conflict", role: "alert" },
      h("h2", {}, "It is gone"),
      h("p", {}, "Somebody has deleted it while you were editing."),
      h("p", { class: "actions" }, button("Make it again with mine", () => remake(editing), { kind: "primary" })),
    );
  }
  const { ownTheirs, both } = sides(editing);
  return h(
    "section",
    { class: "conflict", role: "alert" },
    h("h2", {}, `${who} while you were editing`),
    ownTheirs.length > 0 && h("p", {}, "Only they have changed: ", h("b", {}, ownTheirs.join(", ")), ". That is kept."),
    both.length > 0 && h("p", {}, "You both have changed:"),
    both.map((name) =>
      h(
        "fieldset",
        { class: "choice" },
        h("legend", {}, name),
        side(editing, name, "mine", editing.fields, !take.has(name)),
        side(editing, name, "theirs", theirs, take.has(name)),
      ),
    ),
    !both.length && h("p", {}, "What you have changed are other fields."),
    h(
      "p",
      { class: "actions" },
      button(both.length ? "Go on with these" : "Go on with both", () => settle(editing), { kind: "primary" }),
      button("Discard mine", () => (editing.begin(theirs), editing.changed())),
    ),
  );
}

function sides(editing) {
  const { theirs, both } = compare(editing.kind, editing.before, ownOf(editing), editing.fields);
  return { ownTheirs: theirs, both };
}

function ownOf(editing) {
  const names = Object.keys({ ...KINDS[editing.kind].defaults, ...editing.before });
  return Object.fromEntries(names.map((name) => [name, editing.conflict.theirs[name]]));
}

function side(editing, name, whose, fields, isChosen) {
  const { take } = editing.conflict;
  const id = `conflict-${name}-${whose}`;
  const choose = () => {
    if (whose === "theirs") take.add(name);
    else take.delete(name);
    editing.changed();
  };
  return h(
    "div",
    { class: "side" },
    h("input", { type: "radio", name: `conflict-${name}`, id, checked: isChosen, onchange: choose }),
    h("label", { for: id }, whose, h("pre", {}, yaml({ [name]: fields[name] ?? null }))),
  );
}

function settle(editing) {
  const { theirs, take } = editing.conflict;
  const fields = merged(editing.kind, editing.before, ownOf(editing), editing.fields, take);
  editing.begin(theirs);
  editing.fields = fields;
  editing.checkSoon();
}

function remake(editing) {
  const { fields, id } = editing;
  editing.begin(null, { id, fields });
  editing.checkSoon();
}

// Delete it, after a question, which says whose it is: so whoever agrees takes it over.
export async function remove(editing, text, done) {
  const { version, managed_by: owner } = editing.base;
  const theirs = owner ? [`It is managed by ${owner}: the next time that they apply theirs, it may come back.`] : [];
  const answer = await ask(`Delete ${editing.kind} ${editing.id}?`, [text, ...theirs].flat(), { yes: "Delete it", comment: true });
  if (!answer) return;
  await change(
    () => api("DELETE", pathOf(editing.list, editing.id), { version, query: { wait: "all", comment: answer.comment, take_over: Boolean(owner) } }),
    done,
  );
}

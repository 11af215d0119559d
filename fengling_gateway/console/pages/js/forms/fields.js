// Fields of a form: each shows a place of what is edited, and what is wrong there.

import { h } from "../dom.js";
import { button } from "../parts.js";
import { pathText } from "./paths.js";

// A labelled field. `control` is called with the attributes that tie it to label, hint and problems.
export function field(editing, steps, label, control, { hint, deep = true, wide = false } = {}) {
  const id = idOfField(editing, steps);
  const problems = editing.problemsAt(steps, { deep });
  const described = [hint && `${id}-hint`, problems.length && `${id}-problem`].filter(Boolean).join(" ");
  return h(
    "div",
    { class: `field ${wide ? "wide" : ""} ${problems.length ? "wrong" : ""}` },
    h("label", { for: id }, label),
    control({ id, "aria-describedby": described || null, "aria-invalid": problems.length > 0 && "true" }),
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    problems.length > 0 && h("p", { class: "problem", id: `${id}-problem` }, problems.map((one) => h("span", {}, where(one, steps), one.message))),
  );
}

// (With the kind: an editor may be in a dialog above another one.)
function idOfField(editing, steps) {
  return `${editing.kind}-${pathText(steps).replace(/[^A-Za-z0-9]+/g, "-")}`;
}

function where(problem, steps) {
  const rest = problem.path.slice(pathText(steps).length).replace(/^\./, "");
  return rest && h("code", {}, rest);
}

// Text; what is empty is `none`.
export function textField(editing, steps, label, { none = null, placeholder, list, multiline, ...more } = {}) {
  const oninput = (event) => editing.set(steps, event.target.value === "" ? none : event.target.value);
  const value = editing.at(steps) ?? "";
  return field(
    editing,
    steps,
    label,
    (tied) =>
      multiline
        ? h("textarea", { ...tied, class: "input code", rows: multiline, spellcheck: "false", value, oninput })
        : h("input", { ...tied, class: "input", autocomplete: "off", spellcheck: "false", placeholder, list, value, oninput }),
    more,
  );
}

// What is typed as text and means something else: kept as it is typed, for as long as it is.
function typedField(editing, steps, label, { read, write, multiline, placeholder, ...more }) {
  const place = pathText(steps);
  const value = editing.typed.get(place) ?? write(editing.at(steps));
  const oninput = (event) => {
    editing.typed.set(place, event.target.value);
    editing.set(steps, read(event.target.value));
  };
  const onblur = () => {
    // What could not be read stays, and is told.
    if (write(editing.at(steps)) !== editing.typed.get(place) && !isUnread(editing.at(steps))) editing.typed.delete(place);
    editing.changed();
  };
  return field(
    editing,
    steps,
    label,
    (tied) =>
      multiline
        ? h("textarea", { ...tied, class: "input code", rows: multiline, spellcheck: "false", placeholder, value, oninput, onblur })
        : h("input", { ...tied, class: "input", autocomplete: "off", spellcheck: "false", placeholder, inputmode: more.inputmode, value, oninput, onblur }),
    more,
  );
}

const isUnread = (value) => typeof value === "string";

export function numberField(editing, steps, label, { none, ...more } = {}) {
  return typedField(editing, steps, label, {
    inputmode: "numeric",
    read: (text) => (text.trim() === "" ? none : /^-?[0-9.]+$/.test(text.trim()) ? Number(text) : text),
    write: (value) => (value === null || value === undefined ? "" : String(value)),
    ...more,
  });
}

// Words with commas, spaces or lines between them.
export function wordsField(editing, steps, label, { none = [], ...more } = {}) {
  return typedField(editing, steps, label, {
    read: (text) => {
      const words = text.split(/[\s,]+/).filter(Boolean);
      return words.length ? words : none;
    },
    write: (value) => (Array.isArray(value) ? value.join(", ") : ""),
    ...more,
  });
}

// Anything, as JSON. What is none is sent as text, and so refused with a reason.
export function jsonField(editing, steps, label, { none = null, multiline = 4, ...more } = {}) {
  return typedField(editing, steps, label, {
    multiline,
    read: (text) => {
      if (text.trim() === "") return none;
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    },
    write: (value) => (value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2)),
    wide: true,
    ...more,
  });
}

// One of some values: [value, text]. What is not said is the first of them, or null if there is that.
export function choiceField(editing, steps, label, options, more = {}) {
  const value = editing.at(steps);
  const unsaid = Math.max(0, options.findIndex(([one]) => one === null));
  const chosen = value === undefined ? unsaid : options.findIndex(([one]) => one === value);
  const onchange = (event) => editing.set(steps, options[Number(event.target.value)]?.[0]);
  const unknown = chosen < 0 && h("option", { value: "-1" }, JSON.stringify(value ?? null));
  return field(
    editing,
    steps,
    label,
    (tied) => h("select", { ...tied, class: "input", value: String(chosen), onchange }, unknown, options.map(([, text], at) => h("option", { value: String(at) }, text))),
    more,
  );
}

export function checkField(editing, steps, label, { hint, isOn = (value) => value === true } = {}) {
  const id = idOfField(editing, steps);
  const problems = editing.problemsAt(steps);
  return h(
    "div",
    { class: "field check" },
    h("input", { type: "checkbox", id, checked: isOn(editing.at(steps)), onchange: (event) => editing.set(steps, event.target.checked) }),
    h("label", { for: id }, label),
    hint && h("p", { class: "hint" }, hint),
    problems.length > 0 && h("p", { class: "problem" }, problems.map((one) => one.message)),
  );
}

// Names with values: headers, or services with weights. `make` says what a new one is.
export function pairsField(editing, steps, label, { name = "name", value = "value", read = (text) => text, list, none = {}, make = "", ...more } = {}) {
  const pairs = Object.entries(editing.at(steps) ?? {});
  const put = (fresh) => editing.set(steps, fresh.length ? Object.fromEntries(fresh) : none);
  return field(
    editing,
    steps,
    label,
    (tied) =>
      h(
        "div",
        { class: "rows", role: "group", "aria-label": label },
        pairs.map(([key, one], at) =>
          h(
            "div",
            { class: "row" },
            h("input", { id: at ? null : tied.id, class: "input", "aria-label": `${label}: ${name}`, placeholder: name, spellcheck: "false", list, value: key, onchange: (event) => put(pairs.with(at, [event.target.value.trim(), one])) }),
            h("input", { class: "input", "aria-label": `${label}: ${value} of ${key}`, placeholder: value, spellcheck: "false", value: String(one ?? ""), oninput: (event) => put(pairs.with(at, [key, read(event.target.value)])) }),
            button("", () => put(pairs.toSpliced(at, 1)), { kind: "plain", icon: "bad", "aria-label": `Remove ${key || "this one"}` }),
          ),
        ),
        button("Add", () => put([...pairs, ["", make]]), { kind: "small", icon: "plus", id: pairs.length ? null : tied.id, disabled: pairs.some(([key]) => key === "") }),
      ),
    more,
  );
}

const OPERATORS = ["equals", "prefix", "contains", "exists", "absent"];

// Conditions on headers, parameters of the query or cookies.
export function conditionsField(editing, steps, label, more = {}) {
  const conditions = editing.at(steps) ?? [];
  const put = (fresh) => editing.set(steps, fresh);
  const change = (at, part) => put(conditions.with(at, { ...conditions[at], ...part }));
  return field(
    editing,
    steps,
    label,
    (tied) =>
      h(
        "div",
        { class: "rows", role: "group", "aria-label": label },
        conditions.map((one, at) => {
          const op = one.op ?? "equals";
          const compares = op !== "exists" && op !== "absent";
          return h(
            "div",
            { class: "row three" },
            h("input", { id: at ? null : tied.id, class: "input", "aria-label": `${label}: name`, placeholder: "name", spellcheck: "false", value: one.name ?? "", oninput: (event) => change(at, { name: event.target.value }) }),
            h(
              "select",
              { class: "input", "aria-label": `${label}: how`, value: op, onchange: (event) => change(at, { op: event.target.value, value: ["exists", "absent"].includes(event.target.value) ? null : (one.value ?? "") }) },
              OPERATORS.map((word) => h("option", { value: word }, word)),
            ),
            h("input", { class: "input", "aria-label": `${label}: value`, placeholder: compares ? "value" : "", disabled: !compares, spellcheck: "false", value: one.value ?? "", oninput: (event) => change(at, { value: event.target.value }) }),
            button("", () => put(conditions.toSpliced(at, 1)), { kind: "plain", icon: "bad", "aria-label": `Remove condition ${at + 1}` }),
          );
        }),
        button("Add", () => put([...conditions, { name: "", op: "equals", value: "" }]), { kind: "small", icon: "plus", id: conditions.length ? null : tied.id }),
      ),
    { wide: true, ...more },
  );
}

export function group(title, ...children) {
  return h("fieldset", { class: "group" }, h("legend", {}, title), h("div", { class: "fields" }, children));
}

// What few need: closed, unless something in it is set or wrong.
export function more(title, isUsed, ...children) {
  return h("details", { class: "more", open: isUsed || null }, h("summary", {}, title), h("div", { class: "fields" }, children));
}

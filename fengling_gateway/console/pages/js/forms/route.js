// The form of a route: which requests, and what becomes of them.

import { h } from "../dom.js";
import { checkField, choiceField, conditionsField, field, group, jsonField, more, numberField, pairsField, textField, wordsField } from "./fields.js";
import { policyFields } from "./policies.js";

const ACTIONS = [
  ["service_id", "Forward to a service", ""],
  ["split", "Split between services", {}],
  ["redirect", "Redirect", { status: 302, location: "" }],
  ["respond", "Answer by itself", { status: 200, body: "" }],
];
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

export function routeForm(editing, { services }) {
  const { fields } = editing;
  const match = fields.match ?? {};
  const hasConditions = Object.values(match).some((one) => one?.length) || fields.tenant_id || fields.valid_from || fields.valid_to;
  const tells = (place) => editing.problemsAt([place]).length > 0;
  return [
    group(
      "Which requests",
      editing.isNew && idField(editing),
      textField(editing, ["path"], "Path", { none: "", placeholder: "/orders/{id}", hint: "{id} is a segment, {**rest} all that follows; ~ begins an expression." }),
      wordsField(editing, ["hosts"], "Hosts", { placeholder: "any", hint: "shop.example, *.shop.example" }),
      numberField(editing, ["priority"], "Priority", { none: 0, hint: "Higher goes first." }),
      methodsField(editing),
      checkField(editing, ["enabled"], "Enabled"),
      more(
        "More conditions",
        hasConditions || tells("match") || tells("valid_from") || tells("valid_to"),
        conditionsField(editing, ["match", "headers"], "Headers"),
        conditionsField(editing, ["match", "query"], "Parameters of the query"),
        conditionsField(editing, ["match", "cookies"], "Cookies"),
        wordsField(editing, ["match", "client_ip"], "Networks of clients", { placeholder: "any" }),
        wordsField(editing, ["match", "listeners"], "Listeners", { placeholder: "any" }),
        textField(editing, ["tenant_id"], "Tenant", { placeholder: "every tenant" }),
        textField(editing, ["valid_from"], "From", { placeholder: "2026-12-31T23:00:00Z" }),
        textField(editing, ["valid_to"], "Until", { placeholder: "2027-12-31T23:00:00Z" }),
      ),
    ),
    group("What becomes of them", actionField(editing), actionFields(editing), h("datalist", { id: "services" }, services.map((id) => h("option", { value: id })))),
    h("section", { class: "part", "aria-label": "Policies" }, policyFields(editing)),
    ownership(editing),
  ];
}

export function idField(editing, label = "Id", hint = "What it is called for good: letters, digits and . _ -") {
  return field(
    editing,
    [editing.kind === "setting" ? "key" : "id"],
    label,
    (tied) => h("input", { ...tied, class: "input", autocomplete: "off", spellcheck: "false", autofocus: true, value: editing.id, oninput: (event) => editing.setId(event.target.value) }),
    { hint },
  );
}

export function ownership(editing) {
  const { labels, managed_by: owner } = editing.fields;
  const isUsed = Object.keys(labels ?? {}).length > 0 || owner;
  return more(
    "Labels and owner",
    isUsed || editing.problemsAt(["labels"]).length > 0 || editing.problemsAt(["managed_by"]).length > 0,
    jsonField(editing, ["labels"], "Labels", { none: {}, multiline: 2, hint: 'For people and scripts: {"team": "shop"}' }),
    textField(editing, ["managed_by"], "Managed by", { placeholder: "nobody", hint: "Others change it only if they say so." }),
  );
}

function methodsField(editing) {
  const chosen = new Set(editing.at(["methods"]) ?? []);
  const others = [...chosen].filter((one) => !METHODS.includes(one));
  const toggle = (method) => {
    chosen.has(method) ? chosen.delete(method) : chosen.add(method);
    editing.set(["methods"], [...METHODS, ...others].filter((one) => chosen.has(one)));
  };
  return field(
    editing,
    ["methods"],
    "Methods",
    (tied) =>
      h(
        "div",
        { ...tied, class: "chips", role: "group", "aria-label": "Methods" },
        [...METHODS, ...others].map((method) => h("button", { type: "button", class: "button chip", "aria-pressed": String(chosen.has(method)), onclick: () => toggle(method) }, method)),
      ),
    { hint: chosen.size ? null : "None is any.", wide: true },
  );
}

const actionOf = (fields) => ACTIONS.find(([name]) => fields[name] !== null && fields[name] !== undefined)?.[0] ?? "service_id";

function actionField(editing) {
  const now = actionOf(editing.fields);
  const choose = (name) => {
    const fresh = Object.fromEntries(ACTIONS.map(([one, , make]) => [one, one === name ? (editing.before?.[one] ?? make) : null]));
    editing.fields = { ...editing.fields, ...fresh };
    editing.typed.clear();
    editing.checkSoon();
  };
  return h(
    "div",
    { class: "field wide" },
    h(
      "div",
      { class: "chips", role: "radiogroup", "aria-label": "What becomes of them" },
      ACTIONS.map(([name, label]) => h("button", { type: "button", role: "radio", class: "button chip", "aria-checked": String(name === now), onclick: () => choose(name) }, label)),
    ),
  );
}

function actionFields(editing) {
  const action = actionOf(editing.fields);
  if (action === "service_id") return textField(editing, ["service_id"], "Service", { none: "", list: "services", placeholder: "orders" });
  if (action === "split") return pairsField(editing, ["split"], "Services", { name: "service", value: "weight", list: "services", make: 1, read: weight, wide: true });
  const status = (options) => choiceField(editing, [action, "status"], "Status", options.map((one) => [one, String(one)]));
  if (action === "redirect") {
    return [
      status([301, 302, 303, 307, 308]),
      textField(editing, ["redirect", "location"], "Location", { none: "", placeholder: "https://new.example{path}{query}", hint: "{path}, {query} (with its ?), {host} and {hostname} (without a port) are those of the request." }),
    ];
  }
  return [
    numberField(editing, ["respond", "status"], "Status", { none: 200 }),
    pairsField(editing, ["respond", "headers"], "Headers", { wide: true }),
    textField(editing, ["respond", "body"], "Body", { none: "", multiline: 4, wide: true }),
  ];
}

const weight = (text) => (/^[0-9]+$/.test(text) ? Number(text) : text);

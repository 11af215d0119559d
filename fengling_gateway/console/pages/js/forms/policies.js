// Policies: of each, its fields. One that is off here is null, whatever the defaults say.

import { h } from "../dom.js";
import { button } from "../parts.js";
import { checkField, choiceField, jsonField, more, numberField, pairsField, textField, wordsField } from "./fields.js";
import { pathText } from "./paths.js";

const KEYS = "all, client_ip, subject, api_key, tenant, route, or header:Name";
const text = (name, label, more) => (editing, at) => textField(editing, [...at, name], label, { none: undefined, ...more });
const number = (name, label, more) => (editing, at) => numberField(editing, [...at, name], label, { none: undefined, ...more });
const words = (name, label, more) => (editing, at) => wordsField(editing, [...at, name], label, { none: undefined, ...more });
const pairs = (name, label, more) => (editing, at) => pairsField(editing, [...at, name], label, { none: undefined, wide: true, ...more });
const check = (name, label, more) => (editing, at) => checkField(editing, [...at, name], label, more);
const json = (name, label, more) => (editing, at) => jsonField(editing, [...at, name], label, { none: undefined, ...more });
const choice = (name, label, values, more) => (editing, at) => choiceField(editing, [...at, name], label, values.map((one) => [one, one]), more);

const HEADERS = [pairs("set", "Set", { hint: "These have these values, whatever they were." }), pairs("add", "Add"), words("remove", "Remove")];

// By name: what it is for, what a new one says, and its fields.
export const POLICIES = {
  auth: {
    title: "Who may ask",
    make: { mode: "required" },
    fields: [
      choice("mode", "Mode", ["required", "optional", "anonymous"], { hint: "optional lets in others as nobody." }),
      words("methods", "By", { hint: "api_key, jwt" }),
      words("scopes", "Scopes", { hint: "All of which are needed." }),
      words("roles", "Roles", { hint: "One of which is needed." }),
    ],
    rare: [
      words("issuers", "Issuers", { hint: "Whose tokens count; none is all." }),
      json("claims", "Claims", { hint: 'Of each one value is needed: {"department": ["sales"]}', multiline: 2 }),
      text("cookie", "Cookie", { hint: "Where a token may be, too." }),
      text("query", "Parameter", { hint: "Where a token may be, too." }),
      text("api_key_header", "Header of API keys", { placeholder: "X-Api-Key" }),
      check("forward", "Instances get the token or key as well"),
    ],
  },
  access: { title: "Addresses that may ask", make: { allow: [] }, fields: [words("allow", "Allow", { hint: "Where some are allowed, all others stay out." }), words("deny", "Deny")] },
  rate_limit: {
    title: "How often one may ask",
    make: { rate: "100/s" },
    fields: [
      text("rate", "Rate", { placeholder: "100/s, 5/10m" }),
      number("burst", "Burst", { hint: "At once; none is as many as the rate says." }),
      text("key", "Counted by", { placeholder: "client_ip", hint: KEYS }),
      choice("algorithm", "Algorithm", ["token_bucket", "sliding_window"]),
      choice("where", "Where", ["local", "global"], { hint: "global: all workers count together." }),
      choice("on_redis_failure", "Without Redis", ["local", "allow", "deny"]),
    ],
  },
  concurrency: { title: "Requests under way at a time", make: { limit: 100 }, fields: [number("limit", "Limit"), text("key", "Counted by", { placeholder: "client_ip", hint: KEYS })] },
  path: {
    title: "The path towards instances",
    make: { strip: "/" },
    fields: [text("strip", "Strip", { placeholder: "/api" }), text("prefix", "Put in front", { placeholder: "/v2" }), text("replace", "Or replace it all by", { placeholder: "/v2/orders" }), check("encoded_slashes", "A path may hold %2F")],
  },
  host_header: { title: "Host header towards instances", make: { value: "" }, fields: [text("value", "Host", { placeholder: "shop.internal:8080", hint: "Whatever the service says." })] },
  request_headers: { title: "Headers towards instances", make: { set: {} }, fields: HEADERS },
  response_headers: { title: "Headers towards clients", make: { set: {} }, fields: HEADERS },
  timeouts: {
    title: "Timeouts",
    make: { total: "30s" },
    fields: ["connect", "first_byte", "idle", "total", "tunnel"].map((name) => text(name, name.replace("_", " "), { placeholder: name === "total" ? "none" : "the service's" })),
  },
  retry: { title: "Retries", make: { attempts: 1 }, fields: [number("attempts", "Attempts", { hint: "Further instances that are tried: 0 to 3." })] },
  upgrade: { title: "Upgrades", make: { protocols: ["websocket"] }, fields: [words("protocols", "Protocols", { hint: "* is any." })] },
  limits: { title: "Size of requests", make: { max_request_body: 1048576 }, fields: [number("max_request_body", "Largest body, in bytes")] },
  cors: {
    title: "Pages of other origins (CORS)",
    make: { origins: [] },
    fields: [
      words("origins", "Origins", { hint: "* is any, https://*.app.example all below a name." }),
      words("methods", "Methods"),
      words("headers", "Headers that they set"),
      words("expose", "Headers that they read"),
      text("max_age", "Remembered for", { placeholder: "10m" }),
      check("credentials", "Browsers send cookies along"),
    ],
  },
  security_headers: {
    title: "What browsers are told",
    make: { preset: "web" },
    fields: [choice("preset", "Preset", ["web", "api"]), json("headers", "Other headers", { hint: "null leaves one alone." })],
  },
};

// What few need of a policy is closed, unless somebody has said something of it.
function rare(editing, at, name) {
  const usual = new Set(["mode", "methods", "scopes", "roles"]);
  const isUsed = Object.keys(editing.at(at)).some((one) => !usual.has(one));
  return more("More", isUsed, POLICIES[name].rare.map((make) => make(editing, at)));
}

// All policies of an entity: those that it has, and a way to add one. `steps` is where they are.
export function policyFields(editing, steps = ["policies"]) {
  const policies = editing.at(steps) ?? {};
  const names = Object.keys(policies);
  const left = Object.keys(POLICIES).filter((name) => !(name in policies));
  const add = (event) => {
    const name = event.target.value;
    event.target.value = "";
    if (name) editing.set([...steps, name], POLICIES[name].make);
  };
  return h(
    "div",
    { class: "policies" },
    names.map((name) => policy(editing, [...steps, name], name)),
    h(
      "div",
      { class: "field" },
      h("label", { for: `${editing.kind}-add-policy` }, names.length ? "One more policy" : "Policies"),
      h("select", { id: `${editing.kind}-add-policy`, class: "input", value: "", onchange: add }, h("option", { value: "" }, "Add a policy…"), left.map((name) => h("option", { value: name }, `${POLICIES[name].title} (${name})`))),
      !names.length && h("p", { class: "hint" }, "What differs from the service's and the defaults."),
    ),
  );
}

function policy(editing, at, name) {
  const value = editing.at(at);
  const known = POLICIES[name];
  const isOff = value === null;
  const isPlain = known && !isOff && typeof value === "object" && !Array.isArray(value);
  const problems = editing.problemsAt(at, { deep: false });
  return h(
    "fieldset",
    { class: "group policy", "data-key": pathText(at) },
    h("legend", {}, known?.title ?? name, " ", h("code", { class: "quiet" }, name)),
    h(
      "div",
      { class: "policy-tools" },
      known && button(isOff ? "Turn on" : "Turn off", () => editing.set(at, isOff ? known.make : null), { kind: "small plain", title: "Off, whatever the service or the defaults say" }),
      button("Remove", () => editing.set(at, undefined), { kind: "small plain", icon: "bad", "aria-label": `Remove ${known?.title ?? name}` }),
    ),
    problems.length > 0 && h("p", { class: "problem" }, problems.map((one) => one.message)),
    isOff && h("p", { class: "quiet" }, "Off here, whatever the service or the defaults say."),
    isPlain && h("div", { class: "fields" }, known.fields.map((make) => make(editing, at)), known.rare && rare(editing, at, name)),
    !isPlain && !isOff && jsonField(editing, at, "Value", { none: {} }),
  );
}


// What is known of a cluster's services, in words: who watches, what is wrong, what comes of whom. Pure.

import { list, number, plural, span } from "./format.js";

const SILENT_SECONDS = 10; // as the console says it of who probes
const CLUSTER = "kubernetes";

// Of each state of a watched resource: its tone, a word, and what is said of it.
const STATES = {
  watching: ["good", "watched", "are watched"],
  listing: ["wait", "being listed", "are being listed"],
  waiting: ["warn", "not heard of", "can't be read"],
  forbidden: ["bad", "forbidden", "are forbidden"],
  absent: ["warn", "not installed", "are not known to the API server"],
};

// Returns {tone, text} of all that there is to say of who watches and what they see, the worst first.
export function watched(discovery, problem = null) {
  if (problem) return [{ tone: "bad", text: `The console can't tell: ${problem.message}` }];
  if (!discovery.enabled) return [{ tone: "unknown", text: "No cluster is watched" }];
  const { leader, status } = discovery;
  const own = leader?.problem && !leader.is_mine ? [{ tone: "warn", text: `This console can't watch: ${leader.problem}` }] : [];
  if (!leader?.holder) return [{ tone: "bad", text: "No console watches the cluster" }, ...own];
  const { holder, heartbeat_age_s: age } = leader;
  if (age > SILENT_SECONDS) return [{ tone: "bad", text: `${holder} watched the cluster, and is silent for ${span(age)}` }, ...own];
  const troubles = status ? troublesOf(status) : [];
  if (!resourcesOf(status).length) return [...troubles, ...own, { tone: "wait", text: `${holder} begins to watch the cluster` }];
  const whole = troubles.length ? [] : [{ tone: "good", text: `${holder} watches ${whereOf(status)}: ${knownOf(status)}` }];
  return [...troubles, ...own, ...whole].toSorted((a, b) => rank(a) - rank(b));
}

const RANK = { bad: 0, warn: 1, wait: 2, good: 3 };
const rank = ({ tone }) => RANK[tone] ?? 2;

// (One line for all that have the same trouble: if the API server is away, they all have.)
function troublesOf(status) {
  const troubles = new Map();
  for (const one of resourcesOf(status)) {
    const { tone, said } = stateOfResource(one);
    if (tone === "good" || (one.state === "absent" && one.is_optional)) continue;
    const text = `${said}${one.problem ? `: ${one.problem}` : ""}`;
    const known = troubles.get(text) ?? { tone, names: [], text };
    troubles.set(text, { ...known, names: [...known.names, namesOf(one)] });
  }
  const { api_server: server, writing, gateway_api: gateways } = status;
  const more = [
    ["bad", status.problem ?? server?.problem, ""],
    ["bad", writing?.problem, writing?.problem === writing?.held ? "What the cluster says is written, and not served: " : "What the cluster says can't be written: "],
    ["bad", writing?.removal && keptOf(writing.removal), ""],
    ["warn", gateways?.problem, "Not all of its Gateways and HTTPRoutes can be followed, or told in their statuses: "],
    ["warn", writing?.refused > 0 && plural(writing.refused, "entity is refused", "entities are refused"), ""],
  ];
  const all = [...troubles.values()].map(({ tone, names, text }) => ({ tone, text: `${list(names, 4)} ${text}` }));
  return [...all, ...more.filter(([, text]) => text).map(([tone, text, about]) => ({ tone, text: about + text }))];
}

// What waits until somebody says that it may go.
export function keptOf({ routes, of, lately }) {
  const before = lately ? `, after ${number(lately)} that have gone within a minute` : "";
  return `${number(routes)} of ${plural(of, "route")} ${routes === 1 ? "is" : "are"} no longer in the cluster${before}. That is a lot at once: they are kept until somebody confirms that they go`;
}

function whereOf(status) {
  const namespaces = [...new Set(resourcesOf(status).map(({ namespace }) => namespace).filter(Boolean))];
  return namespaces.length ? `${namespaces.length === 1 ? "namespace" : "namespaces"} ${list(namespaces)}` : "all namespaces";
}

function knownOf(status) {
  const counts = new Map();
  for (const { resource, objects } of resourcesOf(status)) {
    const name = namesOf({ resource });
    counts.set(name, (counts.get(name) ?? 0) + (objects ?? 0));
  }
  return [...counts].map(([resource, count]) => plural(count, singular(resource), resource)).join(", ");
}

const singular = (resource) => resource.replace(/sses$/, "ss").replace(/([^s])s$/, "$1");

export function resourcesOf(status) {
  return status?.resources ?? [];
}

// What has been read once is kept while it can't be read: that is no more than a warning.
export function stateOfResource({ state, synced_at: synced, problem }) {
  const isNew = state === "waiting" && !synced;
  const [tone, word, said] = STATES[isNew && !problem ? "listing" : state] ?? ["unknown", state, `are ${state}`];
  if (state === "watching" && problem) return { tone: "warn", word, said };
  return { tone: isNew && problem ? "bad" : tone, word, said };
}

// A resource without its group, and in which namespace it is watched, if it is in one alone.
export function namesOf({ resource, namespace }) {
  const [name] = resource.split(".");
  return namespace ? `${name} of ${namespace}` : name;
}

// Returns {tone, word, title} of each thing to know about a discovered service at a glance.
export function marks(one) {
  const { state, gone_at: gone } = one;
  const all = [STANDING[state] ?? { tone: "unknown", word: state }];
  if (gone) all.push({ tone: "warn", word: "gone", title: "It is not in the cluster any more" });
  else if (state === "approved") all.push(OUTCOMES[outcomeOf(one)?.state] ?? { tone: "wait", word: "under way", title: "The console that watches has not told yet what came of it" });
  if (asksForMore(one)) all.push({ tone: "warn", word: "asks for something else", title: "What has been approved stays until somebody approves that, too" });
  const count = problemsOf(one).length;
  if (count) all.push({ tone: "warn", word: plural(count, "problem") });
  return all;
}

const STANDING = {
  pending: { tone: "warn", icon: "wait", word: "pending", title: "Somebody has to approve or reject it" },
  approved: { tone: "plain", word: "approved" },
  rejected: { tone: "off", word: "rejected", title: "It stays out" },
};

const OUTCOMES = {
  served: { tone: "good", word: "served" },
  refused: { tone: "bad", word: "refused", title: "Something of it can't be served; what was served before stays" },
  removed: { tone: "off", word: "removed", title: "What was made of it has been removed" },
};

// What came of the decision that counts; null while that is not known.
export function outcomeOf({ decision, result }) {
  return result && (result.decision ?? 0) >= (decision ?? 0) ? result : null;
}

// Whether the cluster asks for something else by now than what somebody has approved.
export function asksForMore(one) {
  return one.state === "approved" && !one.gone_at && outcomeOf(one)?.asks_for_more === true;
}

// Annotations as a manifest has them, line by line.
export function annotationsText(annotations) {
  return Object.entries(annotations ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `gateway.fengling/${key}: ${value}\n`)
    .join("");
}

// What is wrong with what it asks for, and with what came of it, each once.
export function problemsOf(one) {
  const came = one.state === "approved" ? outcomeOf(one) : null;
  return [...new Set([...(one.offer?.problems ?? []), ...(came?.problems ?? [])])];
}

// How many instances are ready, and how many drain.
export function instancesOf(offer) {
  const { ready = 0, drain = 0 } = offer?.instances ?? {};
  return drain ? `${ready} ready, ${drain} draining` : `${ready} ready`;
}

// Which requests a route takes, in few words: shop.example/orders/{**rest}
export function taken({ hosts = [], path = "/{**rest}" }) {
  if (hosts.length === 1) return hosts[0] + path;
  return hosts.length ? `${path} of ${list(hosts, 2)}` : path;
}

// What a person asks for in approving: what is empty is left to the cluster, but for what is to be none.
export function approval({ hosts = "", path = "", tenant = "", comment = "", isAnyHost = false, isNobodys = false }, annotations = null) {
  const names = isAnyHost ? [] : hosts.split(/[\s,]+/).filter(Boolean);
  const owner = isNobodys ? null : tenant.trim();
  return {
    ...(comment.trim() ? { comment: comment.trim() } : {}),
    ...(names.length || isAnyHost ? { hosts: names } : {}),
    ...(path.trim() ? { path: path.trim() } : {}),
    ...(owner || isNobodys ? { tenant_id: owner } : {}),
    ...(annotations ? { annotations } : {}),
  };
}

// What was asked for, as `approval` takes it.
export function wished(asked) {
  const { hosts, path = "", tenant_id: tenant } = asked ?? {};
  return { hosts: (hosts ?? []).join(", "), path, tenant: tenant ?? "", isAnyHost: hosts?.length === 0, isNobodys: tenant === null };
}

// The same in words: [name, value] of each.
export function wishes(asked) {
  const { hosts, path, tenant_id: tenant } = asked ?? {};
  return [
    ["Hosts", hosts && (hosts.join(", ") || "any")],
    ["Path", path],
    ["Tenant", tenant === null ? "none: for requests of every tenant" : tenant],
  ].filter(([, value]) => value);
}

// Whether an entity follows a cluster.
export const follows = (entity) => entity?.managed_by === CLUSTER;

// Of which object of a cluster an entity is made, as its id says: {what, namespace, name, more}.
// Null where the id was too long, and so says no more than a part of it.
export function originOf(kind, id) {
  const [own] = kind === "instance" ? id.split("_") : [id];
  if (own.length >= 100) return null;
  const route = kind === "route" && /^([^.]+)\.(.+)\.(\d{2,})\.(\d{2,})$/.exec(own);
  if (route) return { what: "HTTPRoute", namespace: route[1], name: route[2], more: `rule ${Number(route[3]) + 1}, match ${Number(route[4]) + 1}` };
  const service = /^([^.]+)\.([^.]+)(?:\.(\d+))?$/.exec(own);
  return service && { what: "Service", namespace: service[1], name: service[2], more: service[3] ? `port ${service[3]}` : "" };
}

export const placeOfDiscovered = ({ namespace, name }) => `/kubernetes/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;

// A Service that asks to be served, to paste and to change.
export function example(selector = "managed-by=fengling") {
  const labels = selector.split(",").map((one) => /^\s*([^=!\s]+)\s*==?\s*([^=\s]+)\s*$/.exec(one)).filter(Boolean);
  return `apiVersion: v1
kind: Service
metadata:
  name: orders
  namespace: shop
  labels:
${labels.map(([, name, value]) => `    ${name}: ${value}\n`).join("")}  annotations:
    gateway.fengling/hosts: shop.example
    gateway.fengling/path: /orders/{**rest}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: 8080}]
`;
}

export const SETTINGS = `[kubernetes]
enabled = true
# namespaces = ["shop"]       # all, if it says none
# approve = ["shop/*"]        # without anybody's decision
`;

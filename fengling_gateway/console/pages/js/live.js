// What is going on, as the console tells it by server-sent events.
//
// Everything that is known is in `live`; whoever listens is told which part is new:
// revision, fleet, summary, discovery or connection.

import { ROOT, get } from "./api.js";
import { atMostEvery } from "./pace.js";

const SAMPLES = 180;
const REVISIONS = 30;
const KEPT = "fengling.traffic";
const UNKNOWN = { requests: null, errors: null, p50: null, p99: null, connections: null, in_flight: null };
const PATIENCE = [500, 1000, 2000, 5000, 10000];
const PARTS = ["revision", "fleet", "summary", "discovery"];

export const live = {
  connected: null, // null: not yet
  summary: null,
  problem: null, // why there is no summary
  fleet: null, // as GET /fleet tells it
  samples: [], // of traffic, one a second, the newest last
  propagation: [], // of the last revisions: {revision, ms} until all nodes have served it, as they say
  revision: null, // the newest event of this kind
  discovery: null, // what is known of a cluster, as GET /kubernetes tells it
  discoveryProblem: null, // why that is not known
  tellsDiscovery: false, // whether the console has ever said that something of it is new
};

const told = new EventTarget();
let source = null;
let failures = 0;
let asking = 0;

export function onLive(parts, listener, signal) {
  for (const part of [parts].flat()) {
    told.addEventListener(part, (event) => listener(event.detail, part), { signal });
  }
}

function tell(part, detail = null) {
  told.dispatchEvent(new CustomEvent(part, { detail }));
}

export function startLive() {
  recall();
  connect();
  addEventListener("pagehide", remember);
  refreshAll();
  setInterval(() => document.hidden || refreshAll(), 15_000);
  document.addEventListener("visibilitychange", () => document.hidden || refreshAll());
}

function refreshAll() {
  refresh();
  refreshDiscovery();
}

// What was seen before the page was loaded again, as far as it is of the last minutes.
function recall() {
  try {
    const { at, samples } = JSON.parse(sessionStorage.getItem(KEPT));
    const missed = Math.round((Date.now() - at) / 1000);
    if (missed < SAMPLES) live.samples = [...samples, ...Array(Math.max(0, missed - 1)).fill(UNKNOWN)].slice(-SAMPLES);
  } catch {
    // Then the lines begin now.
  }
}

function remember() {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ at: Date.now(), samples: live.samples }));
  } catch {
    // It is no loss.
  }
}

function connect() {
  source?.close();
  source = new EventSource(`${ROOT}/events`);
  source.onopen = () => {
    if (failures) refreshAll();
    failures = 0;
    connected(true);
  };
  source.onerror = () => {
    connected(false);
    // A browser tries again by itself, but not after an answer that is an error.
    if (source.readyState !== EventSource.CLOSED) return;
    const wait = PATIENCE[Math.min(failures++, PATIENCE.length - 1)];
    setTimeout(() => connect(), wait);
    // (That asks who is signed in, too.)
    refresh();
  };
  for (const part of PARTS) source.addEventListener(part, (event) => heard(part, event));
}

function connected(is) {
  if (live.connected === is) return;
  live.connected = is;
  tell("connection");
}

function heard(part, event) {
  let value;
  try {
    value = JSON.parse(event.data);
  } catch {
    return;
  }
  if (part === "fleet") setFleet(value);
  if (part === "revision") live.revision = value;
  if (part === "summary") setSummary(value, null);
  else if (part === "discovery") discovered();
  else tell(part, value);
}

export function setFleet(value) {
  live.fleet = value;
  const nodes = nodesOf(value);
  notePropagation(nodes.filter((node) => node.live !== false));
  const sample = trafficOf(nodes);
  if (sample) live.samples = [...live.samples, sample].slice(-SAMPLES);
}

// How long the newest revision took, once all nodes serve it.
function notePropagation(nodes) {
  const revision = nodes[0]?.position?.revision;
  const isServed = nodes.every((node) => node.position?.revision === revision && typeof node.applied_ms === "number");
  if (!nodes.length || !isServed || live.propagation.at(-1)?.revision === revision) return;
  const ms = Math.max(...nodes.map((node) => node.applied_ms));
  live.propagation = [...live.propagation, { revision, ms }].slice(-REVISIONS);
}

// The nodes of a fleet, by name.
export function nodesOf(fleet) {
  const nodes = fleet?.nodes ?? [];
  const found = Array.isArray(nodes)
    ? nodes
    : Object.entries(nodes).map(([node, state]) => ({ node, ...state }));
  return found.toSorted((a, b) => (a.node < b.node ? -1 : 1));
}

// What all live nodes serve together; the slowest hundredth is that of the slowest node.
export function trafficOf(nodes) {
  const heard = nodes.filter((node) => node.live !== false && node.traffic).map((one) => one.traffic);
  if (!heard.length) return null;
  const sum = (name) => heard.reduce((all, one) => all + (one[name] ?? 0), 0);
  const requests = sum("requests_per_s");
  const p50 = heard.reduce((all, one) => all + (one.p50_ms ?? 0) * (one.requests_per_s ?? 0), 0);
  return {
    requests,
    errors: sum("errors_per_s"),
    p50: requests ? p50 / requests : null,
    p99: heard.reduce((most, one) => Math.max(most, one.p99_ms ?? 0), 0) || null,
    connections: sum("connections"),
    in_flight: sum("in_flight"),
  };
}

// Ask for the summary; the newest answer counts.
export async function refresh() {
  const mine = ++asking;
  try {
    const summary = await get("/summary", undefined, { unattended: true });
    if (mine === asking) setSummary(summary, null);
  } catch (error) {
    if (mine === asking && error.name !== "AbortError") setSummary(live.summary, error);
  }
}

function setSummary(summary, problem) {
  asking++;
  live.summary = summary;
  live.problem = problem;
  tell("summary");
}

// Whether this console says of itself when something of the cluster is new: whoever watches does.
export function isToldOfDiscovery() {
  return live.connected && live.tellsDiscovery && Boolean(live.discovery?.leader?.is_mine);
}

// Something of the cluster is new: many things may be in a second.
const discovered = atMostEvery(1, () => {
  live.tellsDiscovery = true;
  refreshDiscovery();
});

// Ask what is known of the cluster. Whoever listens is told in any case: of a service more may be new.
export async function refreshDiscovery() {
  try {
    live.discovery = await get("/kubernetes", undefined, { unattended: true });
    live.discoveryProblem = null;
  } catch (error) {
    live.discoveryProblem = error;
  }
  tell("discovery");
}

// The one sentence about everything: that all is well, or the first thing that is wrong. Pure.

import { list, number, plural } from "./format.js";

// Returns what is to be said of a summary, the worst first: {tone, text, action: {label, href}}.
// tone: bad, warn, wait or good. isYoung: that workers are behind has only just been told.
export function headlines(summary, problem = null, isYoung = false) {
  if (problem) return [bad(`The console can't tell: ${problem.message}`, null)];
  if (!summary) return [];
  const found = [
    ...ofSource(summary),
    ...ofWorkers(summary, isYoung),
    ...ofDeserted(summary),
    ...ofRejected(summary),
    ...ofHealth(summary),
    ...ofNodes(summary),
  ];
  found.sort((a, b) => RANK[a.tone] - RANK[b.tone]);
  return found.length ? found : [{ tone: "good", text: allIsWell(summary), action: null }];
}

const STALE_SECONDS = 10;
const RANK = { bad: 0, warn: 1, wait: 2 };
const FLEET = { label: "See the fleet", href: "/fleet" };
const bad = (text, action) => ({ tone: "bad", text, action });
const warn = (text, action) => ({ tone: "warn", text, action });

function ofSource({ problem, held, position }) {
  const found = [];
  if (problem) found.push(bad(`The database can't be read: ${problem}`, null));
  if (held) {
    const revision = /revision ([0-9]+)/.exec(held)?.[1];
    const text = `What is written is ${held}; revision ${position?.revision ?? "–"} is served`;
    found.push(bad(text, { label: "Look at it", href: revision ? `/history/${revision}` : "/history" }));
  }
  return found;
}

function ofWorkers({ convergence, position }, isYoung) {
  if (!convergence) return [];
  const { served, workers, behind, complete, reason } = convergence;
  if (!complete) return [warn(`Who serves what is not known: ${reason}`, FLEET)];
  if (!workers) return [bad("No worker serves anything", FLEET)];
  const late = workers - served;
  if (!late) return [];
  if (isYoung) return [{ tone: "wait", text: `Revision ${position.revision} is on its way: ${number(served)} of ${plural(workers, "worker")} serve it`, action: null }];
  const verb = late === 1 ? "does" : "do";
  const text = `${number(late)} of ${plural(workers, "worker")} ${verb} not serve revision ${position.revision}: ${list(behind)}`;
  return [bad(text, FLEET)];
}

const LISTS = { route: "routes", service: "services", tenant: "settings", setting: "settings" };

// Where an entity is shown, of its key as the API writes it: "route orders".
export function placeOf(key) {
  const [kind, id] = key.split(" ");
  if (kind === "route" || kind === "service") return `/${LISTS[kind]}/${encodeURIComponent(id)}`;
  if (kind === "instance") return "/services";
  return LISTS[kind] ? "/settings" : null;
}

function ofDeserted({ deserted }) {
  if (!deserted?.count) return [];
  const [gets, has] = deserted.count === 1 ? ["gets", "has"] : ["get", "have"];
  const text = `${plural(deserted.count, "service")} ${gets} requests and ${has} no instance for them: ${list(deserted.named)}`;
  return [bad(text, { label: "Look at it", href: `/services/${encodeURIComponent(deserted.named[0])}` })];
}

function ofRejected({ rejected }) {
  if (!rejected?.count) return [];
  const [first] = rejected.named;
  const verb = rejected.count === 1 ? "entity is" : "entities are";
  const place = first && placeOf(first);
  return [bad(`${number(rejected.count)} ${verb} rejected: ${list(rejected.named)}`, place && { label: "See why", href: place })];
}

function ofHealth({ health, prober, stale }) {
  const found = [];
  const services = { label: "See services", href: "/services?health=unhealthy" };
  if (health?.unhealthy) {
    const verb = health.unhealthy === 1 ? "is" : "are";
    const text = `${number(health.unhealthy)} of ${plural(total(health), "instance")} ${verb} unhealthy: ${list(health.named)}`;
    found.push(bad(text, services));
  }
  if (prober?.problem) found.push(warn(`Instances can't be probed: ${prober.problem}`, services));
  else if (prober?.heartbeat_age_s > STALE_SECONDS) found.push(warn("Nobody probes instances: what is known of their health is stale", services));
  else if (stale?.length) found.push(warn(`${list(stale)} ${stale.length === 1 ? "takes" : "take"} what is unhealthy for unknown, as nobody probes instances`, services));
  return found;
}

function ofNodes({ switches, draining }) {
  const found = [];
  if (switches?.length) {
    const [first] = switches;
    const place = placeOf(first.replace("/", " "));
    const verb = switches.length === 1 ? "is" : "are";
    found.push(warn(`${list(switches)} ${verb} switched off`, place && { label: "Look at it", href: place }));
  }
  if (draining?.length) found.push(warn(`${list(draining)} ${draining.length === 1 ? "drains" : "drain"}`, FLEET));
  return found;
}

const total = ({ healthy, unhealthy, unknown }) => healthy + unhealthy + unknown;

// All 2 workers serve revision 8; 3 of 3 instances healthy; nothing rejected
function allIsWell({ convergence, position, health }) {
  const parts = [];
  const revision = position?.revision ?? "–";
  if (convergence) {
    const { workers } = convergence;
    parts.push(`${workers === 1 ? "The worker serves" : `All ${number(workers)} workers serve`} revision ${revision}`);
  } else parts.push("There is no configuration yet");
  if (health && total(health)) parts.push(healthy(health));
  parts.push("nothing rejected");
  return parts.join("; ");
}

function healthy(health) {
  if (!health.healthy) return `${plural(total(health), "instance")}, none probed`;
  return `${number(health.healthy)} of ${plural(total(health), "instance")} healthy`;
}

// Fleet: every node and worker, what it serves, and how much.

import { api, get, pathOf } from "../api.js";
import { ask } from "../dialog.js";
import { h } from "../dom.js";
import { live, nodesOf, onLive, setFleet } from "../live.js";
import { notice } from "../notices.js";
import { badge, button, chart, empty, failed, heading, section, table, waiting, when } from "../parts.js";
import { askAndChange, tellLate } from "../saved.js";
import { may } from "../session.js";
import { ago, clock, milliseconds, moment, number, plural, rate, span } from "../text/format.js";

export function fleetPage(page) {
  page.title("Fleet");
  let fleet = live.fleet;
  let switches = [];
  let error = null;

  async function load() {
    try {
      fleet = await get("/fleet", undefined, { signal: page.signal, unattended: true });
      if (!live.fleet) setFleet(fleet);
      error = null;
      switches = await readSwitches(page.signal);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error = problem;
    }
    page.redraw();
  }

  onLive(
    ["fleet", "summary"],
    async () => {
      if (live.fleet) fleet = { ...fleet, ...live.fleet };
      page.redraw();
      // (The summary knows which; by whom and why is asked for when that changes.)
      const off = live.summary?.switches ?? [];
      if (off.length === switches.length) return;
      switches = await readSwitches(page.signal);
      page.redraw();
    },
    page.signal,
  );
  page.draw(() => [
    heading("Fleet", may("editor") && button("Reload", () => reload(), { title: "Have every gateway look at the database now" })),
    convergence(),
    error ? failed(error, load) : fleet ? nodes(fleet) : waiting(10),
    switches.length > 0 && switchedOff(switches, load),
  ]);
  load();
}

async function readSwitches(signal) {
  const found = await get("/switches", undefined, { signal, unattended: true }).catch(() => null);
  return found?.items ?? [];
}

function switchedOff(switches, load) {
  return section(
    "Switched off",
    { id: "switched", note: "beside the configuration, until somebody switches it on again" },
    table(
      "Switched off",
      [["What"], ["By"], ["When"], ["Why"], ["", "end"]],
      switches.map(({ kind, id, by, at, comment }) =>
        h(
          "tr",
          { "data-key": `${kind}/${id}` },
          h("td", {}, kind, " ", kind === "route" ? h("a", { href: `/routes/${encodeURIComponent(id)}` }, id) : id),
          h("td", {}, by),
          h("td", { class: "nowrap" }, when(at)),
          h("td", {}, comment || h("span", { class: "quiet" }, "–")),
          h("td", { class: "end" }, may("editor") && button("Switch on", () => askAndChange(`Switch ${kind} ${id} on?`, "It gets requests again within a second.", "Switch on", (why) => api("DELETE", pathOf("switches", kind, id), { query: { comment: why } }), load), { kind: "small" })),
        ),
      ),
    ),
  );
}

function convergence() {
  const { convergence: now, position, fleet_problem: problem } = live.summary ?? {};
  if (problem) return h("p", { class: "headline-text" }, badge("warn", "not known"), ` ${problem}`);
  if (!now) return h("p", { class: "quiet" }, "Nothing is served yet.");
  const share = now.workers ? now.served / now.workers : 0;
  return h(
    "div",
    { class: "convergence" },
    h("p", { role: "status" }, badge(share === 1 ? "good" : "warn", `${now.served} of ${plural(now.workers, "worker")}`), ` ${now.served === 1 ? "serves" : "serve"} revision ${position?.revision ?? "–"}`, now.behind.length > 0 && h("span", { class: "quiet" }, `; behind: ${now.behind.join(", ")}`)),
    h("progress", { max: "100", value: String(Math.round(share * 100)), "aria-label": "Workers that serve the newest revision" }),
  );
}

function nodes(fleet) {
  const known = nodesOf(fleet);
  if (!known.length) return empty("No gateway tells of itself.", fleet.problem || "Gateways tell it over Redis ([redis] url), with the same [sync] keys as this console.");
  return [traffic(), known.map(node)];
}

function traffic() {
  const { samples } = live;
  const now = samples.at(-1);
  const of = (name) => samples.map((one) => one[name]);
  return h(
    "div",
    { class: "charts" },
    chart("Requests a second", of("requests"), rate(now?.requests)),
    chart("Errors a second", of("errors"), rate(now?.errors), { tone: now?.errors > 0 ? "bad" : "" }),
    chart("Slowest hundredth", of("p99"), milliseconds(now?.p99), { most: 5 }),
    chart("Connections", of("connections"), number(now?.connections), { most: 4 }),
    propagation(),
  );
}

function propagation() {
  const { propagation: known } = live;
  const newest = known.at(-1);
  const shown = newest ? milliseconds(newest.ms) : "–";
  return chart("Change served in", known.map((one) => one.ms), shown, { most: 20, slots: 30, over: "of the last revisions" });
}

function node(one) {
  const isGone = one.live === false;
  const revision = one.position?.revision;
  const facts = [
    `fengling ${one.version}`,
    moment(one.started_at) && `started ${ago(one.started_at)}`,
    one.listeners?.length > 0 && one.listeners.map(({ address, tls }) => `${tls ? "https" : "http"} ${address}`).join(", "),
    one.applied_ms !== null && one.applied_ms !== undefined && `last change served in ${milliseconds(one.applied_ms)}`,
  ].filter(Boolean);
  return h(
    "section",
    { class: "section node", "data-key": one.node, "aria-label": `Node ${one.node}` },
    h(
      "div",
      { class: "section-head" },
      h("h2", {}, one.node),
      h("span", { class: "badges" }, isGone ? badge("bad", "gone", `last seen ${clock(one.seen_at)}`) : badge(one.state === "serving" ? "good" : "warn", one.state), one.pinned && badge("warn", one.pinned.message), one.draining && badge("drain", "drains"), one.held && badge("bad", `holds ${one.held}`), one.rejected > 0 && badge("bad", `${number(one.rejected)} rejected`), one.health === "stale" && badge("warn", "health: stale"), one.served_from && !["postgres", "postgresql", "database", "source"].includes(one.served_from) && badge("warn", `from ${one.served_from}`)),
      h("p", { class: "quiet" }, facts.join(" · ")),
      may("admin") && !isGone && h("div", { class: "actions" }, one.draining ? button("Take part again", () => drain(one, false), { kind: "small" }) : button("Drain", () => drain(one, true), { kind: "small", icon: "drain" }), button("Restart workers", () => restart(one), { kind: "small" })),
    ),
    table(
      `Workers of ${one.node}`,
      [["Worker"], ["State"], ["Revision", "number"], ["Took", "number"], ["Requests/s", "number"], ["Errors/s", "number"], ["p50", "number"], ["p99", "number"], ["Connections", "number"], ["Under way", "number"], ["Lag", "number"], ["Up", "number"]],
      (one.workers ?? []).map((worker) => workerRow(worker, revision)),
    ),
  );
}

function workerRow(worker, revision) {
  const { traffic: told = {} } = worker;
  const isBehind = revision !== undefined && worker.revision !== revision;
  return h(
    "tr",
    { "data-key": `${worker.worker}/${worker.pid}` },
    h("td", { class: "nowrap" }, worker.worker, h("span", { class: "quiet" }, ` pid ${worker.pid}`)),
    h("td", {}, badge(worker.state === "serving" ? "good" : worker.state === "draining" ? "drain" : "warn", worker.state)),
    h("td", { class: "number" }, isBehind ? badge("warn", String(worker.revision ?? "–"), "behind") : String(worker.revision ?? "–")),
    ...[milliseconds(worker.propagation_ms), rate(told.requests_per_s), rate(told.errors_per_s), milliseconds(told.p50_ms), milliseconds(told.p99_ms), number(told.connections), number(told.in_flight), milliseconds(worker.lag_ms), span(worker.uptime_s)].map((text) => h("td", { class: "number" }, text)),
  );
}

async function drain({ node: name }, on) {
  const text = on
    ? "It says that it is not ready, so that load balancers send it nothing new, and closes kept connections. What still comes is served. It goes on until somebody has it take part again."
    : "It says that it is ready again.";
  const agreed = await ask(on ? `Drain ${name}?` : `Have ${name} take part again?`, text, { yes: on ? "Drain it" : "Take part", danger: on });
  if (agreed) await command(() => api("POST", `/fleet/${encodeURIComponent(name)}/drain`, { body: { on } }), on ? `${name} is asked to drain.` : `${name} is asked to take part again.`);
}

async function restart({ node: name }) {
  const agreed = await ask(`Restart the workers of ${name}?`, "One after the other, each only when its replacement serves. No request fails; tunnels (WebSockets) are told to come back.", { yes: "Restart them" });
  if (agreed) await command(() => api("POST", `/fleet/${encodeURIComponent(name)}/restart`), `${name} is asked to restart its workers, one after the other.`);
}

async function command(act, said) {
  try {
    await act();
    notice("good", said);
  } catch (error) {
    notice("bad", error.message);
  }
}

async function reload() {
  try {
    const answer = await api("POST", "/gateway/reload", { body: { comment: "from the console" }, query: { wait: "all" } });
    const { convergence: all, position } = answer;
    notice("good", `Every gateway has looked: ${all ? `${all.served}/${all.workers} workers serve` : "all serve"} revision ${position?.revision}.`);
  } catch (error) {
    if (!tellLate(error)) notice("bad", error.message);
  }
}


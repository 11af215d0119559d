// Home: how everything is, in one sentence; what goes through; what has changed of late.

import { get } from "../api.js";
import { h } from "../dom.js";
import { live, onLive } from "../live.js";
import { badge, chart, empty, failed, heading, icon, linkButton, section, waiting } from "../parts.js";
import { revisionTable } from "../revisions.js";
import { number, milliseconds, rate } from "../text/format.js";
import { headlines } from "../text/headline.js";

export function homePage(page) {
  page.title("");
  let recent = null;
  let error = null;

  async function load() {
    try {
      recent = await get("/revisions", { limit: 8 }, { signal: page.signal, unattended: true });
      error = null;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error = problem;
    }
    page.redraw();
  }

  onLive(["summary", "fleet", "connection"], () => page.redraw(), page.signal);
  onLive("revision", load, page.signal);
  page.draw(() => [
    h("h1", { class: "for-readers", tabindex: "-1" }, "Home"),
    sentence(),
    charts(),
    section("What has changed", { id: "recent", actions: h("a", { href: "/history" }, "All of history") }, changes(recent, error, load)),
  ]);
  load();
}

function sentence() {
  const [first, ...others] = headlines(live.summary, live.problem);
  if (!first) return h("section", { class: "headline", "aria-label": "How everything is" }, waiting(1));
  return h(
    "section",
    { class: `headline ${first.tone}`, "aria-label": "How everything is" },
    h("p", { class: "headline-text", role: "status" }, icon(first.tone), h("span", {}, /[.?!]$/.test(first.text) ? first.text : `${first.text}.`), first.action && linkButton(first.action.label, first.action.href, { kind: "primary" })),
    others.length > 0 && h("ul", {}, others.map((one) => h("li", {}, badge(one.tone, one.text), " ", one.action && h("a", { href: one.action.href }, one.action.label)))),
  );
}

function charts() {
  const { samples } = live;
  // (Nobody knows it while no gateway can tell.)
  const now = live.summary?.fleet_problem ? null : (samples.at(-1) ?? live.summary?.traffic);
  const of = (name) => samples.map((one) => one[name]);
  const value = (name, short) => now?.[short] ?? now?.[name] ?? null;
  return h(
    "div",
    { class: "charts" },
    chart("Requests a second", of("requests"), rate(value("requests_per_s", "requests")), { most: 1 }),
    chart("Errors a second", of("errors"), rate(value("errors_per_s", "errors")), { most: 1, tone: value("errors_per_s", "errors") > 0 ? "bad" : "" }),
    chart("Slowest hundredth", of("p99"), milliseconds(value("p99_ms", "p99")), { most: 5 }),
    chart("Under way", of("in_flight"), number(value("in_flight", "in_flight")), { most: 4 }),
  );
}

function changes(recent, error, again) {
  if (error) return failed(error, again);
  if (!recent) return waiting(6);
  if (recent.items.length) return revisionTable(recent.items);
  return empty("Nothing has been changed yet.", "Begin with a service, and a route that leads to it.", linkButton("New service", "/services/new", { kind: "primary" }), linkButton("New route", "/routes/new"));
}

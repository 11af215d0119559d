// Services with their instances, and how these are.

import { get } from "../api.js";
import { h } from "../dom.js";
import { followsBadge } from "../following.js";
import { healthBadge, isOff } from "../instances.js";
import { onLive } from "../live.js";
import { badge, button, empty, failed, heading, linkButton, table, waiting } from "../parts.js";
import { say } from "../router.js";
import { may } from "../session.js";
import { number, plural } from "../text/format.js";

const PAGE = 100;
const SHOWN = 6;
const PAUSE_MS = 120;

export function servicesPage(page) {
  page.title("Services");
  const wanted = { q: page.query.q ?? "", health: page.query.health ?? "" };
  let pages = [""];
  let found = null;
  let instances = new Map();
  let error = null;
  let asked = 0;
  let timer = null;

  async function load() {
    const mine = ++asked;
    try {
      const [services, all] = await Promise.all([
        get("/services", { q: wanted.q, limit: PAGE, after: pages.at(-1) }, { signal: page.signal }),
        get("/instances", { limit: 1000 }, { signal: page.signal }),
      ]);
      if (mine !== asked) return;
      [found, error] = [services, null];
      instances = await grouped(services.items, all, page.signal);
      if (mine !== asked) return;
    } catch (problem) {
      if (problem.name === "AbortError" || mine !== asked) return;
      error = problem;
    }
    page.redraw();
  }

  function begin() {
    pages = [""];
    say(wanted);
    load();
  }

  function turn(after) {
    if (after === null) pages.pop();
    else pages.push(after);
    load();
    scrollTo(0, 0);
  }

  onLive("revision", load, page.signal);
  onLive("summary", () => page.redraw(), page.signal);
  page.draw(() => [
    heading("Services", may("editor") && linkButton("New service", "/services/new", { kind: "primary", icon: "plus" })),
    h(
      "div",
      { class: "filters", role: "search" },
      h("input", {
        class: "input search",
        type: "search",
        "data-shortcut": "search",
        "aria-label": "Search services",
        placeholder: "Id or name",
        value: wanted.q,
        autocomplete: "off",
        spellcheck: "false",
        oninput: (event) => {
          wanted.q = event.target.value;
          clearTimeout(timer);
          timer = setTimeout(begin, PAUSE_MS);
        },
      }),
      button("With unhealthy instances", () => ((wanted.health = wanted.health ? "" : "unhealthy"), begin()), { kind: "chip", "aria-pressed": String(Boolean(wanted.health)) }),
      h("p", { class: "quiet total", role: "status" }, found && `${number(found.total)} ${wanted.q ? "found" : "in all"}`),
    ),
    error ? failed(error, load) : found ? shown(found, instances, wanted) : waiting(8),
    found && (found.next || pages.length > 1) && h("nav", { class: "turning", "aria-label": "Pages of the list" }, button("Before", () => turn(null), { icon: "left", disabled: pages.length < 2 }), button("Next", () => turn(found.next), { icon: "right", disabled: !found.next })),
    h("a", { class: "for-readers", href: "/services/new", "data-shortcut": "new", tabindex: "-1", "aria-hidden": "true" }, "New service"),
  ]);
  load();
}

// Instances by service; where there are too many to have all at once, those of the page.
async function grouped(services, all, signal) {
  const found = all.next
    ? (await Promise.all(services.map(({ id }) => get("/instances", { service: id, limit: 100 }, { signal })))).flatMap((one) => one.items)
    : all.items;
  return Map.groupBy ? Map.groupBy(found, (one) => one.service_id) : new Map(services.map(({ id }) => [id, found.filter((one) => one.service_id === id)]));
}

function shown(found, instances, wanted) {
  const isSick = ({ id }) => (instances.get(id) ?? []).some((one) => one.health?.health === "unhealthy");
  const services = wanted.health ? found.items.filter(isSick) : found.items;
  if (services.length) return serviceTable(services, instances);
  if (wanted.health) return empty("No instance is unhealthy.", "");
  if (wanted.q) return empty("No service fits.", "Search for a part of its id or its name.");
  return empty("There are no services yet.", "A service is a group of equal instances that requests are forwarded to.", linkButton("New service", "/services/new", { kind: "primary" }));
}

function serviceTable(services, instances) {
  return table(
    "Services",
    [["Service"], ["Instances"], ["Balancing"], ["Health check"], ["State"]],
    services.map((one) => row(one, instances.get(one.id) ?? [])),
    { class: "services" },
  );
}

function row(service, instances) {
  return h(
    "tr",
    { "data-key": service.id },
    h("td", {}, h("a", { href: `/services/${encodeURIComponent(service.id)}`, "data-row": true }, service.id), service.name && h("div", { class: "quiet" }, service.name)),
    h("td", {}, instances.length ? listed(instances) : badge("warn", "no instances", "Its requests are answered with 503")),
    h("td", { class: "nowrap" }, service.balancing.replaceAll("_", " ")),
    h("td", {}, check(service.health_check)),
    h("td", {}, h("span", { class: "badges" }, service.enabled === false && badge("off", "disabled"), service.rejected && badge("bad", "rejected"), service.tls && badge("plain", "TLS"), followsBadge("service", service))),
  );
}

const RANK = { unhealthy: 0, unknown: 1, healthy: 2 };
const rank = ({ health, state }) => (RANK[health?.health] ?? 1) + (state === "ready" ? 0.5 : 0);

// The first of them, those that are not well before others.
function listed(instances) {
  const sorted = instances.toSorted((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
  const more = sorted.length - SHOWN;
  return h(
    "ul",
    { class: "instances" },
    sorted.slice(0, SHOWN).map((one) =>
      h("li", { "data-key": one.id }, healthBadge(one), " ", one.id, " ", h("span", { class: "quiet code" }, one.address), one.state !== "ready" && [" ", badge("drain", one.state)], isOff("instance", one.id) && [" ", badge("off", "switched off")]),
    ),
    more > 0 && h("li", { class: "quiet" }, `and ${plural(more, "more instance")}`),
  );
}

export function check(health) {
  if (!health) return h("span", { class: "quiet" }, "none");
  const what = health.type === "tcp" ? "tcp" : `${health.method ?? "GET"} ${health.path ?? "/"}`;
  return h("span", {}, what, h("span", { class: "quiet" }, ` every ${health.interval ?? "5s"}`));
}

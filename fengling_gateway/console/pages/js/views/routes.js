// Routes: found by words, a page at a time.

import { get } from "../api.js";
import { h } from "../dom.js";
import { followsBadge } from "../following.js";
import { live, onLive } from "../live.js";
import { badge, button, empty, failed, heading, linkButton, table, waiting } from "../parts.js";
import { kept, say } from "../router.js";
import { may } from "../session.js";
import { list, number } from "../text/format.js";
import { said } from "../text/kinds.js";

const PAGE = 100;
const PAUSE_MS = 120;

export function routesPage(page) {
  page.title("Routes");
  const wanted = { q: page.query.q ?? "", service: page.query.service ?? "", rejected: page.query.rejected === "true" };
  let pages = kept()?.pages ?? [""]; // the ids after which each page begins, up to the one that is shown
  let found = null;
  let error = null;
  let asked = 0;
  let timer = null;

  async function load() {
    const mine = ++asked;
    try {
      const query = { ...wanted, rejected: wanted.rejected || null, limit: PAGE, after: pages.at(-1) };
      const answer = await get("/routes", query, { signal: page.signal });
      if (mine !== asked) return;
      [found, error] = [answer, null];
    } catch (problem) {
      if (problem.name === "AbortError" || mine !== asked) return;
      error = problem;
    }
    page.redraw();
  }

  function begin() {
    pages = [""];
    remember();
    load();
  }

  function remember() {
    say({ q: wanted.q, service: wanted.service, rejected: wanted.rejected ? "true" : "" }, { pages });
  }

  function search(event) {
    wanted.q = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(begin, PAUSE_MS);
  }

  function turn(after) {
    if (after === null) pages.pop();
    else pages.push(after);
    remember();
    load();
    scrollTo(0, 0);
  }

  onLive("revision", load, page.signal);
  onLive("summary", () => page.redraw(), page.signal);
  page.draw(() => [
    heading("Routes", may("editor") && linkButton("New route", "/routes/new", { kind: "primary", icon: "plus" })),
    h(
      "div",
      { class: "filters", role: "search" },
      h("input", { class: "input search", type: "search", "data-shortcut": "search", "aria-label": "Search routes", placeholder: "Path, host, id or service", value: wanted.q, oninput: search, autocomplete: "off", spellcheck: "false" }),
      wanted.service && button(`to ${wanted.service}`, () => ((wanted.service = ""), begin()), { kind: "chip", icon: "bad", "aria-label": `Not only those to ${wanted.service}` }),
      button("Rejected only", () => ((wanted.rejected = !wanted.rejected), begin()), { kind: "chip", "aria-pressed": String(wanted.rejected) }),
      h("p", { class: "quiet total", role: "status" }, found && total(found, wanted)),
    ),
    error ? failed(error, load) : found ? shown(found, wanted) : waiting(12),
    found && (found.next || pages.length > 1) && turning(found, pages, turn),
    h("a", { class: "for-readers", href: "/routes/new", "data-shortcut": "new", tabindex: "-1", "aria-hidden": "true" }, "New route"),
  ]);
  load();
}

function total({ total: count }, { q, service, rejected }) {
  const isAll = !q && !service && !rejected;
  return isAll ? `${number(count)} in all` : `${number(count)} found`;
}

function turning(found, pages, turn) {
  return h(
    "nav",
    { class: "turning", "aria-label": "Pages of the list" },
    button("Before", () => turn(null), { icon: "left", disabled: pages.length < 2 }),
    h("span", { class: "quiet" }, `Page ${number(pages.length)} of ${number(Math.max(pages.length, Math.ceil(found.total / PAGE)))}`),
    button("Next", () => turn(found.next), { icon: "right", disabled: !found.next }),
  );
}

function shown(found, wanted) {
  if (found.items.length) return routeTable(found.items);
  if (wanted.rejected) return empty("No route is rejected.", "");
  if (wanted.q || wanted.service) return empty("No route fits.", "Search for a part of its path, its host, its id or its service.");
  return empty("There are no routes yet.", "A route says which requests go to which service.", linkButton("New route", "/routes/new", { kind: "primary" }));
}

export function routeTable(routes) {
  const off = new Set(live.summary?.switches ?? []);
  return table(
    "Routes",
    [["Route"], ["Path"], ["Hosts"], ["Methods"], ["Goes to"], ["State"]],
    routes.map((one) => row(one, off.has(`route/${one.id}`))),
  );
}

function row(route, isOff) {
  return h(
    "tr",
    { "data-key": route.id },
    h("td", {}, h("a", { href: `/routes/${encodeURIComponent(route.id)}`, "data-row": true }, route.id)),
    h("td", { class: "code" }, route.path),
    h("td", {}, route.hosts?.length ? list(route.hosts, 2) : h("span", { class: "quiet" }, "any")),
    h("td", {}, route.methods?.length ? list(route.methods, 4) : h("span", { class: "quiet" }, "any")),
    h("td", {}, target(route)),
    h("td", {}, h("span", { class: "badges" }, badges(route, isOff))),
  );
}

// Where a route leads, in few words.
export function target({ service_id: service, split, redirect, respond }) {
  const to = (id) => h("a", { href: `/services/${encodeURIComponent(id)}` }, id);
  if (service) return to(service);
  if (split) return Object.entries(split).map(([id, weight], at) => [at > 0 && ", ", to(id), ` ${weight}`]);
  if (redirect) return [h("span", { class: "quiet" }, `redirect ${redirect.status ?? 302} `), h("span", { class: "code" }, redirect.location)];
  if (respond) return h("span", { class: "quiet" }, `answers ${respond.status ?? 200}`);
  return h("span", { class: "quiet" }, "–");
}

export function badges(route, isOff) {
  const policies = Object.keys(said("route", { policies: route.policies ?? {} }).policies ?? {}).length;
  return [
    isOff && badge("off", "switched off"),
    route.rejected && badge("bad", route.rejected.serving === "nothing" ? "rejected" : "rejected: the version before serves", route.rejected.problems?.map((one) => one.message).join("; ")),
    route.enabled === false && badge("off", "disabled"),
    route.access === "public" && badge("plain", "public", "Anybody may ask it"),
    route.access && route.access !== "public" && badge("plain", `auth ${route.access}`),
    route.priority ? badge("plain", `priority ${route.priority}`) : null,
    route.tenant_id && badge("plain", `tenant ${route.tenant_id}`),
    followsBadge("route", route),
    policies > 0 && badge("plain", policies === 1 ? "1 policy" : `${policies} policies`, Object.keys(route.policies).join(", ")),
  ];
}

// One service of the cluster: what it offers, what it would be, who decided, and what came of that.

import { get, pathOf } from "../api.js";
import { diff } from "../changes.js";
import { approve, forget, reject } from "../deciding.js";
import { h } from "../dom.js";
import { isToldOfDiscovery, onLive, refreshDiscovery } from "../live.js";
import { badge, button, coded, empty, failed, heading, icon, linkButton, section, waiting, when } from "../parts.js";
import { go } from "../router.js";
import { may } from "../session.js";
import { annotationsText, asksForMore, instancesOf, outcomeOf, problemsOf, wishes } from "../text/discovery.js";
import { KINDS } from "../text/kinds.js";
import { yaml } from "../text/yaml.js";
import { markBadges } from "./kubernetes.js";

const POLL_SECONDS = 2;

export function discoveredPage(page) {
  const { namespace, name } = page.params;
  const title = `${namespace}/${name}`;
  page.title(title);
  let [one, error] = [null, null];

  async function load(options = {}) {
    try {
      one = await get(pathOf("kubernetes", "services", namespace, name), undefined, { signal: page.signal, ...options });
      error = null;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error = problem;
    }
    page.redraw();
  }

  const decided = () => load();
  onLive("discovery", () => load({ unattended: true }), page.signal);
  page.every(POLL_SECONDS, () => isToldOfDiscovery() || refreshDiscovery());
  page.draw(() => {
    if (error) return [heading(title), unknown(error, load)];
    if (!one) return [heading(title), waiting(8)];
    return [
      heading(title, actions(one, decided)),
      h("p", { class: "badges" }, markBadges(one)),
      decision(one),
      problems(one),
      result(one),
      more(one, decided),
      section("What it asks for", { id: "offer", note: wishes(one.asked).length ? "with what was said in approving it" : "" }, offered(one.offer ?? {})),
      section("In the cluster", { id: "cluster" }, cluster(one)),
    ];
  });
  load();
}

function unknown(error, load) {
  if (error.code !== "not_found") return failed(error, () => load());
  return empty("Nothing is known of it.", "It is not in the cluster, or does not ask to be served, and nobody has ever decided about it.", linkButton("All services of the cluster", "/kubernetes"));
}

// What it asks for since it was approved; that waits for another approval.
function more(one, decided) {
  if (!asksForMore(one)) return null;
  const { approved, offer } = one;
  return section(
    "It asks for something else by now",
    { id: "more", note: "what has been approved stays until somebody approves that, too", actions: may("editor") && button("Approve that, too", () => approve(one, decided), { kind: "primary small" }) },
    approved && diff(annotationsText(approved), annotationsText(offer?.annotations)),
  );
}

function actions(one, decided) {
  if (!may("editor")) return null;
  const isApproved = one.state === "approved";
  return [
    button(isApproved ? "Approve otherwise" : "Approve", () => approve(one, decided), { kind: isApproved ? "" : "primary" }),
    one.state !== "rejected" && button("Reject", () => reject(one, decided), { kind: isApproved ? "danger" : "" }),
    one.state !== "pending" && button("Forget", () => forget(one, (isThere) => (isThere ? decided() : go("/kubernetes"))), { kind: isApproved ? "danger" : "" }),
  ];
}

function decision(one) {
  const { state, decided_by: by, decided_at: at, comment, gone_at: gone, seen_at: seen } = one;
  const asked = wishes(one.asked);
  return [
    state === "pending"
      ? h("p", {}, "First seen ", when(seen), by ? [`; ${by} took back what was decided `, when(at)] : "; nobody has decided yet", ". Until somebody approves it, nothing is made of it.")
      : h("p", {}, `${state === "approved" ? "Approved" : "Rejected"} by ${by ?? "somebody"} `, when(at), comment && [": ", h("q", {}, comment)]),
    gone && h("p", {}, "It went from the cluster ", when(gone), "."),
    asked.length > 0 && h("p", { class: "quiet" }, "With:"),
    asked.length > 0 && h("dl", { class: "pairs" }, asked.map(([name, value]) => [h("dt", {}, name), h("dd", { class: "code" }, value)])),
  ];
}

function problems(one) {
  const all = problemsOf(one);
  if (!all.length) return null;
  const isRefused = one.state === "approved" && outcomeOf(one)?.state === "refused";
  return h("div", { class: isRefused ? "failed" : "failed doubtful" }, h("p", {}, icon(isRefused ? "bad" : "warn"), isRefused ? " It can't be served so; what was served of it before stays as it is:" : " What is wrong with it:"), h("ul", {}, all.map((text) => h("li", {}, text))));
}

// What came of the decision, with links to what it is now.
function result(one) {
  const came = one.state === "approved" ? outcomeOf(one) : null;
  if (!came) return null;
  const { revision, service_id: service, route_ids: routes = [] } = came;
  const link = (list) => (id) => [h("a", { href: `/${list}/${encodeURIComponent(id)}` }, id), " "];
  const rows = [
    ["Revision", revision && h("a", { href: `/history/${revision}` }, String(revision))],
    ["Service", service && link("services")(service)],
    [routes.length === 1 ? "Route" : "Routes", routes.length > 0 && routes.map(link("routes"))],
  ].filter(([, value]) => value);
  return rows.length > 0 && section("What came of it", { id: "result" }, h("dl", { class: "pairs" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
}

// What there is to say of an entity, as a file would: in the usual order, without what is empty.
function whole(kind, row) {
  const order = Object.keys(KINDS[kind].defaults);
  const isSaid = ([, value]) => value !== null && (typeof value !== "object" || Object.keys(value).length > 0);
  return yaml(Object.fromEntries(Object.entries(row).filter(isSaid).toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b))));
}

function offered({ service, route }) {
  const nothing = { service: "No service: what is wrong with it says why.", route: "No route: nothing says which requests it is for. Name hosts or a path in approving it, or annotate it with `gateway.fengling/path`." };
  const side = (title, row) => h("div", { class: "part" }, h("h3", {}, title), row ? h("pre", { class: "text", tabindex: "0", role: "group", "aria-label": title }, whole(title.toLowerCase(), row)) : h("p", { class: "quiet" }, coded(nothing[title.toLowerCase()])));
  return h("div", { class: "sides" }, side("Route", route), side("Service", service));
}

function cluster({ offer, seen_at: seen }) {
  const { ports = [], labels = {}, annotations = {} } = offer ?? {};
  const lines = (pairs) => (pairs.length ? pairs.map(([key, value]) => h("div", {}, h("code", {}, key), h("span", { class: "quiet" }, " = "), h("code", {}, value))) : h("span", { class: "quiet" }, "none"));
  const rows = [
    ["Instances", offer?.instances?.ready ? instancesOf(offer) : badge("warn", instancesOf(offer), "Requests to it are answered with 503")],
    ["Ports", ports.length ? ports.map((one) => h("div", {}, h("code", {}, String(one.port)), ` ${one.name ?? ""}`, one.app_protocol && h("span", { class: "quiet" }, ` ${one.app_protocol}`))) : h("span", { class: "quiet" }, "none")],
    ["Annotations", lines(Object.entries(annotations).map(([key, value]) => [`gateway.fengling/${key}`, String(value)]))],
    ["Labels", lines(Object.entries(labels).map(([key, value]) => [key, String(value)]))],
    ["First seen", when(seen)],
  ];
  return h("dl", { class: "pairs" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

// Why a request goes where it goes, drawn: of POST /explain, and of a request that was made.

import { h, svg } from "./dom.js";
import { badge, icon } from "./parts.js";
import { number, milliseconds } from "./text/format.js";

// `level` is that of headings in it.
export function explanation(answer, level = "h3") {
  const { route, tenant, candidates, more_candidates: more, action, asked, revision } = answer;
  return h(
    "div",
    { class: "explanation" },
    h(
      "p",
      { class: `verdict ${route ? "good" : "bad"}` },
      icon(route ? "good" : "bad"),
      route ? ["Route ", h("a", { href: `/routes/${encodeURIComponent(route)}` }, route), " takes it"] : "No route takes it: the answer is 404",
      h("span", { class: "quiet" }, tenant ? `for tenant ${tenant}` : "", revision ? ` at revision ${revision}` : ""),
    ),
    action && actionOf(action, level),
    h(level, {}, "Routes that were considered"),
    candidates.length
      ? h("ol", { class: "candidates" }, candidates.map(candidate))
      : h("p", { class: "quiet" }, "None has this host and path."),
    more > 0 && h("p", { class: "quiet" }, `${number(more)} more were not looked at.`),
    asked && !candidates.some((one) => one.route === asked.route) && h("p", {}, "Route ", h("b", {}, asked.route), `: ${asked.reason}.`),
  );
}

function candidate({ route, chosen, reason }) {
  return h(
    "li",
    { class: chosen ? "chosen" : "" },
    badge(chosen ? "good" : "off", chosen ? "takes it" : "not"),
    " ",
    h("a", { href: `/routes/${encodeURIComponent(route)}` }, route),
    " ",
    h("span", { class: "quiet" }, reason),
  );
}

function actionOf({ kind, access, services }, level) {
  const words = { forward: "It is forwarded", split: "It is split between services", redirect: "It is redirected", respond: "The gateway answers by itself" };
  return h(
    "div",
    {},
    h("p", {}, words[kind] ?? kind, "; ", access === "public" ? "anybody may ask." : `who may ask: ${access}.`),
    (services ?? []).map((one) => serviceOf(one, level)),
  );
}

function serviceOf({ service, error, candidates, more_candidates: more, refused }, level) {
  return h(
    "div",
    { class: "service-of" },
    h(level, {}, "Service ", h("a", { href: `/services/${encodeURIComponent(service)}` }, service)),
    error && h("p", {}, badge("bad", error)),
    candidates && (candidates.length ? h("ul", { class: "candidates" }, candidates.map(({ instance, address, weight }) => h("li", {}, badge("good", "may get it"), " ", instance, " ", h("span", { class: "quiet code" }, address), weight !== 1 && h("span", { class: "quiet" }, ` weight ${weight}`)))) : h("p", {}, badge("bad", "no instance may get it: 503"))),
    more > 0 && h("p", { class: "quiet" }, `and ${number(more)} more`),
    refused?.length > 0 && h("ul", { class: "candidates" }, refused.map((one) => h("li", {}, badge("off", "left out"), " ", one.instance, " ", h("span", { class: "quiet" }, one.reason)))),
  );
}

// Where the time of a request went: [name, milliseconds], one after the other, as a bar.
export function phases(parts) {
  const known = parts.filter(([, value]) => value > 0);
  const all = known.reduce((sum, [, value]) => sum + value, 0);
  if (!all) return null;
  let x = 0;
  const bars = known.map(([name, value], at) => {
    const width = Math.max(0.4, (value / all) * 100);
    const bar = svg("rect", { class: `phase p${at % 5}`, x: x.toFixed(2), y: 0, width: Math.min(width, 100 - x).toFixed(2), height: 10 }, svg("title", {}, `${name}: ${milliseconds(value)}`));
    x += width;
    return bar;
  });
  return h(
    "figure",
    { class: "phases" },
    svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": known.map(([name, value]) => `${name} ${milliseconds(value)}`).join(", ") }, bars),
    h("figcaption", {}, known.map(([name, value], at) => h("span", {}, h("span", { class: `swatch p${at % 5}`, "aria-hidden": "true" }), `${name} ${milliseconds(value)}`))),
  );
}

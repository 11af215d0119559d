// Kubernetes: who watches the cluster, which of its services ask to be served, and what came of them.

import { get } from "../api.js";
import { toCopy } from "../clipboard.js";
import { approve, confirmRemoval, reject } from "../deciding.js";
import { h } from "../dom.js";
import { isToldOfDiscovery, live, onLive, refreshDiscovery } from "../live.js";
import { badge, button, coded, empty, failed, heading, icon, section, table, waiting, when } from "../parts.js";
import { say } from "../router.js";
import { may } from "../session.js";
import { decideSeveral } from "../several.js";
import { SETTINGS, asksForMore, example, instancesOf, marks, placeOfDiscovered, resourcesOf, stateOfResource, taken, watched } from "../text/discovery.js";
import { number } from "../text/format.js";

const PAGE = 100;
const PAUSE_MS = 120;
const POLL_SECONDS = 2;
// Of these the numbers are told even where they are nought.
const STANDING = new Set(["pending", "approved", "rejected"]);
const STATES = { pending: "Pending", changed: "Changed", approved: "Approved", rejected: "Rejected", gone: "Gone", problems: "With problems" };

export function kubernetesPage(page) {
  page.title("Kubernetes");
  const { q = "", state = "" } = page.query;
  const wanted = { q, state: state in STATES ? state : "" };
  const chosen = new Set();
  let pages = [""];
  let [found, error, timer, asked] = [null, null, null, 0];

  async function load(options = {}) {
    const mine = ++asked;
    try {
      const answer = await get("/kubernetes/services", { ...wanted, limit: PAGE, after: pages.at(-1) }, { signal: page.signal, ...options });
      if (mine !== asked) return;
      [found, error] = [answer, null];
      // What is not on the page any more, or decided, is not chosen.
      const open = new Set(answer.items.filter(isOpen).map(keyOf));
      for (const key of chosen) if (!open.has(key)) chosen.delete(key);
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

  const typed = (event) => {
    wanted.q = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(begin, PAUSE_MS);
  };

  function choose(one) {
    wanted.state = wanted.state === one ? "" : one;
    begin();
    page.redraw();
  }

  function turn(after) {
    if (after === null) pages.pop();
    else pages.push(after);
    load();
    scrollTo(0, 0);
  }

  function mark(all, isOn) {
    for (const one of all) {
      if (isOn) chosen.add(keyOf(one));
      else chosen.delete(keyOf(one));
    }
    page.redraw();
  }

  onLive("discovery", () => load({ unattended: true }), page.signal);
  page.every(POLL_SECONDS, () => isToldOfDiscovery() || refreshDiscovery());
  const isFiltered = () => Boolean(wanted.q || wanted.state);
  page.draw(() => [
    heading("Kubernetes"),
    !isUnused(found) && standing(),
    (isFiltered() || found?.items.length !== 0) && filters(wanted, found, { typed, choose }),
    found && chosen.size > 0 && selected(found.items.filter((one) => chosen.has(keyOf(one)))),
    error ? failed(error, () => load()) : found ? shown(found, wanted, { chosen, mark, reload: refreshDiscovery }) : waiting(8),
    found && (found.next || pages.length > 1) && h("nav", { class: "turning", "aria-label": "Pages of the list" }, button("Before", () => turn(null), { icon: "left", disabled: pages.length < 2 }), button("Next", () => turn(found.next), { icon: "right", disabled: !found.next })),
    resources(live.discovery?.status),
  ]);
  load();
}

const keyOf = ({ namespace, name }) => `${namespace}/${name}`;

// Whether somebody is to decide about it.
const isOpen = ({ state, gone_at: gone }) => state === "pending" && !gone;

// What can be done with all that are chosen.
function selected(all) {
  const act = (verb) => () => decideSeveral(verb, all);
  return h("div", { class: "filters", role: "group", "aria-label": "What is selected" }, button(`Approve ${number(all.length)} selected…`, act("approve")), button(`Reject ${number(all.length)} selected…`, act("reject")));
}

// Whether no console watches a cluster, and none ever did.
function isUnused(found) {
  return live.discovery?.enabled === false && found?.items.length === 0;
}

// Who watches, and the first thing that is wrong; then all else that is.
function standing() {
  const { discovery, discoveryProblem: problem } = live;
  if (!discovery && !problem) return h("section", { class: "headline", "aria-label": "Who watches" }, waiting(1));
  const removal = discovery?.status?.writing?.removal;
  const [first, ...others] = watched(discovery, problem);
  return h(
    "section",
    { class: `headline ${first.tone}`, "aria-label": "Who watches" },
    h("p", { class: "headline-text", role: "status" }, icon(first.tone), h("span", {}, /[.?!]$/.test(first.text) ? first.text : `${first.text}.`)),
    others.length > 0 && h("ul", {}, others.map((one) => h("li", {}, badge(one.tone, one.tone === "wait" ? "wait" : one.tone === "bad" ? "wrong" : "note"), " ", one.text))),
    removal && may("editor") && h("p", {}, button("Remove them…", () => confirmRemoval(removal))),
  );
}

function filters(wanted, found, { typed, choose }) {
  const counts = live.discovery?.counts ?? {};
  const chip = ([state, text]) => button(counts[state] === undefined ? text : `${text} ${number(counts[state])}`, () => choose(state), { kind: "chip", "aria-pressed": String(wanted.state === state) });
  return h(
    "div",
    { class: "filters", role: "search" },
    h("input", { class: "input search", type: "search", "data-shortcut": "search", "aria-label": "Search services of the cluster", placeholder: "Namespace or name", value: wanted.q, oninput: typed, autocomplete: "off", spellcheck: "false" }),
    Object.entries(STATES).filter(([state]) => STANDING.has(state) || counts[state] > 0 || wanted.state === state).map(chip),
    h("p", { class: "quiet total", role: "status" }, found && `${number(found.total)} ${wanted.q || wanted.state ? "found" : "in all"}`),
  );
}

function shown({ items }, wanted, choosing) {
  if (items.length) return serviceTable(items, choosing);
  if (wanted.q) return empty("No service fits.", "Search for parts of its namespace and its name.");
  if (wanted.state) return empty({ problems: "No service has problems.", changed: "No service asks for something else than was approved." }[wanted.state] ?? `No service is ${wanted.state}.`, wanted.state === "pending" ? "Nobody has to decide anything." : "");
  return live.discovery && !live.discovery.enabled ? unwatched() : nobodyAsks();
}

function unwatched() {
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title" }, "No console watches a cluster."),
    h("p", {}, coded("A console that runs in the cluster does, with a ServiceAccount that may list and watch services and endpointslices, and with this in `console.toml`:")),
    toCopy("settings", SETTINGS),
  );
}

function nobodyAsks() {
  const { selector } = live.discovery?.status?.api_server ?? {};
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title" }, "No service of the cluster asks to be served."),
    h("p", {}, coded(`One does by its label \`${selector ?? "managed-by=fengling"}\`, and says by annotations which requests are its. It appears here within a second, and waits until somebody approves it.`)),
    toCopy("a Service that asks to be served", example(selector)),
  );
}

// (Boxes are there where there is something to be chosen, by somebody who may.)
function serviceTable(items, choosing) {
  const open = may("editor") ? items.filter(isOpen) : [];
  const { chosen, mark } = choosing;
  const isAll = open.every((one) => chosen.has(keyOf(one)));
  const all = open.length > 0 && h("input", { type: "checkbox", "aria-label": "Select all that are pending", checked: isAll, indeterminate: !isAll && open.some((one) => chosen.has(keyOf(one))), onchange: (event) => mark(open, event.target.checked) });
  return table(
    "Services of the cluster",
    [...(all ? [[all]] : []), ["Service"], ["State"], ["Requests"], ["Instances"], ["Since"], ...(may("editor") ? [["", "end"]] : [])],
    items.map((one) => row(one, choosing, Boolean(all))),
  );
}

function row(one, { chosen, mark, reload }, hasBoxes) {
  const { namespace, name, state, offer, seen_at: seen, decided_at: decided } = one;
  const small = { kind: "small" };
  return h(
    "tr",
    { "data-key": `${namespace}/${name}` },
    hasBoxes && h("td", {}, isOpen(one) && h("input", { type: "checkbox", "aria-label": `Select ${keyOf(one)}`, checked: chosen.has(keyOf(one)), onchange: (event) => mark([one], event.target.checked) })),
    h("td", { class: "object" }, h("a", { href: placeOfDiscovered(one), "data-row": true }, `${namespace}/${name}`)),
    h("td", {}, h("span", { class: "badges" }, markBadges(one))),
    offer?.route ? h("td", { class: "code object" }, taken(offer.route)) : h("td", { class: "quiet" }, "no route"),
    h("td", { class: "nowrap" }, offer?.instances?.ready ? instancesOf(offer) : badge("warn", instancesOf(offer))),
    h("td", { class: "nowrap" }, when(decided ?? seen)),
    may("editor") &&
      h(
        "td",
        { class: "end" },
        asksForMore(one) && button("Approve that, too", () => approve(one, reload), { ...small, "aria-label": `Approve what ${namespace}/${name} asks for now` }),
        state === "pending" && h("span", { class: "row-actions" }, button("Approve", () => approve(one, reload), { ...small, "aria-label": `Approve ${namespace}/${name}` }), button("Reject", () => reject(one, reload), { ...small, "aria-label": `Reject ${namespace}/${name}` })),
      ),
  );
}

export function markBadges(one) {
  return marks(one).map(({ tone, word, title, icon: named }) => badge(tone, word, title, named));
}

function resources(status) {
  const all = resourcesOf(status);
  if (!all.length) return null;
  return section(
    "What is watched",
    { id: "watched" },
    table(
      "What is watched",
      [["Resource"], ["Namespace"], ["State"], ["Objects", "number"], ["Heard"], ["Listed"], ["Problem"]],
      all.map((one) => {
        const { tone, word } = stateOfResource(one);
        return h(
          "tr",
          { "data-key": `${one.resource}/${one.namespace ?? ""}` },
          h("td", { class: "nowrap" }, one.resource),
          h("td", {}, one.namespace ?? h("span", { class: "quiet" }, "all")),
          h("td", {}, badge(tone, word)),
          h("td", { class: "number" }, number(one.objects)),
          h("td", { class: "nowrap" }, when(one.heard_at)),
          h("td", { class: "nowrap" }, when(one.synced_at)),
          h("td", { class: "what" }, one.problem || h("span", { class: "quiet" }, "–")),
        );
      }),
    ),
  );
}

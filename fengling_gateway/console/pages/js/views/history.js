// History: who has changed what, when and why; newest first.

import { get } from "../api.js";
import { h } from "../dom.js";
import { live, onLive } from "../live.js";
import { button, empty, failed, heading, waiting } from "../parts.js";
import { revisionTable } from "../revisions.js";
import { go, say } from "../router.js";

const PAGE = 50;
const PAUSE_MS = 200;
// Who follows the cluster: its pods come and go all the time.
const CLUSTER = "kubernetes";
const KINDS = ["", "route", "service", "instance", "tenant", "setting", "secret", "certificate", "issuer", "client", "api_key", "management_token"];

export function historyPage(page) {
  page.title("History");
  const { text = "", author = "", entity = "", since = "", until = "", kind = "", without = "" } = page.query;
  const wanted = { text, author, entity, since, until, kind, without };
  let items = null;
  let next = null;
  let isShortened = false;
  let error = null;
  let asked = 0;
  let timer = null;
  let chosen = [];

  async function load(before = null) {
    const mine = ++asked;
    try {
      const query = { ...wanted, since: instant(wanted.since), until: instant(wanted.until), limit: PAGE, before };
      const answer = await get("/revisions", query, { signal: page.signal });
      if (mine !== asked) return;
      items = before ? [...items, ...answer.items] : answer.items;
      [next, isShortened, error] = [answer.next, answer.is_shortened, null];
    } catch (problem) {
      if (problem.name === "AbortError" || mine !== asked) return;
      error = problem;
    }
    page.redraw();
  }

  const change = (name) => (event) => {
    wanted[name] = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(() => {
      say(wanted);
      load();
    }, PAUSE_MS);
    page.redraw();
  };

  function choose(id, is) {
    chosen = is ? [...chosen.slice(-1), id].toSorted((a, b) => a - b) : chosen.filter((one) => one !== id);
    page.redraw();
  }

  onLive("revision", () => items && items.length <= PAGE && load(), page.signal);
  page.draw(() => [
    heading(
      "History",
      h("span", { class: "quiet" }, chosen.length < 2 ? "Choose two to compare them" : ""),
      button(chosen.length === 2 ? `Compare ${chosen[0]} and ${chosen[1]}` : "Compare", () => go(`/history/diff?from=${chosen[0]}&to=${chosen[1]}`), { disabled: chosen.length < 2 }),
    ),
    h(
      "div",
      { class: "filters", role: "search" },
      input("text", "In the comment", "search", wanted, change, { "data-shortcut": "search", class: "input search" }),
      input("author", "Author", "text", wanted, change),
      h("select", { class: "input", "aria-label": "Kind of entity", value: wanted.entity.split("/")[0], onchange: change("entity") }, KINDS.map((one) => h("option", { value: one }, one.replaceAll("_", " ") || "any kind"))),
      h("label", { class: "dated" }, "from ", input("since", "From", "date", wanted, change)),
      h("label", { class: "dated" }, "until ", input("until", "Until", "date", wanted, change)),
      hasCluster(items, wanted) && button("Without Kubernetes", () => ((wanted.without = wanted.without ? "" : CLUSTER), say(wanted), load()), { kind: "chip", "aria-pressed": String(Boolean(wanted.without)), title: "Not what follows the cluster: what people did" }),
      button("Health, too", () => ((wanted.kind = wanted.kind ? "" : "all"), say(wanted), load()), { kind: "chip", "aria-pressed": String(Boolean(wanted.kind)) }),
    ),
    error ? failed(error, () => load()) : items ? shown(items, chosen, choose) : waiting(12),
    h(
      "p",
      { class: "turning" },
      next && button("Earlier ones", () => load(next)),
      !next && isShortened && h("span", { class: "quiet" }, "What was before is no longer kept (settings say for how long)."),
    ),
  ]);
  load();
}

// Whether a cluster has written here, as far as is known.
const hasCluster = (items, { without }) => Boolean(without || live.discovery?.enabled || items?.some(({ author }) => author === CLUSTER));

// The API takes instants; a day begins at midnight here.
function instant(day) {
  const date = day && new Date(`${day}T00:00:00`);
  return date && !Number.isNaN(date.getTime()) ? date.toISOString() : "";
}

function input(name, label, type, wanted, change, props = {}) {
  return h("input", { class: "input", type, "aria-label": label, placeholder: label, value: wanted[name], oninput: change(name), autocomplete: "off", ...props });
}

function shown(items, chosen, choose) {
  if (!items.length) return empty("No revision fits.", "Everything that has ever been changed is here, by whatever way: pages, API, files, SQL.");
  return revisionTable(items, {
    extra: ({ id }) => h("input", { type: "checkbox", "aria-label": `Compare revision ${id}`, checked: chosen.includes(id), onchange: (event) => choose(id, event.target.checked) }),
  });
}

// One route: edited, tried, and what has become of it.

import { api, get, pathOf } from "../api.js";
import { h } from "../dom.js";
import { remove } from "../forms/editor.js";
import { routeForm } from "../forms/route.js";
import { isOff } from "../instances.js";
import { onLive } from "../live.js";
import { badge, button, failed, heading, section, waiting } from "../parts.js";
import { entityHistory } from "../past.js";
import { go } from "../router.js";
import { askAndChange } from "../saved.js";
import { isLimited, may, session } from "../session.js";
import { Tryout, samplePath } from "../tryout.js";
import { EntityPage } from "./entity.js";
import { badges } from "./routes.js";

export function routePage(page) {
  const isNew = page.params.id === "new";
  page.title(isNew ? "New route" : page.params.id);
  let services = [];
  const entity = new EntityPage(page, "route", {
    id: isNew ? null : page.params.id,
    fields: { path: "/", ...(page.query.service ? { service_id: page.query.service } : {}), ...(isLimited() ? { tenant_id: session.person.tenants[0] } : {}) },
    form: (editing) => routeForm(editing, { services }),
    saved: (answer) => {
      if (isNew && answer) go(`/routes/${encodeURIComponent(entity.editing.id)}`, { replace: true });
      else reload();
      if (tryout && answer?.entity) tryout.request = sample(answer.entity);
    },
  });
  const past = isNew ? null : entityHistory(page, "routes", page.params.id);
  let tryout = null;

  async function reload() {
    await entity.load();
    past?.load();
  }

  async function start() {
    await reload();
    const { base } = entity.editing ?? {};
    if (base && !isLimited()) tryout = new Tryout(() => page.redraw(), sample(base));
    page.redraw();
    const found = await get("/services", { limit: 1000 }, { signal: page.signal }).catch(() => null);
    services = found?.items.map((one) => one.id) ?? [];
    page.redraw();
  }

  onLive("summary", () => page.redraw(), page.signal);
  page.draw(() => {
    if (entity.error) return unread(page.params.id, entity.error, { start, past });
    if (!entity.editing) return [heading(page.params.id), waiting(10)];
    const { base } = entity.editing;
    return [
      heading(isNew ? "New route" : page.params.id, !isNew && actions(entity, reload)),
      base && h("p", { class: "badges" }, badges(base, isOff("route", page.params.id))),
      base?.rejected && rejected(base.rejected),
      entity.following.draw(),
      entity.draw({ aside: tryout?.draw() }),
      past && section("What has become of it", { id: "past" }, past.draw()),
    ];
  });
  start();
}

// A request that a route takes.
function sample({ methods, hosts, path }) {
  return { method: methods?.[0] ?? "GET", host: (hosts?.[0] ?? "").replace(/^\*\./, "www."), path: samplePath(path) };
}

// One that is gone has a past, and one that can't be read at the moment can be switched off.
function unread(id, error, { start, past }) {
  const isGone = error.code === "not_found";
  return [
    heading(id, !isGone && may("editor") && switching(id, start)),
    failed(error, start),
    isGone && past && section("What has become of it", { id: "past" }, past.draw()),
  ];
}

function switching(id, reload) {
  if (isLimited()) return null;
  const path = pathOf("switches", "route", id);
  return isOff("route", id)
    ? button("Switch on again", () => askAndChange(`Switch route ${id} on?`, "Every worker serves it again within a second.", "Switch on", (comment) => api("DELETE", path, { query: { comment } }), reload), { kind: "primary" })
    : button("Switch off", () => askAndChange(`Switch route ${id} off?`, ["Every worker answers its requests with 503 within a second, whatever the configuration says.", "It stays off until somebody switches it on again."], "Switch it off", (comment) => api("PUT", path, { query: { comment } }), reload), { icon: "off" });
}

function actions(entity, reload) {
  if (!may("editor")) return null;
  const { editing } = entity;
  return [
    switching(editing.id, reload),
    button("Delete", () => remove(editing, "Requests that it takes now go to the next route that fits, or get 404. Undo brings it back.", () => ((entity.isDone = true), editing.begin(editing.base), go("/routes"))), { kind: "danger" }),
  ];
}

export function rejected({ serving, problems }) {
  return h(
    "div",
    { class: "failed", role: "alert" },
    h("p", {}, badge("bad", "rejected"), " What is written is not served. ", serving === "nothing" ? "Nothing of it is." : "The version before it is."),
    h("ul", {}, (problems ?? []).map((one) => h("li", {}, one.path && h("code", {}, `${one.path} `), one.message))),
  );
}

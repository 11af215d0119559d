// One service: its instances, the routes that lead to it, and its settings.

import { get } from "../api.js";
import { h } from "../dom.js";
import { remove } from "../forms/editor.js";
import { serviceForm } from "../forms/service.js";
import { editInstance, instanceTable, readHealth } from "../instances.js";
import { onLive } from "../live.js";
import { button, empty, failed, heading, section, waiting } from "../parts.js";
import { entityHistory } from "../past.js";
import { go } from "../router.js";
import { may } from "../session.js";
import { number } from "../text/format.js";
import { EntityPage } from "./entity.js";
import { rejected } from "./route.js";
import { routeTable } from "./routes.js";

const ROUTES = 20;

export function servicePage(page) {
  const { id } = page.params;
  const isNew = id === "new";
  page.title(isNew ? "New service" : id);
  let [instances, health, routes] = [null, {}, null];
  const past = isNew ? null : entityHistory(page, "services", id);
  const entity = new EntityPage(page, "service", {
    id: isNew ? null : id,
    form: (editing) => serviceForm(editing),
    saved: (answer) => {
      if (isNew && answer) go(`/services/${encodeURIComponent(entity.editing.id)}`, { replace: true });
      else reload();
    },
  });

  async function around() {
    if (isNew) return;
    const options = { signal: page.signal };
    try {
      const [ofIt, toIt] = await Promise.all([get("/instances", { service: id, limit: 1000 }, options), get("/routes", { service: id, limit: ROUTES }, options)]);
      [instances, routes] = [ofIt, toIt];
      health = await readHealth(page.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      entity.error ??= error;
    }
    page.redraw();
  }

  async function reload() {
    await Promise.all([entity.load(), around(), past?.load()]);
    page.redraw();
  }

  onLive("revision", around, page.signal);
  onLive("summary", () => page.redraw(), page.signal);
  page.draw(() => {
    if (entity.error) return [heading(id), failed(entity.error, reload)];
    if (!entity.editing) return [heading(id), waiting(10)];
    const { base } = entity.editing;
    return [
      heading(isNew ? "New service" : id, !isNew && may("editor") && button("Delete", () => removal(entity, routes), { kind: "danger" })),
      base?.name && h("p", { class: "quiet" }, base.name),
      base?.rejected && rejected(base.rejected),
      entity.following.draw(),
      !isNew && instanceSection(instances, health, id, reload),
      !isNew && routeSection(routes, id),
      section(isNew ? "What it is" : "Settings", { id: "settings" }, entity.draw()),
      past && section("What has become of it", { id: "past" }, past.draw()),
    ];
  });
  reload();
}

function instanceSection(instances, health, id, reload) {
  const add = may("editor") && button("New instance", () => editInstance(null, id, reload), { icon: "plus", kind: "small", "data-shortcut": "new" });
  const none = empty("It has no instances.", "Requests to it are answered with 503 until it has one.", may("editor") && button("New instance", () => editInstance(null, id, reload), { kind: "primary" }));
  return section("Instances", { id: "instances", actions: add }, !instances ? waiting(4) : instances.items.length ? instanceTable(instances.items, { health, reload, edit: (one) => editInstance(one, id, reload) }) : none);
}

function routeSection(routes, id) {
  if (!routes) return section("Routes to it", { id: "routes" }, waiting(3));
  const all = routes.total > ROUTES && h("a", { href: `/routes?service=${encodeURIComponent(id)}` }, `All ${number(routes.total)}`);
  const none = empty("No route leads to it.", "", may("editor") && h("a", { class: "button", href: `/routes/new?service=${encodeURIComponent(id)}` }, "New route"));
  return section("Routes to it", { id: "routes", actions: all }, routes.items.length ? routeTable(routes.items) : none);
}

function removal(entity, routes) {
  const text = routes?.total ? `${number(routes.total)} of the routes lead to it, so the database will refuse that; delete or change those first.` : "It is not used by any route. Its instances have to go first. Undo brings it back.";
  remove(entity.editing, text, () => {
    entity.isDone = true;
    entity.editing.begin(entity.editing.base);
    go("/services");
  });
}

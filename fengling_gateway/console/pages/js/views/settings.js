// Settings: what holds for everything, tenants, and for how long history is kept.

import { Problem, api, get } from "../api.js";
import { dialog } from "../dialog.js";
import { h, render } from "../dom.js";
import { editor, remove } from "../forms/editor.js";
import { Editing } from "../forms/editing.js";
import { checkField, group, jsonField, textField, wordsField } from "../forms/fields.js";
import { policyFields } from "../forms/policies.js";
import { idField, ownership } from "../forms/route.js";
import { onLive } from "../live.js";
import { notice } from "../notices.js";
import { badge, button, empty, failed, heading, section, table, waiting } from "../parts.js";
import { may } from "../session.js";
import { list } from "../text/format.js";
import { yaml } from "../text/yaml.js";

const SETTINGS = {
  defaults: ["Policies for all routes that don't say otherwise", {}],
  trusted_proxies: ["Networks whose X-Forwarded-* headers are believed", []],
  identity_headers: ["The headers that tell instances who was verified", {}],
  hold: ["When a revision that removes routes has to be confirmed", { max_removed_share: 0.5 }],
};

export function settingsPage(page) {
  page.title("Settings");
  let [settings, tenants, retention, error] = [null, null, null, null];

  async function load() {
    const options = { signal: page.signal };
    try {
      [settings, tenants, retention] = await Promise.all([get("/settings", { limit: 100 }, options), get("/tenants", { limit: 100 }, options), get("/retention", undefined, options)]);
      error = null;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error = problem;
    }
    page.redraw();
  }

  onLive("revision", load, page.signal);
  page.draw(() => [
    heading("Settings"),
    error && failed(error, load),
    !error && !settings && waiting(8),
    settings && section("For everything", { id: "everything" }, settingTable(settings.items, load)),
    tenants && section("Tenants", { id: "tenants", actions: may("editor") && button("New tenant", () => edit("tenant", null, load), { kind: "small", icon: "plus" }) }, tenantTable(tenants.items, load)),
    retention && section("History is kept", { id: "retention" }, keeping(retention, load)),
    section("The whole configuration", { id: "export", note: "as YAML that `fenglingctl apply` takes; without secrets" }, h("p", {}, h("a", { class: "button", href: "/api/console/export", download: "fengling.yaml" }, "Download"))),
  ]);
  load();
}

function settingTable(items, load) {
  return table(
    "Settings",
    [["Setting"], ["What it is"], ["Value"], ["", "end"]],
    Object.entries(SETTINGS).map(([key, [text]]) => {
      const one = items.find((item) => item.key === key);
      return h(
        "tr",
        { "data-key": key },
        h("td", { class: "code" }, key),
        h("td", {}, text),
        h("td", {}, one ? h("pre", { class: "value" }, yaml(one.value).trimEnd()) : h("span", { class: "quiet" }, "as by default"), one?.rejected && badge("bad", "rejected")),
        h("td", { class: "end" }, may("admin") && button(one ? "Change" : "Set", () => edit("setting", one ?? null, load, key), { kind: "small", "aria-label": `${one ? "Change" : "Set"} ${key}` })),
      );
    }),
  );
}

function tenantTable(items, load) {
  if (!items.length) return empty("There are no tenants.", "All requests are everybody's. A tenant is a customer with hosts or a path of its own.");
  return table(
    "Tenants",
    [["Tenant"], ["Name"], ["Hosts"], ["Path"], ["State"]],
    items.map((one) =>
      h(
        "tr",
        { "data-key": one.id },
        h("td", {}, may("editor") ? h("button", { type: "button", class: "as-link", onclick: () => edit("tenant", one, load) }, one.id) : one.id),
        h("td", {}, one.name),
        h("td", {}, one.hosts?.length ? list(one.hosts) : h("span", { class: "quiet" }, "none")),
        h("td", { class: "code" }, one.path_prefix ?? ""),
        h("td", {}, one.enabled === false ? badge("off", "disabled") : badge("plain", "enabled"), one.rejected && badge("bad", "rejected")),
      ),
    ),
  );
}

const FORMS = {
  setting: (editing) => [settingFields(editing), ownership(editing)],
  tenant: (editing) => [
    group(
      "Tenant",
      editing.isNew && idField(editing),
      textField(editing, ["name"], "Name", { none: "" }),
      wordsField(editing, ["hosts"], "Hosts", { hint: "Whose requests are its." }),
      textField(editing, ["path_prefix"], "Path", { placeholder: "/acme", hint: "Below which all requests are its." }),
      checkField(editing, ["enabled"], "Enabled"),
    ),
    ownership(editing),
  ],
};

function settingFields(editing) {
  if (editing.id === "defaults") return h("section", { class: "part", "aria-label": "Policies" }, policyFields(editing, ["value"]));
  if (editing.id === "trusted_proxies") return group("Networks", wordsField(editing, ["value"], "Networks", { placeholder: "10.0.0.0/8", wide: true }));
  return group("Value", jsonField(editing, ["value"], "Value"));
}

// Edit a setting or a tenant in a dialog.
function edit(kind, entity, load, key = "") {
  const title = kind === "setting" ? key : entity ? `Tenant ${entity.id}` : "New tenant";
  let editing = null;
  return dialog(
    title,
    (close) => {
      const box = h("div", { class: "dialog-editor" });
      let tab = "Form";
      const draw = () =>
        render(
          box,
          kind === "setting" && h("p", { class: "quiet" }, SETTINGS[key][0]),
          editor(editing, {
            tab,
            setTab: (name) => ((tab = name), draw()),
            form: () => FORMS[kind](editing),
            saved: (answer) => {
              load();
              if (answer) close(answer);
            },
          }),
          h("p", { class: "actions" }, entity && button(kind === "setting" ? "Back to the default" : "Delete", () => remove(editing, kind === "setting" ? "It is as by default then." : "Its hosts are everybody's then.", () => (load(), close(null))), { kind: "danger" }), button("Close", () => close(null))),
        );
      const fields = kind === "setting" ? { value: SETTINGS[key][1] } : {};
      editing = new Editing(kind, entity, { id: key, fields, changed: () => queueMicrotask(draw) });
      draw();
      return box;
    },
    { kind: "wide", loses: () => editing.question },
  );
}

function keeping(retention, load) {
  const wanted = { keep: retention.keep ?? "", keep_health: retention.keep_health ?? "" };
  const input = (name, label) => h("div", { class: "field" }, h("label", { for: name }, label), h("input", { id: name, class: "input", placeholder: "for good", disabled: !may("admin"), value: wanted[name], onchange: (event) => (wanted[name] = event.target.value.trim()) }));
  const save = async () => {
    try {
      await api("PUT", "/retention", { body: { keep: wanted.keep || null, keep_health: wanted.keep_health || null } });
      notice("good", "It is kept for that long.");
      load();
    } catch (error) {
      notice("bad", error instanceof Problem ? error.message : String(error));
    }
  };
  return h("div", { class: "fields" }, input("keep", "Changes of the configuration"), input("keep_health", "Changes of health"), may("admin") && h("p", { class: "actions" }, button("Save", save)));
}

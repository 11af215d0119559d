// Instances with their health, and what can be done with each.

import { api, get, pathOf, post } from "./api.js";
import { dialog } from "./dialog.js";
import { h, render } from "./dom.js";
import { instanceFollows } from "./following.js";
import { editor, remove } from "./forms/editor.js";
import { Editing } from "./forms/editing.js";
import { instanceForm } from "./forms/service.js";
import { live } from "./live.js";
import { notice } from "./notices.js";
import { badge, button, table, when } from "./parts.js";
import { askAndChange } from "./saved.js";
import { may } from "./session.js";
import { milliseconds, span } from "./text/format.js";

const TONES = { healthy: "good", unhealthy: "bad", unknown: "unknown" };

export function healthBadge({ health } = {}) {
  const word = health?.health ?? "unknown";
  return badge(TONES[word] ?? "unknown", word, health?.reason ?? (word === "unknown" ? "Nobody has probed it" : undefined));
}

export function isOff(kind, id) {
  return live.summary?.switches?.includes(`${kind}/${id}`) ?? false;
}

// What is known of health beside verdicts: by instance, of GET /health.
export async function readHealth(signal) {
  const found = await get("/health", undefined, { signal, unattended: true }).catch(() => null);
  return found?.instances ?? {};
}

export function instanceTable(instances, { health = {}, reload, edit }) {
  return table(
    "Instances",
    [["Instance"], ["Address"], ["Health"], ["Why"], ["Since"], ["State"], ...(may("editor") ? [["", "end"]] : [])],
    instances.map((one) => row(one, health[one.id], { reload, edit })),
  );
}

function row(instance, probes, { reload, edit }) {
  const off = isOff("instance", instance.id);
  return h(
    "tr",
    { "data-key": instance.id },
    h("td", { class: "nowrap" }, edit ? h("button", { type: "button", class: "as-link", onclick: () => edit(instance) }, instance.id) : instance.id),
    h("td", { class: "nowrap" }, h("span", { class: "code" }, instance.address), instance.weight !== 1 && h("span", { class: "quiet" }, ` weight ${instance.weight}`)),
    h("td", {}, healthBadge(instance)),
    h("td", { class: "why" }, why(instance, probes)),
    h("td", { class: "nowrap" }, probes?.since ? when(probes.since) : h("span", { class: "quiet" }, "–")),
    h("td", {}, h("span", { class: "badges" }, instance.state === "ready" ? badge("plain", "ready") : badge("drain", instance.state), off && badge("off", "switched off"), instance.rejected && badge("bad", "rejected"))),
    may("editor") && h("td", { class: "end" }, h("span", { class: "row-actions" }, actions(instance, off, reload))),
  );
}

// Why it is as it is: the verdict's reason, what the last probe saw, or why there is none.
function why({ health }, probes) {
  const { last_probe: last, not_probed: not, held_down_s: held } = probes ?? {};
  const seen = last && `${last.seen}${last.ms === null ? "" : `, ${milliseconds(last.ms)}`}`;
  const known = health?.health === "unhealthy" ? (health.reason ?? seen) : seen;
  return [known ?? h("span", { class: "quiet" }, not ?? health?.reason ?? "–"), held && h("span", { class: "quiet" }, ` (it flaps: held down for ${span(held)})`)];
}

function actions(instance, off, reload) {
  const { id, state } = instance;
  const small = { kind: "small" };
  return [
    state === "ready"
      ? button("Drain", () => put(instance, "drain", `Drain ${id}?`, "What is under way ends; nothing new is sent to it.", reload), small)
      : button("Ready", () => put(instance, "ready", `Send requests to ${id} again?`, "It gets its share at once.", reload), small),
    state === "ready" && button("Maintenance", () => put(instance, "maintenance", `Put ${id} into maintenance?`, "Nothing new is sent to it, and it is not probed.", reload), small),
    off
      ? button("Switch on", () => askAndChange(`Switch ${id} on?`, "It gets requests again within a second.", "Switch on", (comment) => api("DELETE", pathOf("switches", "instance", id), { query: { comment } }), reload), small)
      : button("Switch off", () => askAndChange(`Switch ${id} off?`, ["No worker sends it anything from now on, whatever the configuration says.", "It stays off until somebody switches it on again."], "Switch it off", (comment) => api("PUT", pathOf("switches", "instance", id), { query: { comment } }), reload), small),
    button("Probe", () => probe(id, reload), small),
  ];
}

function put(instance, state, title, text, reload) {
  return askAndChange(
    title,
    text,
    { drain: "Drain it", ready: "Make it ready", maintenance: "Put it into maintenance" }[state],
    (comment) => api("PATCH", pathOf("instances", instance.id), { body: { state }, patch: true, version: instance.version, query: { wait: "all", comment } }),
    reload,
  );
}

async function probe(id, reload) {
  try {
    const { outcome, seen, ms, counts } = await post(`${pathOf("instances", id)}/probe`);
    const took = ms === null ? "" : ` (${milliseconds(ms)})`;
    const words = { passed: "passes", failed: "fails", not_probed: "is not probed" };
    notice(outcome === "passed" ? "good" : "warn", `${id} ${words[outcome]}: ${seen}${took}${counts || outcome === "not_probed" ? "" : "; another console probes, so this does not count"}`);
  } catch (error) {
    notice("bad", error.message);
  }
  reload();
}

// Edit an instance, or make one, in a dialog.
export function editInstance(instance, serviceId, reload) {
  let editing = null;
  return dialog(
    instance ? `Instance ${instance.id}` : `New instance of ${serviceId}`,
    (close) => {
      const box = h("div", { class: "dialog-editor" });
      let tab = "Form";
      const draw = () =>
        render(
          box,
          instance && instanceFollows(instance),
          editor(editing, {
            tab,
            setTab: (name) => ((tab = name), draw()),
            form: () => instanceForm(editing),
            saved: (answer) => {
              reload();
              if (answer) close(answer);
            },
          }),
          h(
            "p",
            { class: "actions" },
            instance && may("editor") && button("Delete", () => remove(editing, "Nothing is sent to it any more. Undo brings it back.", () => (reload(), close(null))), { kind: "danger" }),
            button("Close", () => close(null)),
          ),
        );
      editing = new Editing("instance", instance, { fields: { service_id: serviceId }, changed: () => queueMicrotask(draw) });
      draw();
      return box;
    },
    { kind: "wide", loses: () => editing.question },
  );
}


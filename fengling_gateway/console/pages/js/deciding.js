// Deciding about a service of the cluster: questions first, and what came of it afterwards.

import { api, get, pathOf } from "./api.js";
import { diff } from "./changes.js";
import { ask, dialog } from "./dialog.js";
import { h, render } from "./dom.js";
import { refreshDiscovery } from "./live.js";
import { notice } from "./notices.js";
import { button, failed } from "./parts.js";
import { go } from "./router.js";
import { number, plural } from "./text/format.js";
import { annotationsText, approval, asksForMore, outcomeOf, placeOfDiscovered, wished } from "./text/discovery.js";

const pathTo = ({ namespace, name }, ...rest) => pathOf("kubernetes", "services", namespace, name, ...rest);
export const named = ({ namespace, name }) => `${namespace}/${name}`;

// How long is waited for what comes of it; then it is said that it is under way.
const PATIENCE = "5s";

// Routes that are named when they are to be removed.
const MOST_NAMED = 10;

// Each field of the question: what the API calls it, its label, what it is without an answer (as the
// cluster says it), and the box that says in place of that: none of these.
const FIELDS = [
  ["hosts", "Hosts", ({ hosts }) => hosts?.trim() || "any", ["isAnyHost", "Any host"]],
  ["path", "Path", ({ path }) => path?.trim() || "/{**rest}"],
  ["tenant", "Tenant", ({ tenant }) => tenant?.trim() || "every tenant", ["isNobodys", "No tenant: for requests of every tenant"]],
  ["comment", "Why", () => "for the history"],
];
const NAMES = { tenant: "tenant_id" };

// Ask with which hosts, path and tenant; nothing said is as the cluster says. `done` is called afterwards.
export function approve(one, done) {
  const wanted = { ...wished(one.asked), comment: "" };
  const before = { ...wanted };
  let [error, isSending, tenants] = [null, false, []];
  return dialog(
    `Approve ${named(one)}?`,
    (close) => {
      const box = h("div", { class: "dialog-editor" });
      const draw = () => render(box, question(one, { wanted, error, isSending, tenants, draw, send, cancel: () => close(null) }));
      async function send(event) {
        event.preventDefault();
        if (isSending) return;
        [isSending, error] = [true, null];
        draw();
        try {
          tell(await decided(one, "approve", approval(wanted, one.offer?.annotations)));
          close(true);
          done();
        } catch (problem) {
          [isSending, error] = [false, problem];
          draw();
        }
      }
      draw();
      get("/tenants", { limit: 1000 }, { unattended: true })
        .then(({ items }) => ((tenants = items.map(({ id }) => id)), draw()))
        .catch(() => {}); // then they are typed
      return box;
    },
    { loses: () => (Object.keys(before).some((name) => wanted[name] !== before[name]) && !isSending ? "What you have typed is lost. Close it all the same?" : null) },
  );
}

function question(one, { wanted, error, isSending, tenants, draw, send, cancel }) {
  const offer = one.offer ?? {};
  const told = new Set(error?.problems?.filter((each) => fieldOf(each)) ?? []);
  const left = error && (told.size === 0 || error.problems.length > told.size);
  return h(
    "form",
    { onsubmit: send, novalidate: true },
    h("p", {}, one.state === "approved" ? "What was asked for before is replaced." : "Its service, its instances and its route are made, and follow the cluster from then on."),
    asksForMore(one) && one.approved && [h("p", {}, "What it asks for since it was approved:"), diff(annotationsText(one.approved), annotationsText(offer.annotations))],
    left && failed({ message: error.message, problems: error.problems?.filter((each) => !told.has(each)) }),
    FIELDS.map(([name, label, usual, none]) => field(name, label, usual(offer.annotations ?? {}), { wanted, none, draw, problems: [...told].filter((each) => fieldOf(each) === name) })),
    h("datalist", { id: "approve-tenants" }, tenants.map((id) => h("option", { value: id }))),
    h("p", { class: "hint" }, "What is left empty is as the cluster says it; a box that is ticked counts whatever it says."),
    h("p", { class: "actions" }, h("button", { type: "submit", class: "button primary", disabled: isSending }, isSending ? "Approving…" : "Approve it"), button("Cancel", cancel)),
  );
}

const fieldOf = ({ path = "" }) => FIELDS.map(([name]) => name).find((name) => path.split(/[.[]/).includes(NAMES[name] ?? name));

function field(name, label, usual, { wanted, none, draw, problems }) {
  const id = `approve-${name}`;
  const isWrong = problems.length > 0;
  const isNone = none ? wanted[none[0]] : false;
  return h(
    "div",
    { class: `field ${isWrong ? "wrong" : ""}` },
    h("label", { for: id }, label),
    h("input", { id, class: "input", placeholder: isNone ? "" : usual, disabled: isNone, autocomplete: "off", spellcheck: "false", maxlength: "1000", list: name === "tenant" ? "approve-tenants" : null, "aria-invalid": isWrong && "true", "aria-describedby": isWrong ? `${id}-problem` : null, value: isNone ? "" : wanted[name], oninput: (event) => (wanted[name] = event.target.value) }),
    none && box(`${id}-none`, none, { wanted, draw }),
    isWrong && h("p", { class: "problem", id: `${id}-problem` }, problems.map((each) => h("span", {}, each.message))),
  );
}

function box(id, [name, text], { wanted, draw }) {
  const ticked = (event) => {
    wanted[name] = event.target.checked;
    draw();
  };
  return h("p", { class: "field check" }, h("input", { type: "checkbox", id, checked: wanted[name], onchange: ticked }), h("label", { for: id }, text));
}

export async function reject(one, done) {
  const isServed = one.state === "approved";
  const text = isServed ? "What was made of it is removed: its route, its instances and its service. Their requests go to the next route that fits, or get 404." : "Nothing is made of it, until somebody approves it after all.";
  const answer = await ask(`Reject ${named(one)}?`, text, { yes: "Reject it", comment: true });
  if (answer) await attempt(async () => tell(await decided(one, "reject", approval(answer), isServed)), done);
}

// `done` is told whether it is still there: then it is pending again.
export async function forget(one, done) {
  const text = [one.state === "approved" && "What was made of it is removed: its route, its instances and its service.", one.gone_at ? "Nothing is kept of it." : "It is pending again, as if it had just been seen."].filter(Boolean);
  if (!(await ask(`Forget what was decided about ${named(one)}?`, text, { yes: "Forget it" }))) return;
  await attempt(async () => {
    const left = await api("DELETE", pathTo(one));
    notice("good", `What was decided about ${named(one)} is forgotten.`);
    refreshDiscovery();
    return left !== null;
  }, done);
}

// Let routes go that the cluster has no more; `removal` is what the status shows of them.
export async function confirmRemoval({ id, routes, names }) {
  const named = names.slice(0, MOST_NAMED).join(", ") + (routes > MOST_NAMED ? ` and ${number(routes - MOST_NAMED)} more` : "");
  const text = [`${named}: what requests them gets 404, or the next route that fits.`, "Where the cluster has lost its objects by mistake, leave it be: they are kept, and are as before when they are back."];
  if (!(await ask(`Remove ${plural(routes, "route")}?`, text, { yes: "Remove them" }))) return;
  await attempt(async () => {
    const told = await api("POST", pathOf("kubernetes", "confirm"), { body: { removal: id }, query: { wait: "result", timeout: PATIENCE } });
    const said = {
      gone: `${plural(routes, "route")} ${routes === 1 ? "is" : "are"} removed.`,
      waiting: "It is confirmed. The console that watches the cluster has not removed them yet.",
      unknown: "It is confirmed, but something else waits by now, or another console watches the cluster, which asks anew.",
    };
    const { state } = told.confirmed;
    notice(state === "gone" ? "good" : "warn", said[state]);
  }, refreshDiscovery);
}

async function attempt(act, done) {
  try {
    done(await act());
  } catch (error) {
    notice("bad", error.message);
  }
}

// Returns the row, with what came of the decision if somebody tells it in time.
export async function decided(one, verb, body, waits = true) {
  try {
    return await api("POST", pathTo(one, verb), { body, query: waits ? { wait: "result", timeout: PATIENCE } : {} });
  } finally {
    refreshDiscovery();
  }
}

const tell = (row) => notice(...came(row));

// Returns what came of a decision: its tone, in words (shop/orders is served · revision 8), and where to look.
export function came(row) {
  const { state } = row;
  const result = outcomeOf(row);
  const look = [["Look at it", () => go(placeOfDiscovered(row))]];
  if (state !== "approved") return ["good", `${named(row)} is ${state}.`];
  if (!result) return ["warn", `${named(row)} is approved. What comes of it is not known yet: it is done by the console that watches the cluster.`, look];
  if (result.state !== "served") return ["bad", `${named(row)} is approved, but ${result.state}: ${result.problems?.join("; ") || "see what is said of it"}`, look];
  return ["good", `${named(row)} is served${result.revision ? ` · revision ${result.revision}` : ""}`, [["See its service", () => go(`/services/${encodeURIComponent(result.service_id)}`)]]];
}

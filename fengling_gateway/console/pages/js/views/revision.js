// One revision: what it has changed, and ways back.

import { api, get, post } from "../api.js";
import { changeList } from "../changes.js";
import { ask, dialog } from "../dialog.js";
import { h } from "../dom.js";
import { live, onLive } from "../live.js";
import { notice } from "../notices.js";
import { badge, button, failed, heading, linkButton, section, waiting, when } from "../parts.js";
import { author, stateBadge } from "../revisions.js";
import { go } from "../router.js";
import { change } from "../saved.js";
import { may } from "../session.js";
import { clock, number, plural } from "../text/format.js";

export function revisionPage(page) {
  const { id } = page.params;
  page.title(`Revision ${id}`);
  let revision = null;
  let error = null;

  async function load() {
    try {
      revision = await get(`/revisions/${encodeURIComponent(id)}`, undefined, { signal: page.signal });
      error = null;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error = problem;
    }
    page.redraw();
  }

  onLive(["revision", "summary"], (_, part) => (part === "revision" ? load() : page.redraw()), page.signal);
  page.draw(() => {
    if (error) return [heading(`Revision ${id}`), failed(error, load)];
    if (!revision) return [heading(`Revision ${id}`), waiting(8)];
    return [
      heading(`Revision ${id}`, actions(revision, load)),
      facts(revision),
      section("What it has changed", { id: "changes", note: counted(revision) }, revision.changes.length ? changeList(revision.changes) : h("p", { class: "quiet" }, "The log no longer tells.")),
      h("nav", { class: "turning", "aria-label": "Other revisions" }, linkButton("Before", `/history/${Number(id) - 1}`, { icon: "left" }), Number(id) < (live.summary?.position?.revision ?? 0) && linkButton("After", `/history/${Number(id) + 1}`, { icon: "right" })),
    ];
  });
  load();
}

function counted({ changes, change_count: count }) {
  return count > changes.length ? `the first ${number(changes.length)} of ${number(count)}` : number(count);
}

function facts(revision) {
  const rows = [
    ["Who", author(revision)],
    ["Why", revision.comment],
    ["When", [when(revision.committed_at), " ", h("span", { class: "quiet" }, clock(revision.committed_at))]],
    ["Database user", revision.db_user],
    ["From", [revision.application, revision.client_addr].filter(Boolean).join(", ")],
    ["State", [stateBadge(revision.state) ?? "served", revision.confirmed_by && ` by ${revision.confirmed_by}`]],
  ];
  return h("dl", { class: "pairs" }, rows.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function actions(revision, load) {
  const { id, state } = revision;
  const newest = live.summary?.position?.revision;
  return [
    state === "held" && may("editor") && button("Confirm", () => confirmHeld(revision, load), { kind: "primary" }),
    newest !== undefined && id < newest && linkButton("Compare with now", `/history/diff?from=${id}&to=${newest}`),
    may("admin") && revision.kind === "config" && button("Undo it", () => planned(`Undo revision ${id}?`, "The opposite of what it has changed becomes a revision of its own; what has been changed since stays.", `/revisions/${id}/undo`)),
    may("admin") && newest !== undefined && id < newest && button("Roll back to it", () => planned(`Roll back to revision ${id}?`, "Everything becomes as it was then, as a revision of its own: whatever has been changed since is taken back.", "/rollback", { to: id })),
  ];
}

async function confirmHeld({ id }, load) {
  const agreed = await ask(`Serve revision ${id} after all?`, ["It removes so much that it was held. Once it is confirmed, all gateways serve it, and what comes after it."], { yes: "Serve it" });
  if (!agreed) return;
  try {
    await post(`/revisions/${id}/confirm`);
    notice("good", `Revision ${id} is confirmed.`);
  } catch (error) {
    notice("bad", error.message);
  }
  load();
}

// Show the plan of a way back first; then ask.
export async function planned(title, text, path, body) {
  let plan;
  try {
    plan = await api("POST", path, { body, query: { dry_run: true } });
  } catch (error) {
    notice("bad", error.problems?.length ? `${error.message} ${error.problems.map((one) => `${one.entity} ${one.message}`).join("; ")}` : error.message);
    return;
  }
  const comment = h("input", { id: "rollback-why", class: "input", maxlength: "500", placeholder: "for the history" });
  const agreed = await dialog(
    title,
    (close) => [
      h("p", {}, text),
      notes(plan),
      plan.changes.length ? h("div", { class: "plan" }, changeList(plan.changes, { links: false })) : h("p", {}, badge("plain", "nothing changes"), " All is as it was already."),
      plan.changes.length > 0 && h("p", { class: "field" }, h("label", { for: "rollback-why" }, "Why"), comment),
      h("p", { class: "actions" }, plan.changes.length > 0 && button(`Do it: ${number(plan.changes.length)} ${plan.changes.length === 1 ? "change" : "changes"}`, () => close(true), { kind: "danger" }), button("Cancel", () => close(null))),
    ],
    { kind: "wide" },
  );
  if (!agreed) return;
  await change(
    () => api("POST", path, { body, query: { wait: "all", comment: comment.value.trim() } }),
    (answer) => answer?.revision && go(`/history/${answer.revision}`),
  );
}

// What can't come back, and what is odd about it.
function notes({ left, dropped, warnings }) {
  const lines = [
    ...(left ?? []).map((one) => [one.entity, one.message]),
    ...(dropped ?? []).map(({ author: who, revisions: count }) => [who, `has made ${plural(count, "revision")} since then, which it takes back`]),
    ...(warnings ?? []).map((one) => [one.route ?? one.instance ?? "", one.message]),
  ];
  return lines.length > 0 && h("ul", {}, lines.map(([what, message]) => h("li", {}, badge("warn", "note"), " ", h("b", {}, what), " ", message)));
}

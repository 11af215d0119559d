// What is said once something is saved: which revision, who serves it, how to take it back.

import { Problem, api } from "./api.js";
import { ask } from "./dialog.js";
import { notice } from "./notices.js";
import { go } from "./router.js";
import { may } from "./session.js";
import { milliseconds } from "./text/format.js";

// Revision 8 · 2/2 workers · 6 ms · Undo
export function tellSaved(answer, done = () => {}) {
  const { revision, held, convergence, off } = answer;
  if (off !== undefined) {
    notice("good", `${answer.kind} ${answer.id} is switched ${off ? "off" : "on"}.`);
    return;
  }
  if (!revision) {
    notice("good", "Nothing changes: it is so already.");
    return;
  }
  const actions = may("admin") ? [["Undo", () => undo(revision, done)]] : [];
  if (held) {
    notice("bad", `Revision ${revision} is held: ${held}. Until somebody confirms it, what was before is served.`, [["Look at it", () => go(`/history/${revision}`)], ...actions]);
    return;
  }
  const parts = [`Revision ${revision}`];
  if (convergence?.complete) parts.push(`${convergence.served}/${convergence.workers} workers`);
  if (convergence?.complete && convergence.took_ms) parts.push(milliseconds(convergence.took_ms));
  notice("good", parts.join(" · "), actions);
}

// Whether an error says that it is saved, and not served by all yet; then that is told.
export function tellLate(error, done) {
  if (!(error instanceof Problem) || error.code !== "not_converged") return false;
  const { revision, convergence } = error.document;
  const who = convergence?.complete ? `${convergence.served} of ${convergence.workers} workers serve it: not ${convergence.behind.join(", ")}` : (convergence?.reason ?? "");
  const actions = may("admin") ? [["Undo", () => undo(revision, done)]] : [];
  notice("warn", `Revision ${revision} is saved. ${who}.`, [["See the fleet", () => go("/fleet")], ...actions]);
  return true;
}

async function undo(revision, done) {
  await change(() => api("POST", `/revisions/${revision}/undo`, { query: { wait: "all" } }), done);
}

// Change something that needs no form: it is told what came of it. Returns whether it is done.
export async function change(act, done = () => {}) {
  try {
    const answer = await act();
    tellSaved(answer, done);
    await done(answer);
    return true;
  } catch (error) {
    if (tellLate(error, done)) {
      await done(error.document);
      return true;
    }
    const about = error.problems?.length ? `: ${error.problems.map((one) => `${one.entity} ${one.path} ${one.message}`).join("; ")}` : "";
    notice("bad", `${error.message}${about}`);
    return false;
  }
}

// Ask, then change.
export async function askAndChange(title, text, yes, act, done) {
  const answer = await ask(title, text, { yes, comment: true });
  if (answer) await change(() => act(answer.comment), done);
}

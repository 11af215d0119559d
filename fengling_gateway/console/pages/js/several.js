// Deciding about several services of the cluster at once: one question, and what came of each told by itself.

import { came, decided, named } from "./deciding.js";
import { dialog } from "./dialog.js";
import { h, render } from "./dom.js";
import { notice } from "./notices.js";
import { badge, button } from "./parts.js";
import { annotationsText, approval, taken } from "./text/discovery.js";
import { plural } from "./text/format.js";

// Requests under way at once: a browser has six connections, and pages need some.
const AT_ONCE = 3;

const WORDS = {
  approve: { title: "Approve", yes: "Approve them", now: "Approving…", kind: "primary", text: "Their services, instances and routes are made, as each asks for, and follow the cluster from then on." },
  reject: { title: "Reject", yes: "Reject them", now: "Rejecting…", kind: "danger", text: "Nothing is made of them, until somebody approves them after all." },
};

// Ask once, decide of each as it was shown, and say what came of it.
export function decideSeveral(verb, all) {
  const word = WORDS[verb];
  const wanted = { comment: "" };
  const told = new Map();
  let isSending = false;
  return dialog(
    `${word.title} ${plural(all.length, "service")}?`,
    (close) => {
      const box = h("div", { class: "dialog-editor" });
      const isOver = () => told.size === all.length;
      const draw = () => render(box, question(all, { word, wanted, told, isSending, isOver: isOver(), send, close }));
      async function send(event) {
        event.preventDefault();
        if (isSending) return;
        isSending = true;
        draw();
        const left = [...all];
        const next = async () => {
          for (let one = left.shift(); one; one = left.shift()) {
            const said = await outcome(verb, one, wanted);
            told.set(one, said);
            if (box.isConnected) draw();
            else notice(said.tone, said.text); // somebody has closed it meanwhile
          }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, next));
        isSending = false;
        draw();
      }
      draw();
      return box;
    },
    { kind: "wide", loses: () => (isSending ? "Not all is decided yet; it goes on. Close it all the same?" : null) },
  );
}

// (A refusal of one is no reason to stop: of the others it is said, too.)
async function outcome(verb, one, wanted) {
  try {
    const shown = verb === "approve" ? one.offer?.annotations : null;
    const [tone, text] = came(await decided(one, verb, approval(wanted, shown), verb === "approve"));
    return { tone, text };
  } catch (error) {
    return { tone: "bad", text: error.message };
  }
}

function question(all, { word, wanted, told, isSending, isOver, send, close }) {
  const hasBegun = isSending || isOver;
  return h(
    "form",
    { onsubmit: send, novalidate: true },
    h("p", {}, word.text),
    h("ul", { class: "several", "aria-label": "Services", "aria-live": "polite" }, all.map((one) => line(one, told.get(one)))),
    !hasBegun && h("p", { class: "field" }, h("label", { for: "several-why" }, "Why"), h("input", { id: "several-why", class: "input", maxlength: "500", placeholder: "for the history", value: wanted.comment, oninput: (event) => (wanted.comment = event.target.value) })),
    h(
      "p",
      { class: "actions" },
      !isOver && h("button", { type: "submit", class: `button ${word.kind}`, disabled: isSending }, isSending ? word.now : word.yes),
      button(isOver ? "Close" : hasBegun ? "Close, and let it go on" : "Cancel", () => close(isOver)),
    ),
  );
}

function line(one, told) {
  const annotations = annotationsText(one.offer?.annotations);
  return h(
    "li",
    { "data-key": named(one) },
    h("p", {}, h("strong", {}, named(one)), " ", one.offer?.route ? h("code", {}, taken(one.offer.route)) : h("span", { class: "quiet" }, "no route")),
    told ? h("p", {}, badge(told.tone, { good: "done", warn: "wait" }[told.tone] ?? "failed"), " ", told.text) : h("pre", { class: "text" }, annotations || "asks for nothing in particular"),
    (one.offer?.problems ?? []).map((each) => h("p", { class: "problem" }, each)),
  );
}

// Questions that wait for an answer, in dialogs of the browser's own.

import { h } from "./dom.js";
import { button } from "./parts.js";

// Show a dialog. `contents` is called with a function that closes it, saying what it returns.
// `loses` says what is asked before Escape or a click beside it closes it; null: nothing is lost.
export function dialog(title, contents, { kind = "", loses = () => null } = {}) {
  return new Promise((resolve) => {
    const box = h("dialog", { class: `dialog ${kind}`, "aria-labelledby": "dialog-title" });
    let result = null;
    const close = (value) => {
      result = value;
      box.close();
    };
    box.append(h("h2", { id: "dialog-title" }, title), ...[contents(close)].flat());
    box.addEventListener("close", () => {
      box.remove();
      resolve(result);
    });
    const mayGo = () => !loses() || confirm(loses());
    box.addEventListener("cancel", (event) => event.target === box && !mayGo() && event.preventDefault());
    // Outside of it is the dialog itself.
    box.addEventListener("click", (event) => event.target === box && mayGo() && close(null));
    document.body.append(box);
    box.showModal();
  });
}

// Ask before something is done that can hurt: `text` says what happens then.
export function ask(title, text, { yes, danger = true, comment = false } = {}) {
  return dialog(title, (close) => {
    const why = comment && h("input", { id: "why", class: "input", maxlength: "500", placeholder: "for the history" });
    const agreed = () => close({ comment: why ? why.value.trim() : "" });
    return h(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          agreed();
        },
      },
      [text].flat().map((one) => (typeof one === "string" ? h("p", {}, one) : one)),
      why && h("p", { class: "field" }, h("label", { for: "why" }, "Why"), why),
      h(
        "p",
        { class: "actions" },
        h("button", { type: "submit", class: `button ${danger ? "danger" : "primary"}`, autofocus: !comment }, yes),
        button("Cancel", () => close(null)),
      ),
    );
  });
}

// What has just happened, in a line at the bottom that screen readers tell.

import { h, render } from "./dom.js";
import { button, icon } from "./parts.js";

const SECONDS = { good: 12, warn: 30, bad: 30 };
let shown = [];
let place = null;
let number = 0;

export function placeOfNotices() {
  place = h("div", { class: "notices", role: "status", "aria-live": "polite", "data-own": true });
  return place;
}

// Say something. `actions` are [label, function] and end it.
export function notice(tone, text, actions = []) {
  const one = { tone, text, actions, key: String(++number) };
  shown = [...shown.slice(-2), one];
  draw();
  setTimeout(() => dismiss(one), SECONDS[tone] * 1000);
  return () => dismiss(one);
}

function dismiss(one) {
  shown = shown.filter((other) => other !== one);
  draw();
}

function draw() {
  if (!place) return;
  render(
    place,
    shown.map((one) =>
      h(
        "div",
        { class: `notice ${one.tone}`, "data-key": one.key },
        icon(one.tone),
        h("p", {}, one.text),
        one.actions.map(([label, act]) =>
          button(label, () => {
            dismiss(one);
            act();
          }),
        ),
        button("", () => dismiss(one), { kind: "plain close", "aria-label": "Dismiss", icon: "bad" }),
      ),
    ),
  );
}

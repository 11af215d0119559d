// Go to anything: pages at once, routes and services as they are found.

import { get } from "./api.js";
import { dialog } from "./dialog.js";
import { h, render } from "./dom.js";
import { go } from "./router.js";

const PAGES = [
  ["Home", "/"],
  ["Routes", "/routes"],
  ["New route", "/routes/new"],
  ["Services", "/services"],
  ["New service", "/services/new"],
  ["Kubernetes", "/kubernetes"],
  ["History", "/history"],
  ["Explain a request", "/explain"],
  ["Fleet", "/fleet"],
  ["Settings", "/settings"],
];
const MOST = 8;
const PAUSE_MS = 80;

export function openPalette() {
  if (document.querySelector("dialog[open]")) return;
  let found = fixed("");
  let chosen = 0;
  let asked = 0;
  let timer = null;
  const box = h("ul", { class: "palette", role: "listbox", id: "palette-list", "aria-label": "Found" });
  const field = h("input", {
    class: "input",
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": "palette-list",
    "aria-label": "Go to",
    placeholder: "A page, a route, a service",
    autocomplete: "off",
    autofocus: true,
  });
  dialog(
    "Go to",
    (close) => {
      const open = (one) => {
        close(null);
        go(one.href);
      };
      const draw = () => {
        field.setAttribute("aria-activedescendant", found.length ? `palette-${chosen}` : "");
        render(box, found.map((one, at) => item(one, at === chosen, at, () => open(one))));
      };
      field.addEventListener("input", () => {
        clearTimeout(timer);
        [found, chosen] = [fixed(field.value), 0];
        draw();
        timer = setTimeout(async () => {
          const mine = ++asked;
          const more = await entities(field.value.trim());
          if (mine !== asked) return;
          found = [...fixed(field.value), ...more];
          draw();
        }, PAUSE_MS);
      });
      field.addEventListener("keydown", (event) => {
        const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (by) chosen = Math.min(found.length - 1, Math.max(0, chosen + by));
        else if (event.key === "Enter" && found[chosen]) return open(found[chosen]);
        else return;
        event.preventDefault();
        draw();
      });
      draw();
      return [field, box];
    },
    { kind: "high" },
  );
}

function item({ title, note }, isChosen, at, onclick) {
  return h("li", { role: "option", id: `palette-${at}`, "aria-selected": String(isChosen), class: isChosen && "chosen", onclick }, h("span", {}, title), h("span", { class: "quiet" }, note));
}

function fixed(text) {
  const wanted = text.trim().toLowerCase();
  return PAGES.filter(([title]) => title.toLowerCase().includes(wanted)).map(([title, href]) => ({ title, href, note: "page" }));
}

async function entities(text) {
  if (!text) return [];
  const lists = await Promise.all(
    ["routes", "services"].map((kind) =>
      get(`/${kind}`, { q: text, limit: MOST })
        .then(({ items }) => items.map((one) => ({ title: one.id, href: `/${kind}/${encodeURIComponent(one.id)}`, note: `${kind.slice(0, -1)} ${one.path ?? one.name ?? ""}` })))
        .catch(() => []),
    ),
  );
  // What is called so comes before what has to do with it.
  const rank = ({ title }) => (title === text ? 0 : title.startsWith(text) ? 1 : title.includes(text) ? 2 : 3);
  return lists.flat().toSorted((a, b) => rank(a) - rank(b));
}

// What is around every page: where one can go, what is served, who has signed in.

import { dialog } from "./dialog.js";
import { h, render } from "./dom.js";
import { help } from "./keys.js";
import { live, onLive } from "./live.js";
import { notice, placeOfNotices } from "./notices.js";
import { openPalette } from "./palette.js";
import { badge, button } from "./parts.js";
import { isLimited, onSession, session, signIn, signOut } from "./session.js";
import { clock, list, number, span } from "./text/format.js";
import { headlines } from "./text/headline.js";
import { isDark, toggleTheme } from "./theme.js";

const PLACES = [
  ["Home", "/", null],
  ["Routes", "/routes", "route"],
  ["Services", "/services", "service"],
  ["Kubernetes", "/kubernetes", null],
  ["History", "/history", null],
  ["Explain", "/explain", null],
  ["Fleet", "/fleet", null],
  ["Settings", "/settings", null],
];

let place = null;
let path = "/";
export const main = h("main", { id: "main", "data-own": true });

export function startShell(element) {
  place = element;
  const notices = placeOfNotices();
  place.after(notices);
  draw();
  onLive(["summary", "discovery", "connection"], draw);
  onSession(draw);
}

export function showPlace(newPath) {
  path = newPath;
  draw();
}

function draw() {
  render(
    place,
    h("a", { class: "skip", href: "#main", onclick: skip }, "To the contents"),
    session.isOver && over(),
    h(
      "header",
      { class: "top" },
      h("a", { class: "brand", href: "/", "aria-label": "Fengling, home" }, h("span", { class: "mark", "aria-hidden": "true" }), "Fengling"),
      h("nav", { "aria-label": "Pages" }, h("ul", {}, PLACES.filter(([, href]) => !isLimited() || href === "/routes").map(link))),
      h(
        "div",
        { class: "tools" },
        status(),
        button("", openPalette, { kind: "plain", icon: "search", "aria-label": "Go to anything (Ctrl K)", title: "Go to anything (Ctrl K)" }),
        button("", changeTheme, { kind: "plain", icon: isDark() ? "sun" : "moon", "aria-label": isDark() ? "Light theme" : "Dark theme", title: isDark() ? "Light theme" : "Dark theme" }),
        button("", help, { kind: "plain help", icon: "unknown", "aria-label": "Shortcuts (?)", title: "Shortcuts (?)" }),
        button(session.person?.name || session.person?.subject || "", whoAmI, { kind: "plain person", icon: "person", title: "Who am I" }),
      ),
    ),
    main,
  );
}

function skip(event) {
  event.preventDefault();
  main.querySelector("h1")?.focus();
}

function changeTheme() {
  toggleTheme();
  draw();
}

function link([title, href, kind]) {
  const isHere = href === "/" || (path === "/" && isLimited()) ? path === "/" : path === href || path.startsWith(`${href}/`);
  const count = kind && live.summary?.counts?.[kind];
  return h(
    "li",
    {},
    h("a", { href, "aria-current": isHere && "page" }, title, kind && h("span", { class: "count" }, count === undefined || count === null ? "" : number(count)), href === "/kubernetes" && undecided()),
  );
}

// How many services of the cluster wait for somebody to approve them, or what they ask for since.
function undecided() {
  const { pending = 0, changed = 0 } = live.discovery?.counts ?? {};
  const title = [pending && `${number(pending)} pending`, changed && `${number(changed)} asking for something else`].filter(Boolean).join(", ");
  return title && h("span", { class: "badge warn", title }, number(pending + changed), h("span", { class: "for-readers" }, " to decide"));
}

// What is served, in few words: beside every page.
function status() {
  if (isLimited()) return h("span", { class: "served" }, badge("plain", list(session.person.tenants, 2), "Your access is limited to these tenants"));
  if (live.connected === false) return h("span", { class: "served" }, badge("warn", "not connected", "Live news are interrupted; the page tries again"));
  const [first] = headlines(live.summary, live.problem);
  if (!first) return h("span", { class: "served" });
  const { convergence, position } = live.summary ?? {};
  const text = convergence?.workers ? `${position.revision} · ${convergence.served}/${convergence.workers}` : "";
  return h("a", { class: "served", href: "/", title: first.text }, badge(first.tone, text || "trouble"));
}

function over() {
  return h(
    "div",
    { class: "banner", role: "alert" },
    h("p", {}, "Your session has ended. Sign in again in another tab, and go on here: nothing on this page is lost."),
    h("a", { class: "button", href: "/login", target: "_blank", rel: "noopener", onclick: watch }, "Sign in"),
    button("Leave", signIn, { kind: "plain" }),
  );
}

// Whether somebody has signed in again is found out when they are back.
function watch() {
  const back = () => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", back);
    session.isOver = false;
    draw();
  };
  document.addEventListener("visibilitychange", back);
}

function whoAmI() {
  const { subject, name, role, tenants, source, ends_at } = session.person;
  const lines = [
    ["Name", name ? `${name} (${subject})` : subject],
    ["Role", role],
    ["Tenants", tenants ? tenants.join(", ") : "all"],
    ["By", source],
    ["Until", `${clock(ends_at)}, in ${span((new Date(ends_at) - Date.now()) / 1000)}`],
  ];
  dialog("Who am I", (close) => [
    h("dl", { class: "pairs" }, lines.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    h(
      "p",
      { class: "actions" },
      button("Sign out", () => signOut().catch((error) => notice("bad", error.message)), { kind: "primary" }),
      button("Close", () => close(null)),
    ),
  ]);
}


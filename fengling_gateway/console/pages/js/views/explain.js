// Explain: paste a URL, see why it goes where it goes.

import { post } from "../api.js";
import { h } from "../dom.js";
import { explanation } from "../explanation.js";
import { onLive } from "../live.js";
import { empty, failed, heading, waiting } from "../parts.js";
import { say } from "../router.js";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const PAUSE_MS = 200;

export function explainPage(page) {
  page.title("Explain");
  const wanted = { url: "", method: "GET", headers: "", route: "", peer: "", ...page.query };
  let answer = null;
  let error = null;
  let asked = 0;
  let timer = null;

  async function load() {
    const mine = ++asked;
    say(wanted);
    if (!wanted.url.trim()) {
      [answer, error] = [null, null];
      return page.redraw();
    }
    try {
      const found = await post("/explain", request(wanted), { signal: page.signal });
      if (mine !== asked) return;
      [answer, error] = [found, null];
    } catch (problem) {
      if (problem.name === "AbortError" || mine !== asked) return;
      error = problem;
    }
    page.redraw();
  }

  const change = (name) => (event) => {
    wanted[name] = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(load, PAUSE_MS);
  };
  const field = (name, label, props, wide) => h("div", { class: `field ${wide ? "wide" : ""}` }, h("label", { for: `x-${name}` }, label), h("input", { id: `x-${name}`, class: "input code", autocomplete: "off", spellcheck: "false", value: wanted[name], oninput: change(name), ...props }));

  onLive("revision", () => answer && load(), page.signal);
  page.draw(() => [
    heading("Explain"),
    h("p", { class: "quiet lead" }, "Which route takes a request, and why not the others? Nothing is sent anywhere."),
    h(
      "form",
      { class: "fields explain-form", onsubmit: (event) => (event.preventDefault(), load()) },
      field("url", "URL, or a path", { placeholder: "https://shop.example/orders/17?full=1", autofocus: true, "data-shortcut": "search" }, true),
      h("div", { class: "field" }, h("label", { for: "x-method" }, "Method"), h("select", { id: "x-method", class: "input", value: wanted.method, onchange: change("method") }, METHODS.map((one) => h("option", { value: one }, one)))),
      field("peer", "Client's address", { placeholder: "127.0.0.1" }),
      field("route", "Why not this route?", { placeholder: "id" }),
      h("div", { class: "field wide" }, h("label", { for: "x-headers" }, "Headers"), h("textarea", { id: "x-headers", class: "input code", rows: "2", placeholder: "X-Build: 42", spellcheck: "false", value: wanted.headers, oninput: change("headers") })),
    ),
    error ? failed(error, load) : answer ? explanation(answer, "h2") : wanted.url ? waiting(4) : empty("Paste a URL.", "As a browser shows it, or a path alone."),
  ]);
  load();
}

// What the API is asked, of a URL as somebody pastes it.
export function request({ url, method, headers, route, peer }) {
  const { host, path } = apart(url.trim());
  const lines = headers.split("\n").map((line) => /^\s*([^:\s]+)\s*:\s*(.*?)\s*$/.exec(line)).filter(Boolean);
  return {
    method,
    path,
    ...(host ? { host } : {}),
    ...(lines.length ? { headers: Object.fromEntries(lines.map(([, name, value]) => [name, value])) } : {}),
    ...(route ? { route } : {}),
    ...(peer ? { peer } : {}),
  };
}

// (Not by URL, which would tidy up what is to be explained as it is.)
function apart(text) {
  const match = /^(?:[a-z][a-z0-9+.-]*:)?\/\/([^/?#]*)([^#]*)/i.exec(text);
  if (match) return { host: match[1].replace(/^.*@/, ""), path: rooted(match[2]) };
  if (text.startsWith("/")) return { host: "", path: text.replace(/#.*/, "") };
  const [, host, path] = /^([^/?#]*)([^#]*)/.exec(text);
  return { host, path: rooted(path) };
}

const rooted = (path) => (path.startsWith("/") ? path : `/${path}`);

// Try it: a real request through a gateway, and why it went where it went.

import { post } from "./api.js";
import { h } from "./dom.js";
import { explanation, phases } from "./explanation.js";
import { badge, button, failed } from "./parts.js";
import { may } from "./session.js";
import { milliseconds } from "./text/format.js";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

export class Tryout {
  constructor(changed, { method = "GET", host = "", path = "/" } = {}) {
    this.changed = changed;
    this.request = { method, host, path };
    this.answer = null;
    this.why = null;
    this.error = null;
    this.isAsking = false;
  }

  // Have it explained, and with `really` made.
  async ask({ really }) {
    this.isAsking = true;
    this.changed();
    const { method, host, path } = this.request;
    const request = { method, path, ...(host ? { host } : {}) };
    try {
      [this.why, this.answer] = [null, null];
      if (really) this.answer = await post("/try", request);
      this.why = this.answer?.explain ?? (await post("/explain", request));
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.isAsking = false;
    this.changed();
  }

  draw() {
    const { request } = this;
    const input = (name, label, placeholder) =>
      h("div", { class: "field" }, h("label", { for: `try-${name}` }, label), h("input", { id: `try-${name}`, class: "input code", placeholder, autocomplete: "off", spellcheck: "false", value: request[name], oninput: (event) => (request[name] = event.target.value) }));
    return h(
      "section",
      { class: "tryout" },
      h("h2", {}, "Try it"),
      h(
        "form",
        {
          class: "fields",
          onsubmit: (event) => {
            event.preventDefault();
            this.ask({ really: may("editor") });
          },
        },
        h("div", { class: "field" }, h("label", { for: "try-method" }, "Method"), h("select", { id: "try-method", class: "input", value: request.method, onchange: (event) => (request.method = event.target.value) }, METHODS.map((one) => h("option", { value: one }, one)))),
        input("host", "Host", "any"),
        input("path", "Path", "/"),
        h(
          "p",
          { class: "actions" },
          h("button", { type: "submit", class: "button", disabled: this.isAsking }, this.isAsking ? "Asking…" : may("editor") ? "Send a request" : "Explain it"),
          may("editor") && button("Only explain", () => this.ask({ really: false }), { kind: "plain", disabled: this.isAsking }),
        ),
      ),
      this.error && failed(this.error),
      this.answer && answered(this.answer),
      this.why && explanation(this.why),
    );
  }
}

function answered({ error, sent, status, reason, first_byte_ms: first, total_ms: total, body, body_is_whole: isWhole, headers, debug }) {
  if (error) return h("div", { class: "answered" }, h("p", {}, badge("bad", "no answer"), ` ${error} `, h("span", { class: "quiet" }, `after ${milliseconds(total)}, of ${sent.url}`)));
  const tone = status < 400 ? "good" : status < 500 ? "warn" : "bad";
  return h(
    "div",
    { class: "answered" },
    h("p", {}, badge(tone, `${status} ${reason}`.trim()), ` in ${milliseconds(total)} `, h("span", { class: "quiet" }, `from ${sent.url}`)),
    debug ? wentTo(debug) : phases([["until the answer begins", first], ["the rest of it", total - first]]),
    h("details", {}, h("summary", {}, "Headers"), h("pre", { class: "text", tabindex: "0", role: "group", "aria-label": "headers" }, headersText(headers))),
    body && h("details", {}, h("summary", {}, isWhole ? "Body" : "Body, its beginning"), h("pre", { class: "text", tabindex: "0", role: "group", "aria-label": "body" }, body)),
  );
}

function headersText(headers) {
  return headers.map(([name, value]) => `${name}: ${value}`).join("\n");
}

function wentTo({ route, service, instance, address, attempts, worker, phases: times }) {
  const rows = [
    ["Route", route],
    ["Service", service],
    ["Instance", instance && `${instance} ${address ?? ""}`],
    ["Attempts", attempts > 1 ? attempts : null],
    ["Worker", worker],
  ].filter(([, value]) => value);
  return [h("dl", { class: "pairs" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])), times && phases(parts(times))];
}

// The times of the debug header, one after the other.
function parts({ match_us: match, connect_ms: connect, first_byte_ms: first, total_ms: total }) {
  const matched = (match ?? 0) / 1000;
  const connected = connect ?? 0;
  const waited = Math.max(0, (first ?? total ?? 0) - connected - matched);
  const rest = Math.max(0, (total ?? 0) - (first ?? total ?? 0));
  return [["choosing the route", matched], ["connecting", connected], ["waiting for the instance", waited], ["the rest of the answer", rest]];
}

// A path that a route's template takes.
export function samplePath(template) {
  if (!template || template.startsWith("~")) return "/";
  return template.replace(/\{\*\*[^}]*\}/g, "").replace(/\{[^}]*\}/g, "1");
}

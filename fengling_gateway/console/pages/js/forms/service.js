// The forms of a service and of its instances.

import { h } from "../dom.js";
import { button } from "../parts.js";
import { checkField, choiceField, group, jsonField, more, numberField, textField, wordsField } from "./fields.js";
import { policyFields } from "./policies.js";
import { idField, ownership } from "./route.js";

const BALANCING = [
  ["power_of_two", "power of two choices"],
  ["weighted_round_robin", "weighted round robin"],
  ["round_robin", "round robin"],
  ["least_requests", "least requests"],
  ["random", "random"],
];

export function serviceForm(editing) {
  const { fields } = editing;
  return [
    group(
      "Service",
      editing.isNew && idField(editing),
      textField(editing, ["name"], "Name", { none: "", placeholder: "what people call it" }),
      choiceField(editing, ["balancing"], "Balancing", BALANCING),
      textField(editing, ["host_header"], "Host header", { none: "client", hint: "client, instance, or a host." }),
      textField(editing, ["connect_timeout"], "To connect", { none: undefined, placeholder: "3s" }),
      textField(editing, ["first_byte_timeout"], "Until an answer begins", { none: undefined, placeholder: "30s" }),
      textField(editing, ["idle_timeout"], "Between two reads", { none: undefined, placeholder: "1m" }),
      checkField(editing, ["enabled"], "Enabled"),
      checkField(editing, ["tenant_spill"], "Tenants may use shared instances", { hint: "Where their own are out." }),
    ),
    healthCheck(editing),
    more(
      "TLS to instances",
      fields.tls || editing.problemsAt(["tls"]).length > 0,
      jsonField(editing, ["tls"], "TLS", { hint: '{"verify": true, "ca": PEM, "client_certificate": id, "sni": name}; empty is the defaults.' }),
    ),
    h("section", { class: "part", "aria-label": "Policies" }, policyFields(editing)),
    ownership(editing),
  ];
}

function healthCheck(editing) {
  const at = (name) => ["health_check", name];
  if (!editing.fields.health_check) {
    return group(
      "Health check",
      h("p", { class: "quiet wide" }, "Instances are not probed, and so taken for healthy until requests fail."),
      h("p", {}, button("Probe instances", () => editing.set(["health_check"], { type: "http", path: "/" }), { icon: "plus" })),
    );
  }
  const isHttp = (editing.at(at("type")) ?? "http") === "http";
  const duration = (name, label, placeholder) => textField(editing, at(name), label, { none: undefined, placeholder });
  return group(
    "Health check",
    choiceField(editing, at("type"), "By", [["http", "an HTTP request"], ["tcp", "a connection"]]),
    isHttp && textField(editing, at("path"), "Path", { none: undefined, placeholder: "/health" }),
    isHttp && wordsField(editing, at("expected"), "Statuses that pass", { none: undefined, placeholder: "200-399" }),
    isHttp && textField(editing, at("body"), "Text in the answer", { none: undefined, placeholder: "any" }),
    duration("interval", "Every", "5s"),
    duration("timeout", "For at most", "2s"),
    numberField(editing, at("rise"), "Healthy after", { none: undefined, placeholder: "2", hint: "passes in a row" }),
    numberField(editing, at("fall"), "Unhealthy after", { none: undefined, placeholder: "3", hint: "failures in a row" }),
    duration("unhealthy_interval", "Every, while unhealthy", "the same"),
    duration("idle_interval", "Every, while idle", "the same"),
    h("p", { class: "wide" }, button("Probe no more", () => editing.set(["health_check"], null), { kind: "small" })),
  );
}

export function instanceForm(editing) {
  return [
    group(
      "Instance",
      editing.isNew && idField(editing, "Id", "Empty: one of its address."),
      textField(editing, ["address"], "Address", { none: "", placeholder: "http://10.0.0.5:8080" }),
      numberField(editing, ["weight"], "Weight", { none: 1, hint: "0 gets nothing new." }),
      choiceField(editing, ["state"], "State", [["ready", "ready"], ["drain", "drain"], ["maintenance", "maintenance"]], { hint: "Neither drain nor maintenance get anything new." }),
      textField(editing, ["zone"], "Zone", { placeholder: "none" }),
      textField(editing, ["tenant_id"], "Tenant", { placeholder: "every tenant", hint: "It serves this tenant alone." }),
    ),
    ownership(editing),
  ];
}

// Entities that follow a cluster: of which of its objects they are made, and which fields are its.

import { get, pathOf } from "./api.js";
import { h } from "./dom.js";
import { badge } from "./parts.js";
import { follows, originOf, placeOfDiscovered } from "./text/discovery.js";

// Fields of instances that are the cluster's: where there is one, and whether it takes requests.
const OF_INSTANCES = ["service_id", "address", "state", "zone"];

// Returns what is to be said above an entity: its object of the cluster, and whose which field is.
export class Following {
  constructor(kind, { changed, signal }) {
    this.kind = kind;
    this.changed = changed;
    this.signal = signal;
    this.fields = null; // not known
    this.isDiscovered = false;
  }

  // Find out about an entity as the API shows it.
  async load(entity) {
    this.entity = entity;
    const origin = follows(entity) && this.kind !== "instance" ? originOf(this.kind, entity.id) : null;
    if (origin?.what !== "Service") return;
    const path = pathOf("kubernetes", "services", origin.namespace, origin.name);
    const found = await get(path, undefined, { signal: this.signal, unattended: true }).catch(() => null);
    this.isDiscovered = found !== null;
    const row = found?.offer?.[this.kind];
    this.fields = row ? Object.keys(row).toSorted() : null;
    this.changed();
  }

  draw() {
    return follows(this.entity) ? said(this.kind, this.entity.id, this) : null;
  }
}

function said(kind, id, { fields, isDiscovered }) {
  const origin = originOf(kind, id);
  return h("section", { class: "follows", "aria-label": "Follows Kubernetes" }, h("p", {}, badge("plain", "follows Kubernetes"), " ", origin && named(origin, isDiscovered)), h("p", { class: "quiet" }, whose(fields)));
}

function named(origin, isDiscovered) {
  const { what, namespace, name, more } = origin;
  const text = `${namespace}/${name}`;
  return [what === "Service" ? "" : `${what} `, isDiscovered ? h("a", { href: placeOfDiscovered(origin) }, text) : h("b", {}, text), more && `, ${more}`];
}

function whose(fields) {
  if (!fields) return "Change it in the cluster: a field that is changed here stays so until the cluster says something else of it.";
  return ["The cluster says ", fields.map((one, at) => [at > 0 && ", ", h("code", {}, one)]), ". What is changed of these here stays so until the cluster says something else of it; all other fields are yours."];
}

// What is to be said of an instance.
export const instanceFollows = (instance) => (follows(instance) ? said("instance", instance.id, { fields: OF_INSTANCES, isDiscovered: false }) : null);

// In a list: that an entity follows the cluster.
export function followsBadge(kind, entity) {
  if (!follows(entity)) return null;
  const origin = originOf(kind, entity.id);
  return badge("plain", "kubernetes", origin ? `Follows ${origin.what} ${origin.namespace}/${origin.name}` : "Follows the cluster");
}

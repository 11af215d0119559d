// What each kind of entity is made of: its list in paths, its table, its fields with defaults. Pure.

const POLICIES = { policies: {} };
const OWNED = { labels: {}, managed_by: null };

export const KINDS = {
  route: {
    list: "routes",
    title: "Route",
    defaults: {
      tenant_id: null,
      enabled: true,
      priority: 0,
      hosts: [],
      path: "/{**rest}",
      methods: [],
      match: {},
      service_id: null,
      split: null,
      redirect: null,
      respond: null,
      ...POLICIES,
      valid_from: null,
      valid_to: null,
      ...OWNED,
    },
  },
  service: {
    list: "services",
    title: "Service",
    defaults: {
      name: "",
      enabled: true,
      balancing: "power_of_two",
      protocol: "http1",
      host_header: "client",
      connect_timeout: "3s",
      first_byte_timeout: "30s",
      idle_timeout: "1m",
      tenant_spill: false,
      health_check: null,
      affinity: null,
      tls: null,
      ...POLICIES,
      ...OWNED,
    },
  },
  instance: {
    list: "instances",
    title: "Instance",
    defaults: { service_id: null, tenant_id: null, address: "", weight: 1, state: "ready", zone: null, ...OWNED },
  },
  tenant: {
    list: "tenants",
    title: "Tenant",
    defaults: { name: "", enabled: true, hosts: [], path_prefix: null, limits: {}, ...OWNED },
  },
  setting: { list: "settings", title: "Setting", defaults: { value: null, ...OWNED } },
};

// What an answer has beside what can be written.
const TOLD = new Set(["id", "key", "version", "created_at", "updated_at", "rejected", "access", "health"]);

export function idOf(kind, entity) {
  return kind === "setting" ? entity.key : entity.id;
}

// Returns the fields that can be written: of an entity as the API shows it.
export function ownFields(entity) {
  return Object.fromEntries(Object.entries(entity).filter(([name]) => !TOLD.has(name)));
}

// Returns what has to be said: fields that differ from what they are if nobody says anything.
export function said(kind, fields) {
  const { defaults } = KINDS[kind];
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, shorter(name, value)])
      .filter(([name, value]) => !equal(value, name in defaults ? defaults[name] : null)),
  );
}

// The API shows all that match and policies may have; what is null or empty there is not said.
function shorter(name, value) {
  if (name === "match" && isObject(value)) return withoutEmpty(value);
  if (name !== "policies" || !isObject(value)) return value;
  const parts = Object.entries(value).map(([policy, fields]) => [policy, isObject(fields) ? withoutNull(fields) : fields]);
  return Object.fromEntries(parts);
}

function withoutNull(value) {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null));
}

function withoutEmpty(value) {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null && !(Array.isArray(one) && !one.length)));
}

// Returns the names of fields that are not the same in two entities.
export function changedFields(kind, before, after) {
  const { defaults } = KINDS[kind];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const value = (fields, name) => (fields[name] === undefined ? (defaults[name] ?? null) : fields[name]);
  return [...names].filter((name) => !equal(value(before, name), value(after, name)));
}

export function equal(one, other) {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => name in other && equal(one[name], other[name]));
}

// The merge patch (RFC 7396) that makes one value of another.
export function mergePatch(before, after) {
  const patch = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (after[name] === undefined) patch[name] = null;
    else if (!equal(before[name], after[name])) {
      const both = isObject(before[name]) && isObject(after[name]);
      patch[name] = both ? mergePatch(before[name], after[name]) : after[name];
    }
  }
  return patch;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// Makes elements, and brings what is shown up to date.
//
// Text is only ever text: nothing here takes markup. A view describes all that it shows each time
// that something has changed; `render` changes only what differs, so that focus, selection and
// scrolling stay where they are.

const SVG = "http://www.w3.org/2000/svg";
const LISTENERS = Symbol("listeners");
const PROPERTIES = new Set(["value", "checked", "indeterminate", "selected", "open"]);
const REFUSED = new Set(["style", "innerHTML", "outerHTML", "srcdoc"]);

export function h(tag, props, ...children) {
  return made(document.createElement(tag), props, children);
}

export function svg(tag, props, ...children) {
  return made(document.createElementNS(SVG, tag), props, children);
}

function made(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  const nodes = flat(children);
  element.append(...nodes);
  // Which option is selected can be said only once there are options.
  if (element.localName === "select" && props?.value !== undefined) element.value = props.value;
  return element;
}

function set(element, name, value) {
  if (REFUSED.has(name)) throw new Error(`${name} is not set here`);
  if (name.startsWith("on")) {
    if (value) listen(element, name.slice(2), value);
  } else if (PROPERTIES.has(name)) {
    element[name] = value ?? (name === "value" ? "" : false);
  } else if (value !== undefined && value !== null && value !== false) {
    if (name === "href" && !isSafe(value)) throw new Error("an address that leads to a script");
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

function isSafe(href) {
  return /^(?:[/#?]|https?:\/\/)/.test(String(href));
}

function listen(element, type, listener) {
  element[LISTENERS] ??= {};
  if (!(type in element[LISTENERS])) {
    element.addEventListener(type, (event) => element[LISTENERS][type]?.(event));
  }
  element[LISTENERS][type] = listener;
}

function flat(children) {
  const nodes = [];
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    nodes.push(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return nodes;
}

// Show these in an element, in place of what it shows now.
export function render(container, ...children) {
  morphChildren(container, flat(children));
}

function morphChildren(parent, fresh) {
  const keyed = new Map();
  for (const node of parent.childNodes) {
    if (keyOf(node) !== null) keyed.set(keyOf(node), node);
  }
  const wanted = new Set(fresh.map(keyOf));
  let cursor = parent.firstChild;
  let [left, rest] = [parent.childNodes.length, fresh.length];
  const skip = () => {
    cursor = removed(cursor);
    left--;
  };
  for (const node of fresh) {
    const key = keyOf(node);
    // What has a key goes as soon as nobody wants it; of others, the first of too many.
    while (cursor && keyOf(cursor) !== null && !wanted.has(keyOf(cursor))) skip();
    while (cursor && key === null && keyOf(cursor) === null && !isSame(cursor, node) && left > rest) skip();
    const old = key === null ? cursor : keyed.get(key);
    if (old && old.parentNode === parent && isSame(old, node)) {
      if (old === cursor) cursor = cursor.nextSibling;
      else parent.insertBefore(old, cursor);
      morph(old, node);
      left--;
    } else {
      parent.insertBefore(node, cursor);
    }
    rest--;
  }
  while (cursor) cursor = removed(cursor);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
}

function isSame(old, fresh) {
  return (
    old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh)
  );
}

function morph(old, fresh) {
  if (old === fresh) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  morphAttributes(old, fresh);
  for (const [type, listener] of Object.entries(fresh[LISTENERS] ?? {})) listen(old, type, listener);
  for (const type of Object.keys(old[LISTENERS] ?? {})) {
    if (!(type in (fresh[LISTENERS] ?? {}))) old[LISTENERS][type] = undefined;
  }
  // What keeps its own contents, like a dialog that somebody is in.
  if (!old.hasAttribute("data-own")) morphChildren(old, [...fresh.childNodes]);
  morphProperties(old, fresh);
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function morphProperties(old, fresh) {
  for (const name of ["value", "checked", "indeterminate"]) {
    if (name in old && ["INPUT", "SELECT", "TEXTAREA", "PROGRESS"].includes(old.nodeName)) {
      if (old[name] !== fresh[name]) old[name] = fresh[name];
    }
  }
}

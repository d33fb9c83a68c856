// Elements as plain values, and a patch that turns what is on the screen into them. Text only ever becomes text nodes
// and attributes, so nothing that the server sends can become markup.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "circle", "line", "rect", "text", "title"]);
const AS_PROPERTY = new Set(["value", "checked", "disabled", "hidden", "selected", "open"]);
const known = new WeakMap(); // element -> the value it was last made from

/** An element as a value. `props`: attributes, `on...` handlers, `style` (custom properties), `key`, `live` handlers. */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, children: tidy(children) };
}

/** Make the children of `parent` be `children`, keeping the nodes (and the focus) that can stay. */
export function patch(parent, ...children) {
  const focused = document.activeElement;
  patchChildren(parent, tidy(children));
  if (focused && focused !== document.activeElement && focused.isConnected && focused !== document.body) {
    focused.focus({ preventScroll: true });
  }
}

function tidy(children) {
  const flat = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
  return flat.map((child) => (typeof child === "object" ? child : String(child)));
}

function patchChildren(parent, children) {
  const wanted = new Set(children.map((child) => child.props?.key).filter((key) => key !== undefined));
  const kept = new Map();
  for (const node of [...parent.childNodes]) {
    const key = known.get(node)?.props.key;
    if (key === undefined) continue;
    if (wanted.has(key)) kept.set(key, node);
    else node.remove();
  }
  let at = parent.firstChild;
  for (const child of children) {
    const node = reusable(child, at, kept) ?? create(child);
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
    if (typeof child === "string") {
      if (node.data !== child) node.data = child;
    } else {
      patchElement(node, child);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function reusable(child, at, kept) {
  if (typeof child === "string") return at?.nodeType === Node.TEXT_NODE ? at : null;
  const { key } = child.props;
  const node = key === undefined ? at : kept.get(key);
  const old = node && known.get(node);
  return old && old.tag === child.tag && old.props.key === key ? node : null;
}

function create(child) {
  if (typeof child === "string") return document.createTextNode(child);
  const node = SVG_TAGS.has(child.tag) ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
  known.set(node, { tag: child.tag, props: {} });
  return node;
}

function patchElement(node, child) {
  const before = known.get(node).props;
  known.set(node, { tag: child.tag, props: child.props });
  // An option must be there before a select can have its value.
  patchChildren(node, child.children);
  for (const name of Object.keys(before)) if (!(name in child.props)) setProp(node, name, null, before[name]);
  for (const [name, value] of Object.entries(child.props)) if (value !== before[name]) setProp(node, name, value, before[name]);
}

function setProp(node, name, value, before) {
  if (name === "key") return;
  if (name === "style") {
    for (const [property, text] of Object.entries(value ?? {})) node.style.setProperty(property, text);
  } else if (name.startsWith("on")) {
    node[name] = value;
  } else if (AS_PROPERTY.has(name) && !(node instanceof SVGElement)) {
    if (before !== value) node[name] = value ?? (name === "value" ? "" : false);
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
  } else {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

let said = 0;
/** Have a screen reader say something when it is done with what it says now. */
export function announce(text) {
  const node = document.getElementById("announcer");
  // A blank more makes the same text news.
  node.textContent = text + " ".repeat(said++ % 2);
}

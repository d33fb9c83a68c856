// Pieces that several views are made of.

import { h } from "./dom.js";
import { count, percent, time, usd, words } from "./format.js";

export const link = (href, ...text) => h("a", { href }, ...text);
export const serviceHref = (namespace, name) => `#/services/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
export const pill = ({ text, tone }) => h("span", { class: `pill ${tone}` }, text);
export const note = (text, tone = "plain") => h("p", { class: `note ${tone}` }, text);
export const empty = (text) => h("p", { class: "empty" }, text);

/** A section with a heading of its own. */
export function section(title, ...body) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { "aria-labelledby": id, key: id }, h("h2", { id }, title), ...body);
}

/** Figures in a row: `[[name, value, detail], ...]`. */
export function figures(rows) {
  return h("dl", { class: "figures" }, rows.map(([name, value, detail]) =>
    h("div", null, h("dt", null, name), h("dd", null, h("strong", null, value), detail && h("span", null, detail)))));
}

/** How much of something is taken; the words beside it say the same. */
export function bar(used, total, words_) {
  const share = total > 0 ? Math.min(1, used / total) : 0;
  const tone = share > 0.9 ? "warn" : "good";
  return h("div", { class: "capacity" },
    h("p", null, words_),
    h("div", { class: "bar", "aria-hidden": "true" }, h("span", { class: tone, style: { width: `${(share * 100).toFixed(1)}%` } })));
}

const SHADES = 6;
const shades = new Map();
/** The shade of a cost term, the same wherever it is shown. */
function shade(term) {
  const first = ["compute", "transfer", "latency", "call-latency"];
  for (const name of [...first, term]) if (!shades.has(name)) shades.set(name, shades.size % SHADES);
  return `t${shades.get(term)}`;
}

const positive = (terms) => Object.entries(terms).filter(([, amount]) => amount > 0).sort((a, b) => b[1] - a[1]);

/** Cost terms as a bar (as long as `most` allows) and a list. */
export function terms(values, most) {
  const shown = positive(values);
  if (!shown.length) return h("span", { class: "quiet" }, "no cost");
  const scale = most ?? shown.reduce((sum, [, amount]) => sum + amount, 0);
  return h("div", { class: "terms" },
    h("div", { class: "stack", "aria-hidden": "true" }, shown.map(([name, amount]) =>
      h("span", { class: shade(name), style: { width: `${((amount / scale) * 100).toFixed(2)}%` } }))),
    h("ul", null, Object.entries(values).sort((a, b) => b[1] - a[1]).map(([name, amount]) =>
      h("li", null, h("i", { class: `key ${shade(name)}`, "aria-hidden": "true" }), `${name} `, h("b", null, usd(amount))))));
}

const PATH = ["Pending", "Checked", "Prepared", "Shifting", "Drained", "Retired", "Succeeded"];
const BACK = ["RollingBack", "RolledBack", "Failed"];

/** Where a migration is: its phases, and the traffic on both sides. */
export function progress(migration, { heading = "h3" } = {}) {
  const { spec, status, metadata } = migration;
  const name = h(heading, null, link(serviceHref(metadata.namespace, spec.service), spec.service),
    h("span", { class: "quiet" }, ` ${spec.source} → ${spec.target}`));
  const going = BACK.includes(status.phase) ? [...PATH.slice(0, reached(status)), status.phase] : PATH;
  const now = going.indexOf(status.phase);
  return h("article", { class: "move", key: `${metadata.namespace}/${metadata.name}` },
    h("header", null, name, pill({ text: state(migration), tone: toneOf(status.phase) })),
    h("ol", { class: "phases", "aria-label": "Phases" }, going.map((phase, index) =>
      h("li", { class: index < now || status.phase === "Succeeded" ? "done" : index === now ? "now" : "", "aria-current": index === now ? "step" : null },
        words(phase), index < now && h("span", { class: "unseen" }, " (done)")))),
    h("div", { class: "traffic" },
      h("p", null, h("span", null, spec.source), h("b", null, `${100 - status.weight} %`)),
      h("div", { class: "bar both", "aria-hidden": "true" }, h("span", { style: { width: `${100 - status.weight}%` } }), h("span", { style: { width: `${status.weight}%` } })),
      h("p", null, h("b", null, `${status.weight} %`), h("span", null, spec.target))),
    h("p", { class: "quiet small" }, [`${words(spec.reason)}, begun ${time(metadata.creationTimestamp)}`, status.message].filter(Boolean).join(" · ")));
}

function reached(status) {
  const last = status.history.map((entry) => entry.phase).filter((phase) => PATH.includes(phase)).at(-1);
  return Math.max(1, PATH.indexOf(last) + 1);
}

/** A migration in a few words. */
export function state({ spec, status }) {
  if (status.phase === "Shifting") return `${spec.paused ? "Paused" : "Shifting"}, ${status.weight} % moved`;
  return spec.paused && !["Succeeded", "RolledBack", "Failed"].includes(status.phase) ? `${words(status.phase)}, paused` : words(status.phase);
}

export const toneOf = (phase) => ({ Succeeded: "good", Failed: "bad", RolledBack: "warn", RollingBack: "warn" })[phase] ?? "busy";

/** A page of `rows` out of many, with the buttons to turn it. */
export function paged(rows, size, ui, redraw, what) {
  const last = Math.max(0, Math.ceil(rows.length / size) - 1);
  const page = Math.min(ui.page ?? 0, last);
  const turn = (to) => () => { ui.page = to; redraw(); };
  const shown = rows.slice(page * size, (page + 1) * size);
  const buttons = last > 0 && h("nav", { class: "pager", "aria-label": `Pages of ${what}` },
    h("button", { type: "button", disabled: page === 0, onclick: turn(page - 1) }, "Previous"),
    h("span", { "aria-live": "polite" }, `${count(page * size + 1)}–${count(page * size + shown.length)} of ${count(rows.length)}`),
    h("button", { type: "button", disabled: page === last, onclick: turn(page + 1) }, "Next"));
  return { shown, buttons };
}

/** The share that a part has of a whole, in words; empty when there is no whole. */
export const shareOf = (part, whole) => (whole > 0 ? percent(part / whole) : "");

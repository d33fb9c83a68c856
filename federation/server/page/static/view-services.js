// All services: where they run, how they are, what they cost; and one of them, with every place it could be at.

import { h } from "./dom.js";
import { costOf, count, difference, NONE, placementState, readyOf, time, usd, wantedOf, where, words } from "./format.js";
import { empty, figures, link, note, pill, progress, section, serviceHref, terms } from "./parts.js";
import { table } from "./table.js";

const nameOf = ({ metadata }) => `${metadata.namespace}/${metadata.name}`;

export function servicesView({ store, ui, redraw, live }) {
  const rows = filtered(store, ui);
  return [
    h("h1", { tabindex: "-1" }, "Services"),
    h("div", { class: "tools" },
      h("label", null, "Filter ", h("input", { type: "search", value: ui.query ?? "", placeholder: "name, sub-cluster or status", spellcheck: "false", oninput: (event) => {
        ui.query = event.target.value;
        ui.page = 0;
        redraw();
      } })),
      h("span", { class: "quiet", role: "status" }, rows.length === store.placements.length ? `${count(rows.length)} in all` : `${count(rows.length)} of ${count(store.placements.length)}`)),
    table({
      caption: "Services", rows, ui, redraw, key: nameOf, columns: COLUMNS,
      none: !live ? "Loading …" : store.placements.length ? "No service matches the filter." : "Nothing is declared yet. Declare something with: roam apply -f",
    }),
  ];
}

const COLUMNS = [
  { id: "name", title: "Service", by: nameOf, cell: ({ metadata }) => link(serviceHref(metadata.namespace, metadata.name), h("span", { class: "quiet" }, `${metadata.namespace}/`), metadata.name) },
  { id: "where", title: "Where", by: (row) => where(row.spec.targets), cell: (row) => where(row.spec.targets) },
  { id: "ready", title: "Ready", number: true, by: (row) => readyOf(row) - wantedOf(row), cell: (row) => `${readyOf(row)}/${wantedOf(row)}` },
  { id: "status", title: "Status", by: (row) => placementState(row).text, cell: (row) => pill(placementState(row)) },
  { id: "cost", title: "USD/h", number: true, by: (row) => costOf(row) ?? -1, cell: (row) => usd(costOf(row)) },
  { id: "pinned", title: "Pinned to", by: (row) => row.spec.pinned, cell: (row) => row.spec.pinned ?? NONE },
];

function filtered(store, ui) {
  const query = (ui.query ?? "").trim().toLowerCase();
  if (!query) return store.placements;
  return store.once("services", ["placements"], () => store.placements.filter((row) =>
    [nameOf(row), where(row.spec.targets), placementState(row).text].some((text) => text.toLowerCase().includes(query))), query);
}

export function serviceView({ store, route, explained, live }) {
  const [namespace, name] = route.args;
  const key = `${namespace}/${name}`;
  const placement = store.get("placements", key);
  const title = h("h1", { tabindex: "-1" }, h("span", { class: "quiet" }, `${namespace}/`), name, " ", placement && pill(placementState(placement)));
  const back = h("p", { class: "crumb" }, link("#/services", "All services"));
  if (!placement) return [back, title, empty(live ? "There is no placement of this name. It may be new, or deleted." : "Loading …")];
  const move = store.openMigrations.find((one) => one.metadata.namespace === namespace && one.spec.service === name);
  const proposed = placement.status.proposed;
  return [
    back, title,
    figures([
      ["Ready", `${readyOf(placement)} of ${wantedOf(placement)}`, "replicas"],
      ["Planned cost", usd(costOf(placement)), "USD per hour"],
      ["Pinned to", placement.spec.pinned ?? NONE],
    ]),
    placement.status.overtaken?.map((one) => note(`${one.subcluster}: ${one.message}`, "bad")),
    placement.status.conditions.filter((one) => one.message && one.status !== "True").map((one) => note(one.message, "warn")),
    move && section("Migration", progress(move)),
    section("Where it runs", replicas(placement)),
    proposed?.reasons.length > 0 && section("Why there", h("ul", { class: "reasons" }, proposed.reasons.map((reason) => h("li", null, reason)))),
    section("Candidates", candidates(explained)),
    section("Events", eventsOf(store, namespace, name)),
  ];
}

function replicas(placement) {
  const running = new Map(placement.status.running.map((one) => [one.subcluster, one]));
  const names = new Set([...placement.spec.targets.map((one) => one.subcluster), ...running.keys()]);
  const wanted = (name) => placement.spec.targets.filter((one) => one.subcluster === name).reduce((sum, one) => sum + one.replicas, 0);
  return table({
    caption: "Replicas by sub-cluster", rows: [...names], ui: {}, redraw: () => {}, key: (name) => name, none: "It runs nowhere.",
    columns: [
      { id: "where", title: "Sub-cluster", cell: (name) => name },
      { id: "wanted", title: "Wanted", number: true, cell: (name) => count(wanted(name)) },
      { id: "running", title: "Running", number: true, cell: (name) => count(running.get(name)?.replicas ?? 0) },
      { id: "ready", title: "Ready", number: true, cell: (name) => count(running.get(name)?.ready ?? 0) },
      ...(placement.status.running.some((one) => one.message) ? [{ id: "message", title: "Message", cell: (name) => running.get(name)?.message || NONE }] : []),
    ],
  });
}

const TONES = { chosen: "good", feasible: "plain", full: "warn", denied: "bad" };
const ORDER = Object.keys(TONES);

function candidates(explained) {
  if (explained?.error && !explained.body) return note(explained.error.message, "bad");
  if (!explained?.body) return empty("Asking the planner …");
  const { candidates: found } = explained.body;
  const rows = [...found].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict) ||
    (a.cost_usd_per_hour ?? Infinity) - (b.cost_usd_per_hour ?? Infinity) || (a.subcluster < b.subcluster ? -1 : 1));
  const most = Math.max(...rows.map((row) => row.cost_usd_per_hour ?? 0));
  return [
    h("p", { class: "quiet lead" }, "What the whole service would cost in each sub-cluster now, all others as planned, in USD per hour."),
    table({
      caption: "Candidates", rows, ui: {}, redraw: () => {}, key: (row) => row.subcluster, size: 200, none: "The fleet has no sub-cluster.",
      columns: [
        { id: "where", title: "Sub-cluster", cell: (row) => row.subcluster },
        { id: "verdict", title: "Verdict", cell: (row) => pill({ text: words(row.verdict), tone: TONES[row.verdict] }) },
        { id: "cost", title: "USD/h", number: true, cell: (row) => (row.cost_usd_per_hour === null ? NONE : usd(row.cost_usd_per_hour)) },
        { id: "more", title: "Dearer by", cell: (row) => dearer(row, explained.body) },
        { id: "terms", title: "Terms", cell: (row) => (row.cost_usd_per_hour === null ? NONE : terms(row.terms, most)) },
        { id: "why", title: "Why", cell: (row) => reasons(row) },
      ],
    }),
  ];
}

/** How much more the service would cost there than where it is planned, and in which terms. */
function dearer(row, planned) {
  if (row.cost_usd_per_hour === null || row.verdict === "chosen" || planned.verdict !== "placed") return NONE;
  const names = new Set([...Object.keys(row.terms), ...Object.keys(planned.terms)]);
  const parts = [...names].map((name) => [name, (row.terms[name] ?? 0) - (planned.terms[name] ?? 0)]).filter(([, amount]) => Math.abs(amount) > 5e-6);
  return h("div", { class: "dearer" }, h("b", null, difference(row.cost_usd_per_hour - planned.cost_usd_per_hour)),
    h("ul", null, parts.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).map(([name, amount]) => h("li", null, `${difference(amount)} ${name}`))));
}

/** The reasons, without the sums that the other columns show. */
function reasons(row) {
  const priced = row.verdict === "chosen" || row.verdict === "feasible";
  const shown = priced
    ? row.reasons.map((reason) => reason.split(/: \d/)[0]).filter((reason) => reason !== row.subcluster)
    : row.reasons;
  if (!shown.length) return row.verdict === "chosen" ? "the cheapest permitted" : NONE;
  return h("ul", { class: "reasons" }, shown.map((reason) => h("li", null, reason)));
}

function eventsOf(store, namespace, name) {
  const mine = store.once("events of one", ["events"], () => store.events.filter(({ metadata, regarding }) =>
    metadata.namespace === namespace && (regarding.name === name || regarding.name.startsWith(`${name}-`))).slice(0, 20), `${namespace}/${name}`);
  if (!mine.length) return empty("No event about it lately.");
  return h("ol", { class: "events" }, mine.map((event) => h("li", { key: event.metadata.name },
    h("time", { datetime: event.eventTime }, time(event.eventTime)), pill({ text: words(event.reason), tone: event.type === "Warning" ? "warn" : "plain" }), h("span", null, event.message))));
}

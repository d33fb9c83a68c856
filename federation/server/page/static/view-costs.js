// What it costs: in all, by term, by sub-cluster, by service.

import { h } from "./dom.js";
import { costOf, count, usd } from "./format.js";
import { figures, link, note, section, serviceHref, shareOf, terms } from "./parts.js";
import { table } from "./table.js";

const HOURS_PER_MONTH = 730;
const MONEY = ["compute", "transfer"];

export function costsView({ store, ui, redraw, live }) {
  const { total, byTerm, priced } = sums(store);
  const unknown = store.placements.length - priced.length;
  const money = MONEY.reduce((sum, term) => sum + (byTerm[term] ?? 0), 0);
  const used = [...store.usage.values()].reduce((sum, one) => sum + (one.usdPerHour ?? 0), 0);
  return [
    h("h1", { tabindex: "-1" }, "Costs"),
    figures([
      ["All services, as planned", usd(total), "USD per hour"],
      ["Of that, money", usd(money), "USD per hour"],
      ["Money in a month", usd(money * HOURS_PER_MONTH), "USD in 730 hours"],
      ["Cores and memory in use", usd(used), "USD per hour"],
    ]),
    h("p", { class: "quiet lead" }, "What the planner would choose now. Money is compute and transfer; the other terms are what policies say a preference is worth."),
    unknown > 0 && note(`${count(unknown)} without a known cost are left out.`, "warn"),
    Object.keys(byTerm).length > 0 && section("By term", terms(byTerm)),
    section("By sub-cluster", subclusters(store, ui, redraw, used, live)),
    section("By service", services(priced, ui, redraw, total, live)),
  ];
}

function sums(store) {
  return store.once("costs", ["placements"], () => {
    const byTerm = {};
    let total = 0;
    const priced = store.placements.filter((placement) => costOf(placement) !== null);
    for (const placement of priced) {
      total += costOf(placement);
      for (const [term, amount] of Object.entries(placement.status.proposed.terms)) byTerm[term] = (byTerm[term] ?? 0) + amount;
    }
    return { total, byTerm, priced };
  });
}

function subclusters(store, ui, redraw, used, live) {
  const own = (ui.subclusters ??= { by: "cost", down: true });
  return table({
    caption: "Cost by sub-cluster", rows: store.once("usage", [], () => [...store.usage.values()], store.usageRevision), ui: own, redraw, size: 25, key: (row) => row.name,
    none: live ? "Nothing is known of the fleet's use." : "Loading …",
    columns: [
      { id: "name", title: "Sub-cluster", by: (row) => row.name, cell: (row) => row.name },
      { id: "cpu", title: "Cores in use", number: true, by: (row) => row.cpuUsedCores, cell: (row) => count(row.cpuUsedCores) },
      { id: "price", title: "USD/core-h", number: true, by: (row) => row.cpuHourUsd ?? -1, cell: (row) => usd(row.cpuHourUsd) },
      { id: "cost", title: "USD/h", number: true, by: (row) => row.usdPerHour ?? -1, cell: (row) => usd(row.usdPerHour) },
      { id: "share", title: "Share", number: true, cell: (row) => shareOf(row.usdPerHour ?? 0, used) },
    ],
  });
}

function services(priced, ui, redraw, total, live) {
  const most = priced.reduce((found, placement) => Math.max(found, costOf(placement)), 0);
  const own = (ui.services ??= { by: "cost", down: true });
  return table({
    caption: "Cost by service", rows: priced, ui: own, redraw, size: 25, key: (row) => `${row.metadata.namespace}/${row.metadata.name}`,
    none: live ? "Nothing is placed yet." : "Loading …",
    columns: [
      { id: "name", title: "Service", by: (row) => `${row.metadata.namespace}/${row.metadata.name}`, cell: ({ metadata }) => link(serviceHref(metadata.namespace, metadata.name), h("span", { class: "quiet" }, `${metadata.namespace}/`), metadata.name) },
      { id: "cost", title: "USD/h", number: true, by: (row) => costOf(row), cell: (row) => usd(costOf(row)) },
      { id: "share", title: "Share", number: true, cell: (row) => shareOf(costOf(row), total) },
      { id: "terms", title: "Terms", cell: (row) => terms(row.status.proposed.terms, most) },
    ],
  });
}

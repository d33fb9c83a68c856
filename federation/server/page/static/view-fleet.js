// The fleet: what stands where, how it is, how much of it is taken, and what needs a look.

import { h } from "./dom.js";
import { cloud, costOf, count, country, gib, healthState, placementState, plural, readyOf, usd, wantedOf } from "./format.js";
import { map } from "./map.js";
import { bar, empty, figures, link, paged, pill, progress, section, serviceHref } from "./parts.js";

const MOST_NAMES = 6;
const MOST_CARDS = 24;
const MOST_TROUBLES = 6;
const MOST_MOVES = 4;

export function fleetView({ store, ui, redraw, width, live }) {
  const { subclusters, openMigrations } = store;
  return [
    h("h1", { tabindex: "-1" }, "Fleet"),
    figures(summary(store)),
    troubles(store),
    openMigrations.length > 0 && section("Under way",
      h("div", { class: "moves" }, openMigrations.slice(0, MOST_MOVES).map((move) => progress(move))),
      openMigrations.length > MOST_MOVES && h("p", null, link("#/migrations", `All ${openMigrations.length} migrations under way`))),
    section("Sub-clusters", subclusters.length ? cards(store, ui, redraw, width)
      : empty(live ? "The fleet has no sub-cluster yet. Declare one with: roam apply -f fleet.yaml" : "Loading …")),
  ];
}

function summary(store) {
  const { subclusters, placements, openMigrations } = store;
  const healthy = subclusters.filter((each) => each.status.health === "Healthy").length;
  const { good, cost } = totals(store);
  return [
    ["Sub-clusters healthy", `${count(healthy)} of ${count(subclusters.length)}`],
    ["Services available", `${count(good)} of ${count(placements.length)}`],
    ["Planned cost", usd(cost), "USD per hour"],
    ["Migrations under way", count(openMigrations.length)],
  ];
}

/** How many placements are well, what they cost together, and those that are not well. */
function totals(store) {
  return store.once("totals", ["placements"], () => {
    const bad = [];
    let cost = 0;
    for (const placement of store.placements) {
      cost += costOf(placement) ?? 0;
      const state = placementState(placement);
      if (state.tone !== "good") bad.push({ placement, state });
    }
    return { good: store.placements.length - bad.length, cost, bad };
  });
}

function troubles(store) {
  const ill = store.subclusters.filter((each) => healthState(each).tone !== "good");
  const { bad } = totals(store);
  const total = ill.length + bad.length;
  if (!total) return null;
  const lines = [
    ...ill.map((each) => [`sub ${each.metadata.name}`, h("strong", null, each.metadata.name), healthState(each), ""]),
    ...bad.slice(0, MOST_TROUBLES).map(({ placement, state }) => {
      const { namespace, name } = placement.metadata;
      return [`${namespace}/${name}`, link(serviceHref(namespace, name), `${namespace}/${name}`), state, `${readyOf(placement)} of ${wantedOf(placement)} ready`];
    }),
  ].slice(0, MOST_TROUBLES);
  return section("Needs a look",
    h("ul", { class: "troubles" }, lines.map(([key, name, state, more]) => h("li", { key }, pill(state), " ", name, more && h("span", { class: "quiet" }, ` ${more}`)))),
    total > lines.length && h("p", { class: "quiet" }, `and ${count(total - lines.length)} more: sort the `, link("#/services", "services"), " by status"));
}

function cards(store, ui, redraw, width) {
  const { shown, buttons } = paged(store.subclusters, MOST_CARDS, ui, redraw, "sub-clusters");
  return h("div", null,
    map(store.subclusters, store.usage, store.openMigrations, width),
    h("div", { class: "cards" }, shown.map((each) => card(each, store))),
    buttons);
}

function card(subcluster, store) {
  const { name } = subcluster.metadata;
  const usage = store.usage.get(name);
  const placed = store.bySubcluster.get(name) ?? [];
  return h("article", { class: "card", key: name },
    h("header", null, h("h3", null, name), pill(healthState(subcluster))),
    h("p", { class: "quiet" }, placeOf(subcluster, usage?.place)),
    usage ? capacity(usage) : h("p", { class: "quiet" }, "reading its capacity …"),
    h("p", { class: "services" }, plural(placed.length, "service"), placed.length > 0 && ": ",
      placed.slice(0, MOST_NAMES).map((one, index) => [index > 0 && ", ", link(serviceHref(one.metadata.namespace, one.metadata.name), one.metadata.name)]),
      placed.length > MOST_NAMES && [" and ", link(`#/services?q=${encodeURIComponent(name)}`, `${count(placed.length - MOST_NAMES)} more`)]));
}

function placeOf({ spec }, place) {
  const ground = place?.cloud && place.cloud !== spec.provider ? `${spec.provider} · ${cloud(place.cloud)}` : cloud(spec.provider);
  const parts = [ground, place?.region ?? spec.region, country(place?.country ?? spec.location?.country)];
  return parts.filter(Boolean).join(" · ");
}

function capacity(usage) {
  const { cpuCores, cpuUsedCores, memoryBytes, memoryUsedBytes, cpuHourUsd, memoryGibHourUsd, usdPerHour } = usage;
  const free = (total, used, show) => (total === null ? "no limit" : `${show(Math.max(0, total - used))} free`);
  const words = (label, total, used, show, unit) =>
    h("span", { class: "split" }, h("span", null, `${label} `, h("b", null, total === null ? show(used) : `${show(used)} of ${show(total)}`), ` ${unit}`),
      h("span", { class: "quiet" }, free(total, used, show)));
  return [
    bar(cpuUsedCores, cpuCores ?? 0, words("CPU", cpuCores, cpuUsedCores, count, "cores")),
    bar(memoryUsedBytes, memoryBytes ?? 0, words("Memory", memoryBytes, memoryUsedBytes, gib, "GiB")),
    h("dl", { class: "prices" },
      h("div", null, h("dt", null, "USD/core-h"), h("dd", null, usd(cpuHourUsd))),
      h("div", null, h("dt", null, "USD/GiB-h"), h("dd", null, usd(memoryGibHourUsd))),
      h("div", null, h("dt", null, "USD/h"), h("dd", null, usd(usdPerHour)))),
  ];
}

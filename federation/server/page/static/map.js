// A map: land as dots, sub-clusters where they stand, moves under way as lines. The cards beside it say the same in words.

import { h } from "./dom.js";
import { healthState, plural } from "./format.js";
import { isLand } from "./world.js";

const LEAST_DEGREES = 16; // from north to south; closer, the coasts would be too rough
const NEAR = 22;
const MOST_LABELS = 12;
const landOf = new Map();

/** The map of sub-clusters that have coordinates, `width` pixels wide; null when none has. */
export function map(subclusters, usage, moves, width) {
  const spots = subclusters
    .map((each) => ({ each, place: usage.get(each.metadata.name)?.place }))
    .filter(({ place }) => typeof place?.latitude === "number");
  if (!spots.length) return null;
  const view = windowOf(spots.map(({ place }) => place), width);
  const groups = grouped(spots.map(({ each, place }) => ({ each, ...view.at(place) })));
  const at = new Map(groups.flatMap((group) => group.members.map((one) => [one.each.metadata.name, one])));
  const label = `Map: ${plural(spots.length, "sub-cluster")} in ${plural(groups.length, "place")}`;
  return h("svg", { class: "map", viewBox: `0 0 ${width} ${view.height}`, role: "img", "aria-label": label },
    h("path", { class: "land", d: land(view), "stroke-width": (view.step * 0.52).toFixed(1) }),
    moves.map((move) => arc(at.get(move.spec.source), at.get(move.spec.target), move.metadata.name)),
    groups.map((group) => marker(group, groups, view)));
}

/** What is shown: all places with a margin, in equal degrees at its middle latitude. */
function windowOf(places, width) {
  const edge = (pick) => [Math.min(...places.map(pick)), Math.max(...places.map(pick))];
  const [west, east] = edge((place) => place.longitude);
  const [south, north] = edge((place) => place.latitude);
  const middle = (south + north) / 2;
  const narrow = Math.max(0.35, Math.cos((middle * Math.PI) / 180));
  const ratio = width > 700 ? 0.3 : 0.5;
  const needed = Math.max((east - west) * 1.3, (Math.max((north - south) * 1.6, LEAST_DEGREES) / ratio) * (1 / narrow));
  const span = Math.min(360, needed);
  const perDegree = width / span;
  const height = Math.round(width * ratio);
  const left = span >= 350 ? -170 : (west + east) / 2 - span / 2;
  const top = middle + (height / 2 / perDegree) * narrow;
  return {
    width, height, left, top, perDegree, narrow, step: Math.max(5.5, width / 120),
    at: ({ longitude, latitude }) => ({
      x: ((((longitude - left) % 360) + 360) % 360) * perDegree,
      y: ((top - latitude) / narrow) * perDegree,
    }),
  };
}

function land(view) {
  const key = [view.width, view.left, view.top, view.perDegree].join();
  if (landOf.has(key)) return landOf.get(key);
  let path = "";
  let row = 0;
  for (let y = view.step / 2; y < view.height; y += view.step * 0.87, row += 1) {
    const latitude = view.top - (y / view.perDegree) * view.narrow;
    for (let x = (row % 2 ? 1 : 0.5) * view.step; x < view.width; x += view.step) {
      const longitude = ((((view.left + x / view.perDegree + 170) % 360) + 360) % 360) - 170;
      if (isLand(longitude, latitude)) path += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
    }
  }
  landOf.clear();
  landOf.set(key, path);
  return path;
}

/** Those that stand too near to be told apart as one group, set out in a ring. */
function grouped(spots) {
  const groups = [];
  for (const spot of spots) {
    const group = groups.find((one) => Math.hypot(one.x - spot.x, one.y - spot.y) < NEAR);
    if (group) group.members.push({ ...spot });
    else groups.push({ x: spot.x, y: spot.y, members: [{ ...spot }] });
  }
  for (const { x, y, members } of groups) {
    const radius = members.length > 1 ? 6 + members.length * 1.6 : 0;
    members.forEach((one, index) => {
      const angle = (index / members.length) * 2 * Math.PI - Math.PI / 2;
      one.x = x + radius * Math.cos(angle);
      one.y = y + radius * Math.sin(angle);
    });
  }
  return groups;
}

function marker(group, groups, view) {
  const { members } = group;
  const names = members.map(({ each }) => each.metadata.name);
  const title = members.map(({ each }) => `${each.metadata.name}: ${healthState(each).text}`).join("\n");
  const many = members.length > 6;
  const dots = many
    ? [h("circle", { class: `spot ${worst(members)}`, cx: group.x, cy: group.y, r: 11 }),
      h("text", { class: "inside", x: group.x, y: group.y + 4, "text-anchor": "middle" }, String(members.length))]
    : members.map((one) => h("circle", { class: `spot ${healthState(one.each).tone}`, cx: one.x, cy: one.y, r: 5.5 }));
  return h("g", { key: names[0] }, h("title", null, title), dots, groups.length <= MOST_LABELS && label(group, groups, view, names, many));
}

function label(group, groups, view, names, many) {
  const reach = group.members.length > 1 ? 24 : 12;
  const crowded = (side) => groups.some((other) => other !== group &&
    (other.x - group.x) * side > 0 && Math.abs(other.x - group.x) < 170 && Math.abs(other.y - group.y) < 40);
  const side = group.x > view.width - 150 || (crowded(1) && !crowded(-1) && group.x > 150) ? -1 : 1;
  const lines = many ? [plural(names.length, "sub-cluster")] : names;
  return lines.map((text, index) => h("text", {
    class: "label",
    x: group.x + side * reach,
    y: group.y + 4 + (index - (lines.length - 1) / 2) * 15,
    "text-anchor": side > 0 ? "start" : "end",
  }, text));
}

function worst(members) {
  const tones = members.map(({ each }) => healthState(each).tone);
  return ["bad", "warn", "plain"].find((tone) => tones.includes(tone)) ?? "good";
}

function arc(from, to, key) {
  if (!from || !to) return null;
  const lift = Math.max(18, Math.hypot(to.x - from.x, to.y - from.y) * 0.25);
  const [mx, my] = [(from.x + to.x) / 2, Math.min(from.y, to.y) - lift];
  return h("path", { key: `arc ${key}`, class: "arc", d: `M${from.x} ${from.y}Q${mx} ${my} ${to.x} ${to.y}` });
}

// Puts the page together: who is signed in, what is looked at, and drawing it anew when something changed.

import { announce, h, patch } from "./dom.js";
import { BASE, pathOf, session } from "./api.js";
import { Feed } from "./feed.js";
import { link, state as moveState } from "./parts.js";
import { Remote } from "./remote.js";
import { explainRefusal, signIn } from "./signin.js";
import { Store } from "./store.js";
import { costsView } from "./view-costs.js";
import { eventsView } from "./view-events.js";
import { fleetView } from "./view-fleet.js";
import { migrationsView } from "./view-migrations.js";
import { serviceView, servicesView } from "./view-services.js";

const VIEWS = [
  ["fleet", "Fleet", fleetView],
  ["services", "Services", servicesView],
  ["migrations", "Migrations", migrationsView],
  ["costs", "Costs", costsView],
  ["events", "Events", eventsView],
];
const top = document.getElementById("top");
const main = document.getElementById("main");
const uis = new Map(); // how each view is sorted, filtered and paged

let ask = {}; // what the sign-in form says
let tab = null; // while signed in: {store, feed, usage, explained, connection, live}
let route = readRoute();

function readRoute() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  const view = VIEWS.find(([name]) => name === parts[0]) ?? VIEWS[0];
  return { view, args: parts.slice(1), query: new URLSearchParams(query) };
}

function uiOf(name) {
  if (!uis.has(name)) uis.set(name, {});
  return uis.get(name);
}

// Drawing: at most once a frame, and after a costly drawing not again before four times its time has passed.
let wanted = false;
let nextAt = 0;
function redraw() {
  if (wanted) return;
  wanted = true;
  const wait = nextAt - performance.now();
  if (wait > 17) setTimeout(() => requestAnimationFrame(draw), wait);
  else requestAnimationFrame(draw);
}

function draw() {
  wanted = false;
  const began = performance.now();
  patch(top, bar());
  patch(main, tab ? view() : signIn(ask, begin));
  nextAt = performance.now() + 4 * (performance.now() - began);
}

function bar() {
  const current = route.view[0];
  return h("div", { class: "top" },
    h("a", { class: "brand", href: "#/fleet", "aria-label": "Roam, to the fleet" }, h("span", { class: "mark", "aria-hidden": "true" }), "Roam"),
    tab && h("nav", { "aria-label": "Views" }, VIEWS.map(([name, title]) =>
      h("a", { href: `#/${name}`, "aria-current": name === current ? "page" : null }, title))),
    tab && h("div", { class: "session" },
      h("span", { class: `connection ${tab.connection}`, role: "status" }, CONNECTIONS[tab.connection]),
      session.namespace && h("span", { class: "quiet" }, session.namespace),
      h("button", { type: "button", class: "flat", onclick: () => end({}) }, "Sign out")));
}

const CONNECTIONS = { loading: "Loading", live: "Live", waiting: "Reconnecting" };

function view() {
  const [name, , render] = route.view;
  const ui = uiOf(name);
  const context = {
    store: tab.store, ui, redraw, route, live: tab.live, explained: tab.explained,
    width: Math.min(1040, Math.max(280, main.clientWidth - 32)),
  };
  const inside = name === "services" && route.args.length === 2 ? serviceView(context) : render(context);
  return h("div", { class: "view", key: location.hash },
    tab.connection === "waiting" && h("p", { class: "note warn", role: "alert" }, `${tab.trouble} What you see may be old; the page tries again by itself.`),
    inside);
}

/** Go where the address says: fresh data, a title, and the focus on the new heading. */
function navigate() {
  route = readRoute();
  const [name, title] = route.view;
  if (route.query.has("q")) Object.assign(uiOf(name), { query: route.query.get("q"), page: 0 });
  document.title = `${route.args.at(-1) ?? title} · Roam`;
  tab?.explained?.stop();
  if (tab) {
    tab.explained = name === "services" && route.args.length === 2
      ? new Remote(pathOf("microservices", route.args[0], route.args[1], "candidates"), redraw) : null;
  }
  draw();
  window.scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}

function changed(plural, object, type) {
  if (plural === "placements" || plural === "subclusters") tab?.usage.ask();
  if (plural !== "events") tab?.explained?.ask();
  if (plural === "migrations" && type && type !== "DELETED") announceMove(object);
  redraw();
}

let lastSaid = "";
function announceMove(migration) {
  const text = `${migration.spec.service}: ${moveState(migration)}`;
  if (text !== lastSaid) announce(text);
  lastSaid = text;
}

/** Sign in: follow the fleet with this token, and find out whether the server takes it. */
function begin(token, namespace) {
  if (!token) {
    ask = { ...ask, error: "Enter the token of this server.", namespace };
    redraw();
    return;
  }
  session.begin(token, namespace);
  ask = { busy: true, token, namespace, namespaced: ask.namespaced };
  const store = new Store(changed);
  const feed = new Feed(store, namespace, told);
  const usage = new Remote(`${BASE}/fleet`, () => {
    if (usage.body) store.setUsage(usage.body.items);
    redraw();
  });
  tab = { store, feed, usage, explained: null, connection: "loading", live: false };
  feed.run();
  navigate();
}

function told(connection, error) {
  if (!tab) return;
  if (connection === "refused") {
    const { token, namespace } = session;
    const keep = error.code === 403;
    end({ ...explainRefusal(error, namespace), token: keep ? token : "", namespace });
    return;
  }
  if (tab.connection === connection && !error) return;
  tab.connection = connection;
  tab.trouble = error?.code ? error.message : "The server does not answer.";
  if (connection === "live") tab.live = true;
  redraw();
}

function end(next) {
  for (const part of [tab?.feed, tab?.usage, tab?.explained]) part?.stop();
  tab = null;
  uis.clear();
  session.end();
  ask = next;
  navigate();
}

window.addEventListener("hashchange", navigate);
window.addEventListener("resize", redraw);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  (main.querySelector("h1") ?? main).focus();
});
if (session.token) begin(session.token, session.namespace);
else navigate();

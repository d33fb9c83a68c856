// What happened, the newest first, as it happens.

import { h } from "./dom.js";
import { count, time, words } from "./format.js";
import { link, pill, serviceHref } from "./parts.js";
import { table } from "./table.js";

export function eventsView({ store, ui, redraw, live }) {
  const rows = filtered(store, ui);
  return [
    h("h1", { tabindex: "-1" }, "Events"),
    h("div", { class: "tools" },
      h("label", null, "Filter ", h("input", { type: "search", value: ui.query ?? "", placeholder: "object, reason or message", spellcheck: "false", oninput: (event) => {
        ui.query = event.target.value;
        ui.page = 0;
        redraw();
      } })),
      h("label", { class: "check" }, h("input", { type: "checkbox", checked: Boolean(ui.warnings), onchange: (event) => {
        ui.warnings = event.target.checked;
        ui.page = 0;
        redraw();
      } }), " warnings only"),
      h("span", { class: "quiet", role: "status" }, `${count(rows.length)} of the last ${count(store.count("events"))}`)),
    table({
      caption: "Events", rows, ui, redraw, compact: true, key: (row) => `${row.metadata.namespace}/${row.metadata.name}`, none: live ? "No event yet." : "Loading …",
      columns: [
        { id: "at", title: "When", cell: (row) => h("time", { datetime: row.eventTime }, time(row.eventTime)) },
      { id: "what", title: "Reason", head: true, by: (row) => row.reason, cell: (row) => pill({ text: words(row.reason), tone: row.type === "Warning" ? "warn" : "plain" }) },
          { id: "about", title: "About", by: about, cell: object },
        { id: "message", title: "Message", cell: (row) => row.message },
      ],
    }),
  ];
}

const about = ({ regarding }) => `${regarding.kind.toLowerCase()}/${regarding.name}`;

function object(row) {
  const { kind, namespace, name } = row.regarding;
  return kind === "Placement" || kind === "Microservice" ? link(serviceHref(namespace, name), name) : about(row);
}

function filtered(store, ui) {
  const query = (ui.query ?? "").trim().toLowerCase();
  return store.once("events", ["events"], () => store.events.filter((row) =>
    (!ui.warnings || row.type === "Warning") &&
    (!query || [about(row), row.reason, row.message].some((text) => text.toLowerCase().includes(query)))));
}

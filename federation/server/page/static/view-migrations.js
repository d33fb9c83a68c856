// Migrations: those under way, live; and those that ended.

import { h } from "./dom.js";
import { NONE, time, words } from "./format.js";
import { empty, link, pill, progress, section, serviceHref, state, toneOf } from "./parts.js";
import { isOpen } from "./store.js";
import { table } from "./table.js";

const MOST = 30;

export function migrationsView({ store, ui, redraw, live }) {
  const { openMigrations } = store;
  const ended = store.once("ended", ["migrations"], () => store.migrations.filter((one) => !isOpen(one)));
  return [
    h("h1", { tabindex: "-1" }, "Migrations"),
    section("Under way",
      openMigrations.length ? h("div", { class: "moves" }, openMigrations.slice(0, MOST).map((move) => progress(move)))
        : empty(live ? "Nothing moves. Start a move with: roam migrate SERVICE --to SUBCLUSTER" : "Loading …"),
      openMigrations.length > MOST && h("p", { class: "quiet" }, `and ${openMigrations.length - MOST} more`)),
    section("Ended", table({
      caption: "Ended migrations", rows: ended, ui, redraw, size: 25, none: live ? "None yet." : "Loading …",
      key: (row) => `${row.metadata.namespace}/${row.metadata.name}`,
      columns: [
        { id: "service", title: "Service", by: (row) => row.spec.service, cell: (row) => link(serviceHref(row.metadata.namespace, row.spec.service), h("span", { class: "quiet" }, `${row.metadata.namespace}/`), row.spec.service) },
        { id: "from", title: "From", by: (row) => row.spec.source, cell: (row) => row.spec.source },
        { id: "to", title: "To", by: (row) => row.spec.target, cell: (row) => row.spec.target },
        { id: "phase", title: "Outcome", by: (row) => row.status.phase, cell: (row) => pill({ text: state(row), tone: toneOf(row.status.phase) }) },
        { id: "reason", title: "Reason", by: (row) => row.spec.reason, cell: (row) => words(row.spec.reason) },
        { id: "at", title: "Ended", by: (row) => endOf(row), cell: (row) => (endOf(row) ? h("time", { datetime: endOf(row) }, time(endOf(row))) : NONE) },
      ],
    })),
  ];
}

const endOf = (row) => row.status.history.at(-1)?.at ?? "";

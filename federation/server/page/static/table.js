// A table that can be sorted and paged; on a narrow screen each row becomes a small card, and stays a row to a screen
// reader: the roles are said, as some browsers forget them when a table is not laid out as one.

import { h } from "./dom.js";
import { NONE } from "./format.js";
import { empty, paged } from "./parts.js";

/**
 * `columns`: `{id, title, cell(row), by(row), number, head}`; the one with `head`, else the first, is the row's
 * heading; `by` makes a column sortable.
 * `compact`: on a narrow screen a row is a line or two, without the columns' titles. `ui` keeps how it is sorted and which page is shown.
 */
export function table({ caption, columns, rows, key, ui, redraw, size = 50, none = "Nothing here.", compact = false }) {
  if (!rows.length) return empty(none);
  const head = columns.find((column) => column.head) ?? columns[0];
  const { shown, buttons } = paged(sorted(rows, columns, ui), size, ui, redraw, caption.toLowerCase());
  return h("div", { class: compact ? "compact" : null },
    h("table", { role: "table" },
      h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((column) => heading(column, ui, redraw)))),
      h("tbody", { role: "rowgroup" }, shown.map((row) => h("tr", { role: "row", key: key(row) }, columns.map((column) =>
        column === head
          ? h("th", { role: "rowheader", scope: "row" }, column.cell(row))
          : cell(column, column.cell(row))))))),
    buttons);
}

function cell(column, content) {
  const classes = [column.number && "number", content === NONE && "none"].filter(Boolean).join(" ");
  return h("td", { role: "cell", class: classes || null, "data-title": column.title }, content);
}

function heading(column, ui, redraw) {
  const props = { role: "columnheader", scope: "col", class: column.number ? "number" : null };
  if (!column.by) return h("th", props, column.title);
  const mine = ui.by === column.id;
  const order = mine ? (ui.down ? "descending" : "ascending") : "none";
  const click = () => {
    ui.down = mine ? !ui.down : Boolean(column.number);
    ui.by = column.id;
    ui.page = 0;
    redraw();
  };
  return h("th", { ...props, "aria-sort": order },
    h("button", { type: "button", onclick: click }, column.title, h("span", { class: `order ${order}`, "aria-hidden": "true" })));
}

const sortings = new WeakMap(); // rows -> what they were sorted by, and the result

function sorted(rows, columns, ui) {
  const by = columns.find((column) => column.id === ui.by)?.by;
  if (!by) return rows;
  const how = `${ui.by} ${ui.down}`;
  const known = sortings.get(rows);
  if (known?.how === how) return known.result;
  const keyed = rows.map((row) => [by(row) ?? "", row]);
  keyed.sort(([a], [b]) => (a === b ? 0 : a < b ? -1 : 1) * (ui.down ? -1 : 1));
  const result = keyed.map(([, row]) => row);
  sortings.set(rows, { how, result });
  return result;
}

"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const value = (row, column) => row.cells[column].dataset.order;
  const words = (row, column) => row.cells[column].textContent.trim();
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const turned = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", turned === 1 ? "ascending" : "descending");
    const numeric = [...body.rows].some((row) => value(row, column) !== undefined);
    const order = (a, b) => {
      if (!numeric) return turned * words(a, column).localeCompare(words(b, column), "en", { numeric: true });
      const [x, y] = [value(a, column), value(b, column)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return turned * (Number(x) - Number(y));
    };
    body.append(...[...body.rows].sort(order));
  }));
}
for (const text of document.querySelectorAll(".tokens")) {
  const tooltip = text.closest("section").querySelector("output.tooltip");
  const say = (span) => { tooltip.textContent = `${text.dataset.model}: ${span.title}`; };
  text.addEventListener("mouseover", (event) => { if (event.target.title) say(event.target); });
  text.addEventListener("focusin", (event) => say(event.target));
  text.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = step && (step > 0 ? event.target.nextElementSibling : event.target.previousElementSibling);
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

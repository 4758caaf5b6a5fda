for (const header of document.querySelectorAll("th button")) {
  header.addEventListener("click", () => {
    const cell = header.parentElement, table = cell.closest("table"), body = table.tBodies[0];
    const sorted = cell.getAttribute("aria-sort"), first = cell.classList.contains("number") ? "descending" : "ascending";
    const next = sorted === "none" ? first : sorted === "ascending" ? "descending" : "ascending";
    for (const other of cell.parentElement.cells) other.setAttribute("aria-sort", "none");
    cell.setAttribute("aria-sort", next);
    const value = (row) => row.cells[cell.cellIndex].dataset.value ?? row.cells[cell.cellIndex].textContent;
    const number = (text) => (text === "" ? -Infinity : Number(text));
    const order = (one, other) => {
      const difference = number(value(one)) - number(value(other));
      return Number.isNaN(difference) ? value(one).localeCompare(value(other)) : difference;
    };
    const rows = [...body.rows].sort((one, other) => (next === "ascending" ? order(one, other) : order(other, one)));
    body.replaceChildren(...rows);
  });
}

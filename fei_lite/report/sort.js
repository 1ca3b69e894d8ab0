// Tables of class "sortable" are sorted by a click on a head; undefined values go last.
document.querySelectorAll("table.sortable").forEach(table => {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => {
      const cell = row.cells[column], text = cell.dataset.sort ?? cell.textContent.trim();
      const number = Number(text.replace(/\u202f/g, "").replace("\u2212", "-").split(" ")[0]);
      return text === "" || text === "\u2013" ? null : Number.isNaN(number) ? text : number;
    };
    const body = table.tBodies[0];
    [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return down ? -order : order;
    }).forEach(row => body.append(row));
  }));
});

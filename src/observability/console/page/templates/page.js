// Swaps the content when the view changes, and shows new rows as the server sends them.
const $ = (id) => document.getElementById(id);
let source, turns = 0, shown = location.pathname + location.search;

async function show(address, push) {
  const turn = ++turns, response = await fetch(address);
  if (!response.ok) return location.assign(address);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (turn !== turns) return; // the user has chosen a later view meanwhile
  for (const id of ["content", "periods", ...(push ? [] : ["filter"])]) $(id).replaceWith(page.getElementById(id));
  if (push) history.pushState(null, "", address);
  shown = location.pathname + location.search;
  listen();
  loadLower();
}

async function loadLower() {
  const place = $("lower"), response = await fetch(place.dataset.source);
  if (response.ok && place === $("lower")) place.innerHTML = await response.text();
}

function addressOf(form) {
  const values = [...new FormData(form)].filter(([name, value]) => value && !(name === "period" && value === "24h"));
  const query = new URLSearchParams(values).toString();
  return "/" + (query && "?" + query);
}

function listen() {
  source?.close();
  const on = $("live").getAttribute("aria-pressed") === "true" && !$("rows").dataset.older;
  if (!on) return;
  const query = new URLSearchParams(location.search);
  query.set("after", $("content").dataset.newest);
  source = new EventSource("/events?" + query);
  source.addEventListener("rows", (event) => add(JSON.parse(event.data)));
  source.addEventListener("tiles", (event) => { $("tiles").innerHTML = JSON.parse(event.data); });
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000); };
}

function add(html) {
  const rows = $("rows"), before = rows.children.length;
  rows.insertAdjacentHTML("afterbegin", html);
  const count = rows.children.length - before;
  for (const row of [...rows.children].slice(0, count)) row.classList.add("new");
  while (rows.children.length > 200) rows.lastElementChild.remove();
  document.querySelector(".empty")?.remove();
  $("status").textContent = count === 1 ? "1 new row" : count + " new rows";
}

function filter(event) {
  const form = event.target.closest("#filter");
  if (!form) return;
  event.preventDefault();
  show(addressOf(form), true);
}

if ($("filter")) {
  document.addEventListener("change", filter);
  document.addEventListener("submit", filter);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const form = $("filter"), period = link.dataset.period;
    if (period) form.elements.period.value = period;
    show(period ? addressOf(form) : link.href, true);
  });
  addEventListener("popstate", () => { if (location.pathname + location.search !== shown) show(location.href, false); });
  $("live").hidden = false;
  $("live").addEventListener("click", (event) => {
    const button = event.currentTarget, on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    listen();
  });
  listen();
  loadLower();
}

// A click on a column's header sorts the table: numbers descending, names ascending. A second click reverses the order.
document.addEventListener("click", (event) => {
  const cell = event.target.closest("th[aria-sort]");
  if (!cell || !event.target.closest("button")) return;
  const first = cell.classList.contains("number") ? "descending" : "ascending", sorted = cell.getAttribute("aria-sort");
  const next = sorted === "none" ? first : sorted === "ascending" ? "descending" : "ascending";
  for (const other of cell.parentElement.cells) other.setAttribute("aria-sort", "none");
  cell.setAttribute("aria-sort", next);
  const value = (row) => row.cells[cell.cellIndex].dataset.value ?? row.cells[cell.cellIndex].textContent;
  const number = (text) => (text === "" ? -Infinity : Number(text));
  const order = (one, other) => {
    const difference = number(value(one)) - number(value(other));
    return Number.isNaN(difference) ? value(one).localeCompare(value(other)) : difference;
  };
  const body = cell.closest("table").tBodies[0];
  body.replaceChildren(...[...body.rows].sort((one, other) => (next === "ascending" ? order(one, other) : order(other, one))));
});

// A tooltip with a mark's label, which screen readers read.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);
document.addEventListener("pointermove", (event) => {
  const mark = event.target.closest?.("g[aria-label]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.getAttribute("aria-label").replace(": ", "\n").replaceAll("; ", "\n");
  const width = tip.offsetWidth, height = tip.offsetHeight;
  tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - width - 8)) + "px";
  tip.style.top = (event.clientY + height + 24 > innerHeight ? event.clientY - height - 12 : event.clientY + 16) + "px";
});
document.querySelector("[data-back]")?.addEventListener("click", (event) => {
  if (history.length > 1) { event.preventDefault(); history.back(); }
});

// Swaps the content when the view changes, and shows new rows as the server sends them.
const $ = (id) => document.getElementById(id);
let source;

async function show(address, push) {
  const response = await fetch(address);
  if (response.status === 403) return location.assign(address);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of ["content", "periods"]) {
    const part = page.getElementById(id);
    if (!part) return location.assign(address);
    $(id).replaceWith(part);
  }
  $("filter").elements.period.value = page.getElementById("filter").elements.period.value;
  if (push) history.pushState(null, "", address);
  listen();
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

if ($("filter")) {
  $("filter").addEventListener("change", (event) => show(addressOf(event.currentTarget), true));
  $("filter").addEventListener("submit", (event) => { event.preventDefault(); show(addressOf(event.currentTarget), true); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    show(link.href, true);
  });
  addEventListener("popstate", () => location.reload());
  $("live").hidden = false;
  $("live").addEventListener("click", (event) => {
    const button = event.currentTarget, on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    listen();
  });
  listen();
}
document.querySelector("[data-back]")?.addEventListener("click", (event) => {
  if (history.length > 1) { event.preventDefault(); history.back(); }
});

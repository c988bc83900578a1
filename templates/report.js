"use strict";
// The findings table. Texts of providers reach the page through textContent only.
(async () => {
  const byId = (id) => document.getElementById(id);
  const el = (tag, props = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(props)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key === "text") node.textContent = value;
      else node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  };

  async function copy(text, button) {
    let done = false;
    try { await navigator.clipboard.writeText(text); done = true; } catch {
      const area = el("textarea", { readonly: true, class: "hidden" });
      area.value = text;
      (button.closest("dialog") || document.body).append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    const before = button.textContent;
    button.textContent = done ? "Copied" : "Copying is not allowed";
    setTimeout(() => { button.textContent = before; }, 1600);
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(byId(button.dataset.copy).textContent.trim(), button));
  }

  // A table that is wider than the page can be scrolled with the keyboard.
  const reachable = () => {
    for (const box of document.querySelectorAll(".wide")) {
      const over = box.scrollWidth > box.clientWidth;
      for (const [name, text] of [["tabindex", "0"], ["role", "group"], ["aria-label", box.querySelector("caption").textContent]]) {
        if (over) box.setAttribute(name, text); else box.removeAttribute(name);
      }
    }
  };
  window.addEventListener("resize", reachable);
  document.addEventListener("toggle", reachable, true);
  reachable();

  if (typeof DecompressionStream === "undefined") return;
  const packed = atob(byId("embedded-findings").textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = JSON.parse(await new Response(stream).text());
  byId("embedded-findings").remove();

  const total = data.rows;
  const columns = data.columns;
  const raw = (name, row) => {
    const column = columns[name];
    return column.index ? column.values[column.index[row]] : column.values[row];
  };
  const marked = new Set(["detail", "fix", "blast", "path", "evidence", "url", "subject", "resource", "not_observed"]);
  const value = (name, row) => {
    const text = raw(name, row);
    if (text === null || !marked.has(name)) return text;
    return text.replace(/[\u0001-\u0003]/g, (mark) =>
      raw(["subject_name", "identity_name", "account_name"][mark.charCodeAt(0) - 1], row));
  };
  const SEVERITIES = ["critical", "high", "medium", "low", "info"];
  const STATUSES = ["new", "open", "reopened", "excepted", "unobserved", "error", "resolved"];
  const SHAPES = { critical: "◆", high: "▲", medium: "■", low: "●", info: "○" };
  const SIGNS = { new: "+", reopened: "↺", open: "–", resolved: "✓", unobserved: "?", excepted: "‖", error: "!" };
  const shape = (text) => el("span", { class: "shape", "aria-hidden": "true", text });
  const severity = (name) => el("span", { class: `severity ${name}` }, shape(SHAPES[name]), ` ${name}`);
  const status = (name) => el("span", { class: `status ${name}` }, shape(SIGNS[name]), ` ${name}`);
  const owner = (name) => name === null ? el("span", { class: "nobody", text: "no owner" }) : el("bdi", { text: name });
  const isOpen = (row) => ["new", "open", "reopened"].includes(raw("status", row));
  const late = (row) => raw("overdue", row) !== null;

  // Filters: values by facet; rows keep the order of the file, most urgent first.
  const FACETS = { severity: "Severity", status: "Status", category: "Category", provider: "Provider", account_name: "Account", owner: "Owner", surface: "Surface" };
  const chosen = Object.fromEntries(Object.keys(FACETS).map((name) => [name, new Set()]));
  const label = (facet, text) => text === null ? (facet === "owner" ? "no owner" : "unknown") : text;
  let words = [];
  let sort = { name: null, down: false };
  let rows = [];
  let hay = null;
  const haystack = () => {
    if (hay) return hay;
    hay = new Array(total);
    const searched = ["id", "subject_name", "subject", "identity_name", "account_name", "owner", "title", "rule", "detail"];
    for (let row = 0; row < total; row++) hay[row] = searched.map((name) => value(name, row) || "").join("\n").toLowerCase();
    return hay;
  };
  // A facet's test as one byte per dictionary entry, so that 200,000 rows take milliseconds.
  const tests = () => Object.entries(chosen).filter(([, set]) => set.size).map(([name, set]) => {
    const column = columns[name];
    if (!column.index) return (row) => set.has(column.values[row]);
    const pass = column.values.map((text) => set.has(text));
    return (row) => pass[column.index[row]];
  });
  const rank = (name) => {
    const order = name === "severity" ? SEVERITIES : name === "status" ? STATUSES : null;
    const column = columns[name];
    const compare = (a, b) => a === b ? 0 : a === null ? 1 : b === null ? -1 : order ? order.indexOf(a) - order.indexOf(b) : a < b ? -1 : 1;
    if (!column.index) return (a, b) => compare(column.values[a], column.values[b]);
    const place = [];
    column.values.map((text, index) => index).sort((a, b) => compare(column.values[a], column.values[b])).forEach((index, at) => { place[index] = at; });
    return (a, b) => place[column.index[a]] - place[column.index[b]];
  };
  function filter() {
    const all = tests();
    const texts = words.length ? haystack() : null;
    rows = [];
    const some = all.length || texts;
    for (let row = 0; row < total; row++) {
      if (!some || all.every((test) => test(row)) && (!texts || words.every((word) => texts[row].includes(word)))) rows.push(row);
    }
    if (sort.name) {
      const compare = rank(sort.name);
      rows.sort((a, b) => (sort.down ? -compare(a, b) : compare(a, b)) || a - b);
    }
    active = 0;
    view.scrollTop = 0;
    byId("count").textContent = `${rows.length.toLocaleString("en")} of ${total.toLocaleString("en")} findings`;
    grid.setAttribute("aria-rowcount", rows.length + 1);
    draw(true);
  }

  // The table: only the rows in sight exist. Browsers cap the height of an element, so very long lists scroll scaled.
  const HEAD = [["severity", "Severity"], ["status", "Status"], ["subject_name", "Finding"], ["owner", "Owner"], ["account_name", "Account"], ["first_seen", "First seen"], ["due_at", "Due"]];
  const CAP = 15e6;
  const grid = byId("grid");
  const body = el("div", { class: "rows" });
  const sizer = el("div");
  const view = el("div", { class: "view", role: "rowgroup", tabindex: "0", "aria-label": "Rows" }, sizer, body);
  const headers = HEAD.map(([name, text]) => el("div", { role: "columnheader" },
    el("button", { type: "button", text, onclick: () => {
      sort = sort.name !== name ? { name, down: false } : !sort.down ? { name, down: true } : { name: null, down: false };
      headers.forEach((header, at) => {
        if (HEAD[at][0] === sort.name) header.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
        else header.removeAttribute("aria-sort");
      });
      filter();
    } })));
  grid.append(el("div", { role: "rowgroup" }, el("div", { role: "row", class: "head", "aria-rowindex": "1" }, ...headers)), view);
  const head = grid.querySelector(".head");
  let active = 0;
  let from = -1;
  let height = 52;
  function cells(row) {
    const due = raw("due_at", row);
    return [
      severity(raw("severity", row)),
      status(raw("status", row)),
      el("span", {}, el("button", { type: "button", class: "name" }, el("bdi", { text: raw("subject_name", row) })), el("span", { class: "line", text: raw("title", row) })),
      owner(raw("owner", row)),
      el("bdi", { text: raw("account_name", row) || raw("account_id", row) }),
      el("time", { text: raw("first_seen", row) }),
      el("time", { class: late(row) && "late", datetime: due, text: due === null ? "none" : late(row) ? `${due} !` : due }, late(row) ? el("span", { class: "hidden", text: " overdue" }) : null),
    ].map((node) => el("div", { role: "cell" }, node));
  }
  function draw(force) {
    const full = rows.length * height;
    const tall = Math.min(full, CAP);
    const room = view.clientHeight;
    sizer.style.height = `${tall}px`;
    const share = full > tall ? view.scrollTop / Math.max(tall - room, 1) : 0;
    const top = full > tall ? share * (full - room) : view.scrollTop;
    const first = Math.max(0, Math.floor(top / height) - 4);
    const held = body.contains(document.activeElement);
    body.style.transform = `translateY(${view.scrollTop - (top - first * height)}px)`;
    if (first === from && !force) return;
    from = first;
    head.style.paddingRight = `calc(.9rem + ${view.offsetWidth - view.clientWidth}px)`;
    const last = Math.min(rows.length, first + Math.ceil(room / height) + 9);
    const drawn = [];
    for (let at = first; at < last; at++) {
      const line = el("div", { role: "row", "aria-rowindex": at + 2, "data-at": at }, ...cells(rows[at]));
      line.querySelector(".name").tabIndex = at === active ? 0 : -1;
      drawn.push(line);
    }
    body.replaceChildren(...(drawn.length ? drawn : [el("div", { role: "row" }, el("div", { role: "cell", class: "none", text: "No finding matches these filters." }))]));
    if (held) (body.querySelector(`[data-at="${active}"] .name`) || view).focus({ preventScroll: true });
  }
  function move(to) {
    active = Math.max(0, Math.min(rows.length - 1, to));
    const full = rows.length * height;
    const tall = Math.min(full, CAP);
    const room = view.clientHeight;
    const scale = full > tall ? (full - room) / Math.max(tall - room, 1) : 1;
    const top = view.scrollTop * scale;
    if (active * height < top) view.scrollTop = active * height / scale;
    else if ((active + 1) * height > top + room) view.scrollTop = ((active + 1) * height - room) / scale;
    draw(true);
    const button = body.querySelector(`[data-at="${active}"] .name`);
    if (button) button.focus({ preventScroll: true });
  }
  view.addEventListener("scroll", () => requestAnimationFrame(() => draw(false)));
  view.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(view.clientHeight / height) - 1);
    const to = { ArrowDown: active + (body.contains(document.activeElement) ? 1 : 0), ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || !rows.length) {
      if (event.key === "Enter" && event.target === view && rows.length) show(rows[active]);
      return;
    }
    event.preventDefault();
    move(to);
  });
  view.addEventListener("click", (event) => {
    const line = event.target.closest("[data-at]");
    if (!line) return;
    active = Number(line.dataset.at);
    for (const button of body.querySelectorAll(".name")) button.tabIndex = -1;
    line.querySelector(".name").tabIndex = 0;
    show(rows[active]);
  });

  // One finding in full.
  const sheet = byId("details");
  const web = (text) => /^https?:\/\//.test(text || "") ? text : null;
  function show(row) {
    const part = (term, ...nodes) => el("div", {}, el("dt", { text: term }), el("dd", {}, ...nodes));
    const said = (term, name) => value(name, row) === null ? null : part(term, el("bdi", { text: value(name, row) }));
    const fix = data.fixes[raw("rule", row)];
    const why = document.querySelector(`#rule-${CSS.escape(raw("rule", row))} .why`);
    const path = value("path", row);
    const evidence = (value("evidence", row) || "").split("\n").filter(Boolean).map((line) => line.split("\t"));
    const link = web(value("url", row));
    const id = raw("id", row);
    const here = `${location.href.split("#")[0]}#${id}`;
    sheet.replaceChildren(
      el("div", { class: "bar-top" },
        el("span", {}, severity(raw("severity", row)), "  ", status(raw("status", row)), raw("confidence", row) === "low" ? el("span", { class: "doubt", text: "  low confidence" }) : null),
        el("button", { type: "button", text: "Close", onclick: () => sheet.close() })),
      el("h2", { id: "details-title" }, el("bdi", { text: raw("subject_name", row) })),
      el("p", { class: "quiet", text: raw("title", row) }),
      el("dl", {}, ...[
        said("Finding", "detail"), said("Remediation", "fix"), said("Blast radius", "blast"),
        path ? part("Attack path", el("ol", { class: "path" }, ...path.split("\n").map((step) => el("li", {}, el("bdi", { text: step }))))) : null,
        why ? part("Why it matters", why.textContent) : null,
        fix && fix !== value("fix", row) ? part("General remediation", fix) : null,
        part("Owner", owner(raw("owner", row))),
        said("Account", "account_name"), said("Identity", "identity_name"), said("Resource", "resource"),
        said("Environment", "environment"), said("First seen", "first_seen"), said("Status changed", "changed_at"), said("Due", "due_at"),
        said("Exception", "exception_id"), said("Resolved in run", "gone_in"), said("Not observed", "not_observed"),
        ...evidence.map(([key, text]) => part(key.replaceAll("_", " "), el("bdi", { text }))),
        part("Subject", el("code", { text: value("subject", row) })),
        part("Rule", el("code", { text: raw("rule", row) })),
        part("Finding ID", el("code", { text: id })),
      ].filter((node) => node !== null)),
      el("p", { class: "actions" },
        el("button", { type: "button", text: "Copy link", onclick: (event) => copy(here, event.currentTarget) }),
        el("button", { type: "button", text: "Copy subject", onclick: (event) => copy(value("subject", row), event.currentTarget) }),
        link ? el("a", { href: link, rel: "noopener noreferrer", text: `Open at ${raw("provider", row)}` }) : null));
    sheet.scrollTop = 0;
    if (!sheet.open) sheet.showModal();
    history.replaceState(null, "", `#${id}`);
  }
  sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
  sheet.addEventListener("close", () => history.replaceState(null, "", location.href.split("#")[0] + "#findings"));
  function follow() {
    const id = location.hash.slice(1);
    if (!id.startsWith("nf")) return;
    for (let row = 0; row < total; row++) if (raw("id", row) === id) { show(row); return; }
  }
  window.addEventListener("hashchange", follow);

  // Export, with the guard against spreadsheet formulas (https://owasp.org/www-community/attacks/CSV_Injection).
  const EXPORT = { finding_id: "id", rule_id: "rule", category: "category", title: "title", severity: "severity", status: "status", provider: "provider", scope_id: "account_id", scope_name: "account_name", subject_id: "subject", subject_name: "subject_name", identity_name: "identity_name", resource_id: "resource", owner: "owner", environment: "environment", first_seen_at: "first_seen", status_changed_at: "changed_at", due_at: "due_at", evidence_summary: "detail", impact: "blast", remediation: "fix", remediation_url: "url", exception_id: "exception_id" };
  const cell = (text) => {
    if (text === null) return "";
    let safe = text.replace(/[\r\n]+/g, " ");
    if (/^[\s\p{Z}\p{C}]*[=+\-@\t\r\uFF1D\uFF0B\uFF0D\uFF20]/u.test(safe)) safe = `'${safe}`;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  byId("export").addEventListener("click", () => {
    const lines = [Object.keys(EXPORT).join(",")];
    for (const row of rows) lines.push(Object.values(EXPORT).map((name) => cell(value(name, row))).join(","));
    const link = el("a", { href: URL.createObjectURL(new Blob([lines.join("\r\n"), "\r\n"], { type: "text/csv" })), download: "findings-filtered.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  // Controls.
  const counts = (name) => {
    const column = columns[name];
    const found = new Map();
    if (!column.index) {
      for (const text of column.values) found.set(text, (found.get(text) || 0) + 1);
      return found;
    }
    const sums = new Array(column.values.length).fill(0);
    for (const place of column.index) sums[place]++;
    column.values.forEach((text, place) => found.set(text, sums[place]));
    return found;
  };
  const form = document.querySelector(".filters");
  for (const [name, order, shapes] of [["severity", SEVERITIES, SHAPES], ["status", STATUSES, SIGNS]]) {
    const found = counts(name);
    // By severity the open ones are counted, as in the summary.
    const open = new Map();
    for (let row = 0; row < total; row++) if (isOpen(row)) open.set(raw(name, row), (open.get(raw(name, row)) || 0) + 1);
    const shown = (text) => name === "status" ? found.get(text).toLocaleString("en") : `${(open.get(text) || 0).toLocaleString("en")} open`;
    form.querySelector(`[data-facet="${name}"]`).append(el("span", { class: "legend", text: FACETS[name] }), ...order.filter((text) => found.has(text)).map((text) => {
      const button = el("button", { type: "button", class: text, "aria-pressed": "false", "data-value": text }, shape(shapes[text]), ` ${text} ${shown(text)}`);
      button.addEventListener("click", () => {
        if (!chosen[name].delete(text)) chosen[name].add(text);
        button.setAttribute("aria-pressed", String(chosen[name].has(text)));
        filter();
      });
      return button;
    }));
  }
  const selects = {};
  for (const name of ["owner", "account_name", "provider", "category", "surface"]) {
    const found = [...counts(name)].sort((a, b) => (b[0] === null) - (a[0] === null) || b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const texts = found.map(([text]) => text);
    const select = el("select", { onchange: () => {
      chosen[name].clear();
      if (select.value !== "") chosen[name].add(texts[Number(select.value)]);
      filter();
    } }, el("option", { value: "", text: "all" }), ...found.map(([text, number], at) => el("option", { value: String(at), text: `${label(name, text)} (${number.toLocaleString("en")})` })));
    selects[name] = { select, texts };
    form.querySelector(".selects").append(el("label", {}, FACETS[name], select));
  }
  let timer;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => { words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean); filter(); }, 120);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  function clear() {
    words = [];
    byId("search").value = "";
    for (const { select } of Object.values(selects)) select.value = "";
    for (const set of Object.values(chosen)) set.clear();
    for (const button of form.querySelectorAll("[aria-pressed]")) button.setAttribute("aria-pressed", "false");
  }
  form.addEventListener("reset", () => { clear(); filter(); });
  for (const anchor of document.querySelectorAll("a[data-facet]")) {
    anchor.addEventListener("click", () => {
      const { select, texts } = selects[anchor.dataset.facet];
      const at = texts.indexOf(anchor.dataset.value === "" ? null : anchor.dataset.value);
      clear();
      if (at < 0) return filter();
      select.value = String(at);
      select.dispatchEvent(new Event("change"));
      for (const button of form.querySelectorAll('[data-facet="status"] button')) {
        const on = ["new", "open", "reopened"].includes(button.dataset.value);
        chosen.status[on ? "add" : "delete"](button.dataset.value);
        button.setAttribute("aria-pressed", String(on));
      }
      filter();
    });
  }

  // On paper: the first thousand rows of the current filter.
  window.addEventListener("beforeprint", () => {
    const first = rows.slice(0, 1000);
    const table = el("table", {}, el("caption", { text: rows.length > first.length ? `First ${first.length} of ${rows.length} findings; findings.csv has all of them` : `${rows.length} findings` }),
      el("thead", {}, el("tr", {}, ...HEAD.map(([, text]) => el("th", { scope: "col", text })))),
      el("tbody", {}, ...first.map((row) => el("tr", {}, ...cells(row).map((node) => el("td", {}, ...node.childNodes))))));
    for (const button of table.querySelectorAll("button")) button.replaceWith(...button.childNodes);
    byId("printed").replaceChildren(table);
  });
  window.addEventListener("afterprint", () => byId("printed").replaceChildren());

  byId("still").hidden = true;
  byId("explorer").hidden = false;
  height = parseFloat(getComputedStyle(grid).getPropertyValue("--row")) || 52;
  window.addEventListener("resize", () => { height = parseFloat(getComputedStyle(grid).getPropertyValue("--row")) || 52; draw(true); });
  filter();
  // The page above a link's target has another height now.
  const aimed = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (aimed) aimed.scrollIntoView({ behavior: "instant" });
  follow();
})();

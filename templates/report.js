"use strict";
(async () => {
  const byId = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  function put(node, attributes, kids) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "text") node.textContent = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...kids.filter((kid) => kid !== null && kid !== undefined));
    return node;
  }
  const el = (tag, attributes, ...kids) => put(document.createElement(tag), attributes, kids);
  const svg = (tag, attributes, ...kids) => put(document.createElementNS(SVG, tag), attributes, kids);
  const SEVERITIES = ["critical", "high", "medium", "low", "info"];
  const SHAPES = { critical: "◆", high: "▲", medium: "■", low: "●", info: "○" };
  const SIGNS = { new: "+", reopened: "↺", open: "–", resolved: "✓", unobserved: "?", excepted: "‖", error: "!" };
  const OPEN = ["new", "open", "reopened"];
  const NONE = "~none";
  const sev = (name) => el("span", { class: `sev ${name}` }, el("span", { "aria-hidden": "true", text: SHAPES[name] || "" }), ` ${name}`);
  const brief = (text) => (text || "").replaceAll("/.github/workflows/", " › ");
  const owner = (name) => name === null ? el("span", { class: "noone", text: "no owner" }) : el("bdi", { text: name });
  const said = (text) => { byId("said").textContent = text; };
  const many = (count, one, more) => `${count.toLocaleString("en")} ${count === 1 ? one : more || `${one}s`}`;
  const root = document.documentElement;

  // What needs no data: theme, hints, printing, the place in the contents.
  document.querySelector(".tools").hidden = false;
  const themes = ["auto", "light", "dark"];
  let theme = 0;
  byId("theme").addEventListener("click", (event) => {
    theme = (theme + 1) % 3;
    if (theme) root.dataset.theme = themes[theme]; else delete root.dataset.theme;
    event.currentTarget.textContent = `Theme: ${themes[theme]}`;
    event.currentTarget.setAttribute("aria-label", `Color theme: ${theme ? themes[theme] : "automatic"}`);
  });
  byId("print-one").addEventListener("click", () => { root.classList.add("one"); window.print(); });
  window.addEventListener("afterprint", () => { root.classList.remove("one"); byId("printed").replaceChildren(); });
  const tip = byId("tip");
  let leaving;
  function hint(link) {
    clearTimeout(leaving);
    tip.textContent = byId(`gd-${link.dataset.term}`).textContent;
    tip.hidden = false;
    link.setAttribute("aria-describedby", "tip");
    const box = link.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8)) + scrollX}px`;
    const below = box.bottom + tip.offsetHeight + 8 < innerHeight;
    tip.style.top = `${(below ? box.bottom + 4 : box.top - tip.offsetHeight - 4) + scrollY}px`;
  }
  const unhint = () => { leaving = setTimeout(() => { tip.hidden = true; }, 150); };
  for (const link of document.querySelectorAll("[data-term]")) {
    link.addEventListener("mouseenter", () => hint(link));
    link.addEventListener("focus", () => hint(link));
    link.addEventListener("mouseleave", unhint);
    link.addEventListener("blur", unhint);
  }
  tip.addEventListener("mouseenter", () => clearTimeout(leaving));
  tip.addEventListener("mouseleave", unhint);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  const marks = new Map([...document.querySelectorAll(".rail a")].map((link) => [link.hash.slice(1), link]));
  const spy = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) for (const [id, link] of marks) {
      link.classList.toggle("on", id === entry.target.id);
      if (id === entry.target.id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-10% 0px -80%" });
  for (const id of marks.keys()) spy.observe(byId(id));
  async function copy(text, button) {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = el("textarea", { class: "hidden" });
      area.value = text;
      (byId("sheet").open ? byId("sheet") : document.body).append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const before = button.textContent;
    button.textContent = "Copied";
    said("Copied");
    setTimeout(() => { button.textContent = before; }, 1200);
  }
  const copier = (label, text) => el("button", { type: "button", text: label, onclick: (event) => copy(typeof text === "function" ? text() : text, event.currentTarget) });
  for (const code of document.querySelectorAll("code.copy")) code.after(" ", put(copier("Copy", code.textContent), { "aria-label": `Copy ${code.textContent}` }, []));

  // The data. Without DecompressionStream the report is read as it stands.
  if (!("DecompressionStream" in window)) { root.classList.add("still"); return; }
  const bytes = Uint8Array.from(atob(byId("payload").textContent), (char) => char.charCodeAt(0));
  const data = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  byId("payload").remove();
  class Table {
    constructor(columns) {
      this.columns = columns;
      this.length = (Object.values(columns)[0].i || Object.values(columns)[0].v).length;
    }
    get(name, row) { const column = this.columns[name]; return column.i ? column.v[column.i[row]] : column.v[row]; }
    indexed(name) {
      const column = this.columns[name];
      if (column.i) return column;
      const places = new Map();
      const i = column.v.map((value) => { if (!places.has(value)) places.set(value, places.size); return places.get(value); });
      this.columns[name] = { v: [...places.keys()], i };
      return this.columns[name];
    }
    find(name, value) { for (let row = 0; row < this.length; row++) if (this.get(name, row) === value) return row; return -1; }
    where(name, value) { const found = []; for (let row = 0; row < this.length; row++) if (this.get(name, row) === value) found.push(row); return found; }
  }
  const [F, I, C, S, T, X, E, R, G] = ["F", "I", "C", "S", "T", "X", "E", "R", "G"].map((name) => new Table(data[name]));
  // Sentences hold one control character for each name of their own row: the subject's, the identity's, the account's.
  const NAMES = ["name", "iname", "account"];
  const MARKED = new Set(["detail", "fix", "blast", "path", "evidence", "url", "subject", "resource", "unseen"]);
  const stored = F.get;
  F.get = (name, row) => {
    const value = stored.call(F, name, row);
    return MARKED.has(name) && value !== null ? value.replace(/[\u0001-\u0003]/g, (mark) => stored.call(F, NAMES[mark.charCodeAt(0) - 1], row)) : value;
  };
  const ruleOf = (id) => data.rules[id] || { t: id, w: "", f: "", n: [], c: {} };
  const controlsOf = (rule, provider) => [...(ruleOf(rule).c[""] || []), ...(ruleOf(rule).c[provider] || [])];
  F.columns.title = { v: F.indexed("rule").v.map((rule) => ruleOf(rule).t), i: F.indexed("rule").i };
  const [byRule, byProvider] = [F.indexed("rule"), F.indexed("provider")];
  const cited = new Map();
  F.columns.controls = { v: [], i: byRule.i.map((rule, row) => {
    const key = rule * byProvider.v.length + byProvider.i[row];
    if (!cited.has(key)) cited.set(key, cited.size);
    return cited.get(key);
  }) };
  F.columns.controls.v = [...cited.keys()].map((key) => controlsOf(byRule.v[Math.floor(key / byProvider.v.length)], byProvider.v[key % byProvider.v.length]).join("|") || null);
  const isOpen = (row) => OPEN.includes(F.get("status", row));
  const late = (row) => isOpen(row) && F.get("due", row) !== null && F.get("due", row) < data.asof;

  let home = "";
  // A grid of which only the rows in sight exist. Browsers cap the height of an element, so very long lists scroll scaled.
  const CAP = 15e6;
  class Grid {
    constructor({ role, label, head, line, open, toggle, sorted }) {
      Object.assign(this, { line, open, toggle, items: [], active: 0, from: -1, height: 46 });
      this.body = el("div", { class: "rows" });
      this.sizer = el("div");
      this.view = el("div", { class: "view", role: "rowgroup", tabindex: "0", "aria-label": "Rows" }, this.sizer, this.body);
      this.headers = head.map(([text, name]) => el("div", { role: "columnheader" }, name && sorted ? el("button", { type: "button", text, onclick: (event) => {
        const header = event.currentTarget.parentNode;
        const down = header.getAttribute("aria-sort") === "ascending";
        for (const other of this.headers) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", down ? "descending" : "ascending");
        sorted(name, down);
      } }) : document.createTextNode(text)));
      this.root = el("div", { class: `tree ${role === "treegrid" ? "f" : "g"}`, role, "aria-label": label }, el("div", { role: "rowgroup" }, el("div", { role: "row", class: "head", "aria-rowindex": "1" }, ...this.headers)), this.view);
      this.view.addEventListener("scroll", () => requestAnimationFrame(() => this.draw(false)));
      this.view.addEventListener("keydown", (event) => this.key(event));
      this.view.addEventListener("click", (event) => {
        const line = event.target.closest("[data-at]");
        if (!line) return;
        this.active = Number(line.dataset.at);
        this.act();
      });
      new ResizeObserver(() => this.draw(true)).observe(this.root);
    }
    act() { const item = this.items[this.active]; if (item) (item.level && item.level < 3 ? this.toggle : this.open)(item, this.active); }
    set(items, keep) {
      this.items = items;
      this.root.setAttribute("aria-rowcount", items.length + 1);
      if (!keep) { this.active = 0; this.view.scrollTop = 0; }
      this.active = Math.min(this.active, Math.max(items.length - 1, 0));
      this.draw(true);
    }
    draw(force) {
      this.height = parseFloat(getComputedStyle(root).getPropertyValue("--row")) || 46;
      const { height, view, body } = this;
      const full = this.items.length * height;
      const tall = Math.min(full, CAP);
      view.style.height = `${Math.max(3 * height, Math.min(full, innerHeight * .72, 704))}px`;
      const room = view.clientHeight;
      this.sizer.style.height = `${tall}px`;
      const top = full > tall ? view.scrollTop / Math.max(tall - room, 1) * (full - room) : view.scrollTop;
      const first = Math.max(0, Math.floor(top / height) - 4);
      const held = body.contains(document.activeElement);
      body.style.transform = `translateY(${view.scrollTop - (top - first * height)}px)`;
      if (first === this.from && !force) return;
      this.from = first;
      const last = Math.min(this.items.length, first + Math.ceil(room / height) + 9);
      const drawn = [];
      for (let at = first; at < last; at++) {
        const item = this.items[at];
        drawn.push(el("div", { role: "row", class: item.lone ? "l3 lone" : item.level ? `l${item.level}` : null, tabindex: at === this.active ? "0" : "-1", "data-at": at, "aria-rowindex": at + 2, "aria-level": item.lone ? 1 : item.level || null, "aria-expanded": item.level && item.level < 3 ? String(item.open) : null },
          ...this.line(item).map((node) => el("div", { role: "gridcell" }, ...[node].flat()))));
      }
      body.replaceChildren(...(drawn.length ? drawn : [el("div", { role: "row" }, el("div", { role: "gridcell", class: "empty", text: "No row matches these filters." }))]));
      if (held) (body.querySelector(`[data-at="${this.active}"]`) || view).focus({ preventScroll: true });
    }
    move(to) {
      this.active = Math.max(0, Math.min(this.items.length - 1, to));
      const { height, view } = this;
      const full = this.items.length * height;
      const tall = Math.min(full, CAP);
      const room = view.clientHeight;
      const scale = full > tall ? (full - room) / Math.max(tall - room, 1) : 1;
      const top = view.scrollTop * scale;
      if (this.active * height < top) view.scrollTop = this.active * height / scale;
      else if ((this.active + 1) * height > top + room) view.scrollTop = ((this.active + 1) * height - room) / scale;
      this.draw(true);
      const line = this.body.querySelector(`[data-at="${this.active}"]`);
      if (line) line.focus({ preventScroll: true });
    }
    key(event) {
      const inside = this.body.contains(document.activeElement);
      const page = Math.max(1, Math.floor(this.view.clientHeight / this.height) - 1);
      const item = this.items[this.active];
      if (!item) return;
      const to = { ArrowDown: this.active + (inside ? 1 : 0), ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page, Home: 0, End: this.items.length - 1 }[event.key];
      const group = item.level && item.level < 3;
      if (to !== undefined) this.move(to);
      else if (event.key === "Enter" || event.key === " ") this.act();
      else if (event.key === "ArrowRight" && group && !item.open) this.toggle(item, this.active);
      else if (event.key === "ArrowRight" && group) this.move(this.active + 1);
      else if (event.key === "ArrowLeft" && group && item.open) this.toggle(item, this.active);
      else if (event.key === "ArrowLeft" && item.level > 1) { let at = this.active; while (at > 0 && this.items[at].level >= item.level) at--; this.move(at); }
      else return;
      event.preventDefault();
    }
  }

  // Search, facets with counts, and their state in the address: one explorer for findings and for each table of the inventory.
  class Explorer {
    constructor(options) {
      Object.assign(this, { chosen: {}, words: [], rows: [], preset: {} }, options);
      this.box = el("input", { type: "search", placeholder: this.placeholder, "aria-label": this.placeholder, autocomplete: "off", spellcheck: "false" });
      let timer;
      this.box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => { this.words = this.box.value.split(/\s+/).filter(Boolean); this.apply(); }, 120); });
      this.count = el("span", { class: "count", role: "status" });
      this.applied = el("div", { class: "applied" });
      this.facetBar = el("div", { class: "bar facets" });
      this.facets = this.facets.map(([name, label, multi]) => this.facet(name, label, multi));
      this.facetBar.append(...this.facets.map((facet) => facet.node), ...(this.extra || []));
      this.nodes = [el("div", { class: "bar" }, this.box, this.count), this.facetBar, this.applied];
      this.clear();
    }
    facet(name, label, multi) {
      const column = this.table.indexed(name);
      const facet = { name, label, multi, column, hits: new Map() };
      if (multi) {
        const places = new Map();
        facet.parts = column.v.map((text) => (text || "").split("|").filter(Boolean).map((part) => { if (!places.has(part)) places.set(part, places.size); return places.get(part); }));
        facet.values = [...places.keys()];
      } else facet.values = column.v;
      const pop = el("div", { class: "pop", hidden: true, role: "group", "aria-label": `Filter by ${label.toLowerCase()}` });
      facet.button = el("button", { type: "button", "aria-expanded": "false", text: label, onclick: () => (pop.hidden ? open() : shut()) });
      const find = el("input", { type: "search", placeholder: `Find ${label.toLowerCase()}`, "aria-label": `Find ${label.toLowerCase()}`, oninput: () => list() });
      const items = el("ul");
      const named = (value) => (this.label ? this.label(name, value) : null) || (value === null ? "none" : String(value));
      facet.named = named;
      const list = () => {
        const wanted = find.value.toLowerCase();
        const order = facet.values.map((value, place) => [value, facet.counts[place]]).filter(([value, count]) => (count || this.chosen[name].has(value)) && named(value).toLowerCase().includes(wanted));
        const rank = this.order && this.order[name];
        order.sort((a, b) => (rank ? rank.indexOf(a[0]) - rank.indexOf(b[0]) : b[1] - a[1]) || (named(a[0]) < named(b[0]) ? -1 : 1));
        items.replaceChildren(...order.slice(0, 200).map(([value, count]) => el("li", {}, el("label", {}, el("input", { type: "checkbox", checked: this.chosen[name].has(value), onchange: (event) => { this.chosen[name][event.target.checked ? "add" : "delete"](value); this.apply(); } }), el("span", { text: named(value) }), el("span", { class: "n", text: count.toLocaleString("en") })))));
      };
      const open = () => { for (const other of this.facets) other.shut(); list(); pop.hidden = false; facet.button.setAttribute("aria-expanded", "true"); if (facet.values.length > 8) find.focus(); };
      const shut = () => { pop.hidden = true; facet.button.setAttribute("aria-expanded", "false"); };
      facet.shut = shut;
      facet.list = () => { if (!pop.hidden && !find.value) for (const label_ of items.querySelectorAll("label")) { const at = facet.values.findIndex((value) => named(value) === label_.children[1].textContent); label_.lastChild.textContent = facet.counts[at].toLocaleString("en"); } };
      pop.append(...(facet.values.length > 8 ? [find] : []), items);
      facet.node = el("div", { class: "facet", onkeydown: (event) => { if (event.key === "Escape" && !pop.hidden) { shut(); facet.button.focus(); event.stopPropagation(); } } }, facet.button, pop);
      document.addEventListener("pointerdown", (event) => { if (!facet.node.contains(event.target)) shut(); });
      facet.node.addEventListener("focusout", (event) => { if (event.relatedTarget && !facet.node.contains(event.relatedTarget)) shut(); });
      return facet;
    }
    clear(bare) {
      this.words = [];
      this.box.value = "";
      for (const { name } of this.facets) this.chosen[name] = new Set(bare ? [] : this.preset[name] || []);
    }
    matches() {
      const hits = new Uint16Array(this.table.length);
      this.words.forEach((word, at) => {
        const test = new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
        for (const name of this.search) {
          const { v, i } = this.table.columns[name];
          const found = v.map((value) => value !== null && test.test(value));
          for (let row = 0; row < hits.length; row++) if (hits[row] === at && found[i ? i[row] : row]) hits[row] = at + 1;
        }
      });
      return hits;
    }
    apply(quiet) {
      const { table, facets, words } = this;
      const hits = words.length ? this.matches() : null;
      const tests = facets.map((facet) => {
        facet.counts = new Array(facet.values.length).fill(0);
        const set = this.chosen[facet.name];
        if (!set.size) return null;
        const yes = facet.values.map((value) => set.has(value));
        return facet.multi ? facet.parts.map((parts) => parts.some((place) => yes[place])) : yes;
      });
      this.rows = [];
      for (let row = 0; row < table.length; row++) {
        if (hits && hits[row] < words.length) continue;
        let missed = -1;
        let misses = 0;
        for (let at = 0; at < tests.length && misses < 2; at++) if (tests[at] && !tests[at][facets[at].column.i[row]]) { missed = at; misses++; }
        if (misses > 1) continue;
        for (let at = 0; at < facets.length; at++) {
          if (misses && at !== missed) continue;
          const facet = facets[at];
          const place = facet.column.i[row];
          if (facet.multi) for (const part of facet.parts[place]) facet.counts[part]++; else facet.counts[place]++;
        }
        if (!misses) this.rows.push(row);
      }
      this.applied.replaceChildren();
      for (const facet of facets) {
        const set = this.chosen[facet.name];
        facet.button.classList.toggle("on", set.size > 0);
        facet.button.textContent = set.size ? `${facet.label} (${set.size})` : facet.label;
        facet.list();
        const preset = this.preset[facet.name];
        if (preset && set.size === preset.length && preset.every((value) => set.has(value))) { this.applied.append(el("button", { type: "button", text: `${facet.label}: open ×`, "aria-label": "Show findings of every status", onclick: () => { set.clear(); this.apply(); } })); continue; }
        for (const value of set) this.applied.append(el("button", { type: "button", text: `${facet.label}: ${facet.named(value)} ×`, "aria-label": `Remove filter ${facet.label}: ${facet.named(value)}`, onclick: () => { set.delete(value); this.apply(); } }));
      }
      if (this.address() !== this.base) this.applied.append(el("button", { type: "button", text: "Reset", onclick: () => { this.clear(); this.apply(); } }));
      this.count.textContent = `${this.rows.length.toLocaleString("en")} of ${many(table.length, this.noun, this.nouns)}`;
      this.show(this.rows);
      if (!quiet) { home = this.address(); history.replaceState(null, "", home); }
    }
    address() {
      const parts = [];
      if (this.words.length) parts.push(`q=${encodeURIComponent(this.words.join(" "))}`);
      for (const { name } of this.facets) {
        const set = [...this.chosen[name]];
        const preset = this.preset[name] || [];
        if (set.length === preset.length && preset.every((value) => this.chosen[name].has(value))) continue;
        parts.push(`${name}=${set.map((value) => encodeURIComponent(value === null ? NONE : value)).join(",") || "~all"}`);
      }
      if (this.more) parts.push(...this.more());
      return `${this.base}${parts.length ? (this.base.includes("?") ? "&" : "?") + parts.join("&") : ""}`;
    }
    read(query) {
      this.clear();
      for (const part of query.split("&").filter(Boolean)) {
        const [name, text] = [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)];
        if (name === "q") { this.box.value = decodeURIComponent(text); this.words = this.box.value.split(/\s+/).filter(Boolean); }
        else if (this.chosen[name]) this.chosen[name] = new Set(text === "~all" ? [] : text.split(",").map((value) => (value === NONE ? null : decodeURIComponent(value))));
      }
      this.apply(true);
    }
  }

  // Findings: by cause, that is by rule and then by owner and account; or by owner, or by account.
  const opened = new Set();
  let by = "rule";
  const worstOf = (sums) => sums.findIndex(Boolean);
  const tally = (sums) => el("span", { class: "tally-l" }, ...SEVERITIES.map((name, at) => (sums[at] ? el("span", { class: name }, el("span", { "aria-hidden": "true", text: SHAPES[name] }), el("span", { class: "hidden", text: ` ${name} ` }), sums[at].toLocaleString("en")) : null)));
  function bunch(rows, key) {
    const groups = new Map();
    for (const row of rows) {
      const name = key(row);
      let group = groups.get(name);
      if (!group) groups.set(name, group = { name, rows: [], sums: [0, 0, 0, 0, 0] });
      group.rows.push(row);
      group.sums[SEVERITIES.indexOf(F.get("severity", row))]++;
    }
    return [...groups.values()].sort((a, b) => worstOf(a.sums) - worstOf(b.sums) || b.rows.length - a.rows.length || (String(a.name) < String(b.name) ? -1 : 1));
  }
  const distinct = (rows, name) => new Set(rows.map((row) => F.get(name, row))).size;
  const KEYS = {
    rule: [(row) => F.get("rule", row), (row) => `${F.get("owner", row) === null ? "no owner" : F.get("owner", row)} in ${F.get("account", row)}`],
    owner: [(row) => F.get("owner", row), (row) => F.get("rule", row)],
    account: [(row) => F.get("account", row), (row) => F.get("rule", row)],
  };
  const nameOf = { rule: (name) => ruleOf(name).t, owner: (name) => (name === null ? "No owner" : name), account: (name) => name };
  function tree(rows, keep) {
    const items = [];
    if (by === "none") for (const row of rows) items.push({ level: 3, row });
    else {
      const easy = !keep && rows.length <= 12;
      for (const one of bunch(rows, KEYS[by][0])) {
        const key = `${by}:${one.name}`;
        if (one.rows.length === 1) { items.push({ level: 3, row: one.rows[0], lone: nameOf[by](one.name) }); continue; }
        if (easy) opened.add(key);
        items.push({ level: 1, key, open: opened.has(key), title: nameOf[by](one.name), group: one });
        if (!opened.has(key)) continue;
        const twos = bunch(one.rows, KEYS[by][1]);
        for (const two of twos) {
          const inner = `${key}/${two.name}`;
          const single = twos.length === 1 || two.rows.length === 1;
          if (!single) items.push({ level: 2, key: inner, open: opened.has(inner), title: by === "rule" ? two.name : ruleOf(two.name).t, group: two });
          if (single || opened.has(inner)) for (const row of two.rows) items.push({ level: 3, row });
        }
      }
    }
    findings.set(items, keep);
  }
  const findings = new Grid({
    role: "treegrid", label: "Findings by cause", head: [["Finding"], ["Severity"], ["Status"], ["Owner"], ["Account"], ["Due"]],
    open: (item) => go(`#${F.get("id", item.row)}`),
    toggle: (item) => { if (!opened.delete(item.key)) opened.add(item.key); tree(explorer.rows, true); },
    line: (item) => {
      if (item.level < 3) {
        const { rows, sums } = item.group;
        const due = rows.map((row) => F.get("due", row)).filter((day) => day !== null).sort()[0];
        return [[el("span", { class: "twist", "aria-hidden": "true", text: item.open ? "▾" : "▸" }), item.title, el("span", { class: "n", text: `  ${rows.length.toLocaleString("en")}` })], tally(sums), document.createTextNode(""), document.createTextNode(many(distinct(rows, "owner"), "owner")), document.createTextNode(many(distinct(rows, "account"), "account")), document.createTextNode(due || "")];
      }
      const { row } = item;
      const status = F.get("status", row);
      return [item.lone ? [el("span", { class: "nm" }, item.lone), el("span", { class: "det", text: by === "rule" ? brief(F.get("name", row)) : `${F.get("title", row)}: ${brief(F.get("name", row))}` })] : [el("span", { class: "nm" }, el("bdi", { text: brief(F.get("name", row)) })), el("span", { class: "det", text: by === "rule" ? brief(F.get("detail", row)) : F.get("title", row) })], sev(F.get("severity", row)), el("span", { text: `${SIGNS[status] || ""} ${status === "unobserved" ? "not checked" : status}` }), owner(F.get("owner", row)), el("bdi", { text: F.get("account", row) }), el("span", { class: late(row) ? "late" : null, text: F.get("due", row) === null ? "none" : `${F.get("due", row)}${late(row) ? " late" : ""}` })];
    },
  });
  const groupers = ["rule", "owner", "account", "none"].map((name) => el("button", { type: "button", "aria-pressed": String(name === by), text: { rule: "By cause", owner: "By owner", account: "By account", none: "Flat" }[name], onclick: (event) => {
    by = name;
    for (const button of groupers) button.setAttribute("aria-pressed", String(button === event.currentTarget));
    explorer.apply();
  } }));
  const all = (open) => el("button", { type: "button", text: open ? "Expand all" : "Collapse all", onclick: () => {
    opened.clear();
    if (open && by !== "none") for (const one of bunch(explorer.rows, KEYS[by][0])) { opened.add(`${by}:${one.name}`); for (const two of bunch(one.rows, KEYS[by][1])) opened.add(`${by}:${one.name}/${two.name}`); }
    tree(explorer.rows, true);
  } });
  const explorer = new Explorer({
    table: F, base: "#findings", noun: "finding", placeholder: "Search names, ids, rules, controls, owners, sentences",
    facets: [["severity", "Severity"], ["status", "Status"], ["rule", "Rule"], ["owner", "Owner"], ["place", "Organization"], ["account", "Account"], ["provider", "Provider"], ["category", "Category"], ["env", "Environment"], ["controls", "Control", true], ["surface", "Surface"]],
    preset: { status: OPEN }, order: { severity: SEVERITIES, status: ["new", "open", "reopened", "unobserved", "excepted", "resolved", "error"] },
    label: (name, value) => (name === "rule" ? ruleOf(value).t : name === "owner" && value === null ? "no owner" : name === "env" && value === null ? "unknown" : name === "status" && value === "unobserved" ? "not checked" : null),
    search: ["id", "rule", "title", "severity", "status", "category", "provider", "account", "subject", "name", "identity", "iname", "resource", "owner", "env", "surface", "detail", "fix", "blast", "path", "evidence", "due", "exception", "controls"],
    show: (rows) => tree(rows), more: () => (by === "rule" ? [] : [`by=${by}`]),
  });
  const cell = (text) => {
    if (text === null || text === undefined) return "";
    let safe = String(text).replace(/[\r\n]+/g, " ");
    if (/^\s*[=+\-@\t\r＝＋－＠]/.test(safe)) safe = `'${safe}`;
    return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const EXPORT = { finding_id: "id", rule_id: "rule", title: "title", severity: "severity", status: "status", provider: "provider", account: "account", subject_id: "subject", subject_name: "name", identity_id: "identity", resource: "resource", owner: "owner", environment: "env", first_seen: "first", due_at: "due", detail: "detail", impact: "blast", remediation: "fix", url: "url", controls: "controls", exception_id: "exception" };
  const save = el("button", { type: "button", text: "Export filtered findings as CSV", onclick: () => {
    const lines = [Object.keys(EXPORT).join(","), ...explorer.rows.map((row) => Object.values(EXPORT).map((name) => cell(F.get(name, row))).join(","))];
    const link = el("a", { href: URL.createObjectURL(new Blob([lines.join("\r\n"), "\r\n"], { type: "text/csv" })), download: "findings-filtered.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } });
  const grouped = el("div", { class: "bar facets" }, el("div", { class: "seg", role: "group", "aria-label": "Group the findings" }, ...groupers), all(true), all(false), put(save, { class: "push" }, []), copier("Copy link to this list", () => location.href.split("#")[0] + explorer.address()));
  byId("explorer").append(...explorer.nodes, grouped, findings.root);

  // Inventory: one table a tab.
  const go = (hash) => { if (location.hash !== hash) history.pushState(null, "", hash); route(); };
  const known = (id) => I.find("id", id);
  const nameFor = (id) => { const row = known(id); return row < 0 ? id : I.get("name", row); };
  const plainCell = (table, name) => (item) => { const value = table.get(name, item.row); return value === null ? el("span", { class: "quiet", text: "unknown" }) : el("bdi", { text: value }); };
  const named = (table) => (item) => [el("span", { class: "nm" }, el("bdi", { text: table.get("name", item.row) })), el("span", { class: "det", text: [table.get("kind", item.row), table.columns.address ? brief(table.get("address", item.row)) : ""].filter(Boolean).join(", ") })];
  const LEVELS = { admin: "administrator", escalation: "can escalate", write: "write", read: "read", unknown: "not assessed" };
  const TABS = {
    identities: { table: I, noun: "identity", nouns: "identities", facets: [["surface", "Surface"], ["kind", "Kind"], ["provider", "Provider"], ["account", "Account"], ["owner", "Owner"], ["level", "Reaches"], ["env", "Environment"], ["pipeline", "Pipeline"], ["admin", "Becomes administrator"]], search: ["id", "name", "kind", "surface", "provider", "account", "owner", "env", "address", "level"],
      head: [["Identity", "name"], ["Account", "account"], ["Owner", "owner"], ["Reaches", "level"], ["Last used", "used"], ["Findings", "findings"]], cells: [named(I), plainCell(I, "account"), (item) => owner(I.get("owner", item.row)), (item) => document.createTextNode(LEVELS[I.get("level", item.row)] || "nothing known"), plainCell(I, "used"), (item) => document.createTextNode(I.get("findings", item.row))], open: (row) => `#identity=${encodeURIComponent(I.get("id", row))}` },
    credentials: { table: C, noun: "credential", facets: [["lifetime", "Lifetime"], ["kind", "Kind"], ["provider", "Provider"], ["account", "Account"], ["owner", "Owner"], ["enabled", "Enabled"]], search: ["id", "name", "kind", "lifetime", "account", "owner", "scopes", "identity"],
      head: [["Credential", "name"], ["Account", "account"], ["Owner", "owner"], ["Lifetime", "lifetime"], ["Created", "created"], ["Last used", "used"]], cells: [named(C), plainCell(C, "account"), (item) => owner(C.get("owner", item.row)), plainCell(C, "lifetime"), plainCell(C, "created"), plainCell(C, "used")] },
    secrets: { table: S, noun: "stored secret", facets: [["kind", "Store"], ["readable", "Readable in clear"], ["looks", "Looks like"], ["provider", "Provider"], ["account", "Account"], ["env", "Environment"], ["owner", "Owner"]], search: ["id", "name", "kind", "account", "owner", "env", "looks", "location", "holder"],
      head: [["Stored secret", "name"], ["Account", "account"], ["Owner", "owner"], ["Readable", "readable"], ["Changed", "updated"], ["Copies", "copies"]], cells: [named(S), plainCell(S, "account"), (item) => owner(S.get("owner", item.row)), plainCell(S, "readable"), plainCell(S, "updated"), (item) => document.createTextNode(S.get("copies", item.row) === null ? "1" : String(S.get("copies", item.row)))] },
    trusts: { table: T, noun: "trust statement", facets: [["exposure", "Open to"], ["kind", "Kind"], ["issuer", "Issuer"], ["account", "Account"], ["problem", "Problem"], ["external", "External"]], search: ["id", "name", "kind", "issuer", "tests", "exposure", "problem", "why", "account"],
      head: [["Trust of", "name"], ["Account", "account"], ["Trusts", "issuer"], ["Open to", "exposure"], ["Problem", "problem"], ["Severity", "severity"]], cells: [named(T), plainCell(T, "account"), plainCell(T, "issuer"), plainCell(T, "exposure"), (item) => document.createTextNode(T.get("problem", item.row) || "none"), (item) => (T.get("severity", item.row) ? sev(T.get("severity", item.row)) : document.createTextNode("none"))] },
    controls: { table: X, noun: "control", facets: [["state", "State"], ["stage", "Stage"], ["kind", "Kind"], ["provider", "Provider"], ["account", "Account"]], search: ["id", "name", "kind", "stage", "state", "account", "detail", "approvers", "bypass"],
      head: [["Control", "name"], ["Account", "account"], ["Stage", "stage"], ["State", "state"], ["Approvers", "approvers"], ["May bypass", "bypass"]], cells: [named(X), plainCell(X, "account"), plainCell(X, "stage"), plainCell(X, "state"), (item) => document.createTextNode(X.get("approvers", item.row) || "none"), (item) => document.createTextNode(X.get("bypass", item.row) || "none")] },
  };
  const tabBar = el("div", { class: "tabs", role: "tablist", "aria-label": "Inventory" });
  const panel = el("div", { role: "tabpanel", id: "inv-panel" });
  let tab = "identities";
  for (const [name, spec] of Object.entries(TABS)) {
    spec.button = el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "inv-panel", "aria-selected": "false", tabindex: "-1", text: `${name[0].toUpperCase()}${name.slice(1)} ${spec.table.length.toLocaleString("en")}`, onclick: () => choose(name), onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const names = Object.keys(TABS);
      choose(names[(names.indexOf(name) + step + names.length) % names.length]);
      TABS[tab].button.focus();
    } });
    tabBar.append(spec.button);
  }
  function choose(name, query) {
    tab = TABS[name] ? name : "identities";
    const spec = TABS[tab];
    for (const [other, { button }] of Object.entries(TABS)) { button.setAttribute("aria-selected", String(other === tab)); button.tabIndex = other === tab ? 0 : -1; }
    panel.setAttribute("aria-labelledby", `tab-${tab}`);
    if (!spec.explorer) {
      spec.grid = new Grid({ role: "grid", label: tab, head: spec.head, line: (item) => spec.cells.map((make) => make(item)), open: (item) => go(spec.open ? spec.open(item.row) : `#${tab}=${encodeURIComponent(spec.table.get("id", item.row))}`), toggle: () => {}, sorted: (name, down) => { spec.sort = [name, down]; spec.explorer.apply(); } });
      spec.grid.root.classList.add("f");
      spec.explorer = new Explorer({ table: spec.table, base: tab === "identities" ? "#inventory" : `#inventory?tab=${tab}`, noun: spec.noun, nouns: spec.nouns, placeholder: `Search ${tab}`, facets: spec.facets, search: spec.search, label: (facet, value) => (value === null ? (facet === "owner" ? "no owner" : facet === "level" ? "nothing known" : "unknown") : facet === "level" ? LEVELS[value] : null), show: (rows) => spec.grid.set((spec.sort ? [...rows].sort(spec.rank()) : rows).map((row) => ({ row }))) });
      spec.rank = () => {
        const [name, down] = spec.sort;
        const value = (row) => spec.table.get(name, row);
        return (a, b) => { const [x, y] = [value(a), value(b)]; return (x === null) - (y === null) || (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1) || a - b; };
      };
    }
    panel.replaceChildren(...spec.explorer.nodes, spec.grid.root);
    if (query !== undefined) spec.explorer.read(query); else spec.explorer.apply(true);
  }
  byId("browser")?.append(tabBar, panel);

  // A page for one finding, one identity, one record.
  const sheet = byId("sheet");
  
  const web = (text) => (/^https?:\/\//.test(text || "") ? text : null);
  const kv = (...pairs) => el("dl", { class: "kv" }, ...pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined && pair[1] !== "").map(([term, ...values]) => el("div", {}, el("dt", { text: term }), el("dd", {}, ...values.map((value) => (typeof value === "string" || typeof value === "number" ? el("bdi", { text: value }) : value))))));
  const to = (text, hash) => el("button", { type: "button", class: "link", onclick: () => go(hash) }, el("bdi", { text }));
  const identityLink = (id) => (known(id) < 0 ? el("bdi", { text: id }) : to(nameFor(id), `#identity=${encodeURIComponent(id)}`));
  const part = (title, nodes, none) => [el("h3", { text: nodes.length ? `${title} (${nodes.length})` : title }), nodes.length ? el("ul", { class: "list" }, ...nodes.slice(0, 40).map((node) => el("li", {}, ...[node].flat())), ...(nodes.length > 40 ? [el("li", { class: "quiet", text: `${nodes.length - 40} more: see the CSV files` })] : [])) : el("p", { class: "quiet", text: none })];
  const sub = (text) => (text ? el("span", { class: "sub", text }) : null);
  function openSheet(marks, title, ...nodes) {
    sheet.replaceChildren(el("div", { class: "sh" }, el("span", {}, ...marks), el("button", { type: "button", text: "Close", onclick: () => sheet.close() })), el("h2", { id: "sheet-t" }, el("bdi", { text: title })), ...nodes.flat().filter(Boolean));
    if (!sheet.open) sheet.showModal();
    sheet.scrollTop = 0;
  }
  sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
  sheet.addEventListener("close", () => { history.pushState(null, "", home || location.href.split("#")[0]); });
  const findingLine = (row) => [sev(F.get("severity", row)), " ", to(F.get("title", row), `#${F.get("id", row)}`), sub(`${F.get("name", row)}; ${F.get("status", row)}; due ${F.get("due", row) || "none"}`)];
  const POWER = { admin: "Admin", "grant-access": "Manage IAM", "become-other": "Assume others", "read-secrets": "Read secrets", "change-delivery": "Change pipeline", deploy: "Deploy", "change-data": "Write data", "read-data": "Read data", read: "Read config" };
  const chain = (lines) => el("ol", { class: "chain" }, ...lines.map((line) => el("li", {}, el("bdi", { text: line }))));
  const powers = (text) => (text || "").split("|").filter(Boolean).map((power) => POWER[power] || power);
  function plusDays(day, days) { const at = new Date(`${day}T00:00:00Z`); at.setUTCDate(at.getUTCDate() + days); return at.toISOString().slice(0, 10); }
  const q = (text) => JSON.stringify(text);
  const exception = (row) => [`  - id: RISK-0`, `    rule: ${F.get("rule", row)}`, `    subject: ${q(F.get("subject", row))}`, `    owner: ${F.get("owner", row) ? q(F.get("owner", row)) : ""}`, `    approver:             # who accepts the risk`, `    reason: accepted-risk # or compensating-control, false-positive, not-applicable, planned-removal, provider-limitation, test-data`, `    explanation:`, `    ticket:`, `    approved: ${data.asof}`, `    expires: ${plusDays(data.asof, data.cap[F.get("severity", row)])}   # at most ${data.cap[F.get("severity", row)]} days for ${F.get("severity", row)}`, ""].join("\n");
  const pictures = new Map([...document.querySelectorAll(".pair .to a")].map((link) => [link.hash.slice(1), link.closest("article").id]));
  const linkOf = (hash) => location.href.split("#")[0] + hash;
  const ticket = (row) => [`${F.get("title", row)}: ${F.get("name", row)}`, "", `Severity: ${F.get("severity", row)}. Owner: ${F.get("owner", row) || "none"}. Due: ${F.get("due", row) || "none"}. Account: ${F.get("account", row)}.`, "", `What: ${F.get("detail", row)}`, `Why: ${ruleOf(F.get("rule", row)).w}`, `Change: ${F.get("fix", row)}`, ...(F.get("path", row) ? ["Path:", ...F.get("path", row).split("\n").map((line) => `  - ${line}`)] : []), "", `Subject: ${F.get("subject", row)}`, `Controls: ${(F.get("controls", row) || "").replaceAll("|", ", ")}`, `Finding: ${F.get("id", row)} (run ${data.run})`, `Report: ${linkOf(`#${F.get("id", row)}`)}`].join("\n");
  function showFinding(row) {
    const rule = F.get("rule", row);
    const about = ruleOf(rule);
    const id = F.get("id", row);
    const fix = F.get("fix", row);
    const path = F.get("path", row);
    const status = F.get("status", row);
    const evidence = (F.get("evidence", row) || "").split("\n").filter(Boolean).map((line) => line.split("\t"));
    const identity = F.get("identity", row);
    const others = identity ? F.where("identity", identity).filter((other) => other !== row && isOpen(other)) : [];
    const alike = F.where("rule", rule).filter((other) => isOpen(other) && other !== row).length;
    openSheet([sev(F.get("severity", row)), `  ${SIGNS[status] || ""} ${status === "unobserved" ? "not checked in this run" : status}`, F.get("confidence", row) === "low" ? "  low confidence" : ""], brief(F.get("name", row)),
      el("p", { class: "quiet", text: about.t }),
      el("p", {}, el("bdi", { text: brief(F.get("detail", row)) })),
      el("div", { class: "do" }, el("b", { text: "Change to make" }), el("bdi", { text: fix })),
      F.get("blast", row) && !path ? el("p", { class: "quiet", text: F.get("blast", row) }) : null, pictures.has(id) ? el("p", {}, to("See the picture of the path and where to cut it", `#${pictures.get(id)}`)) : null,
      path ? [el("h3", { text: "Path" }), F.get("blast", row) ? el("p", { class: "quiet", text: F.get("blast", row) }) : null, chain(path.split("\n"))] : null,
      el("p", { class: "acts" }, copier("Copy link", () => linkOf(`#${id}`)), copier("Copy id", id), copier("Copy as ticket", () => ticket(row)), copier("Copy exceptions.yaml block", () => exception(row)), copier("Copy fix", fix), web(F.get("url", row)) ? el("a", { href: web(F.get("url", row)), rel: "noopener noreferrer", text: `Open at ${F.get("provider", row)}` }) : null),
      kv(["Owner", owner(F.get("owner", row)), F.get("osource", row) ? el("span", { class: "quiet", text: ` from ${F.get("osource", row)}` }) : ""], ["Account", F.get("account", row)], identity ? ["Identity", identityLink(identity)] : null, ["Environment", F.get("env", row)], ["Resource", F.get("resource", row)], ["First seen", F.get("first", row)], ["Status since", F.get("changed", row)],
        ["Due", el("span", { class: late(row) ? "late" : null, text: F.get("due", row) || "none" })], ["Exception", F.get("exception", row)], ["Confirmed gone by", F.get("gone", row)], ["Not checked because", F.get("unseen", row)], ...evidence.map(([key, value]) => [key.replaceAll("_", " "), value]), ["Subject", el("code", { text: F.get("subject", row) })], ["Rule", el("code", { text: rule })], ["Finding", el("code", { text: id })]),
      el("h3", { text: "Why it matters" }), el("p", { text: about.w }), fix !== about.f ? el("p", { class: "quiet", text: `In general: ${about.f}` }) : null,
      el("h3", { text: "How it is resolved" }), el("p", { text: `The next run checks again. Once the change is made and ${about.n.length ? about.n.join(", ") : "its inputs"} can be read in full, the finding becomes resolved and names that run. While they cannot be read it is “not checked”, not resolved.` }),
      el("p", {}, el("span", { class: "quiet", text: "Controls: " }), ...controlsOf(rule, F.get("provider", row)).flatMap((code) => [to(code, `#findings?controls=${encodeURIComponent(code)}`), "; "])),
      alike ? el("p", {}, to(`${many(alike, "more open finding")} with this cause`, `#findings?rule=${encodeURIComponent(rule)}`)) : null,
      identity ? part(`Other open findings of ${nameFor(identity)}`, others.map(findingLine), "None.") : null);
  }
  const REL = { trust: "passes its trust", "trust-pattern": "some of its tokens pass the trust", "holds-key": "holds a key of it", escalation: "can escalate to it", runs_as: "runs as it", uses: "uses it", member_of: "is a member" };
  // Who can become it on the left, what it reaches on the right.
  function ego(row, into, reach) {
    const firstOf = new Map(into.map((edge) => [E.get("s", edge), edge]));
    const left = [...firstOf.values()].slice(0, 5).map((edge) => [nameFor(E.get("s", edge)), REL[E.get("kind", edge)] || E.get("kind", edge)]);
    const right = reach.slice(0, 5).map((at) => [R.get("on", at) === "*" ? `everything in ${R.get("account", at)}` : R.get("on", at), `${powers(R.get("powers", at))[0]}${R.get("steps", at) > 1 ? `, ${R.get("steps", at)} steps` : ""}`, R.get("level", at)]);
    const height = Math.max(left.length, right.length, 1) * 44 + 8;
    const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
    const middle = height / 2;
    const nodes = [];
    const card = (x, y, width, kind, name, tone) => nodes.push(svg("rect", { class: `card ${tone || ""}`, x, y, width, height: 36, rx: 5 }), svg("text", { class: "k", x: x + 8, y: y + 14, text: kind }), svg("text", { class: "b", x: x + 8, y: y + 29, text: clip(name, Math.floor((width - 12) / 7)) }));
    left.forEach(([name, how], at) => { const y = (height - left.length * 44) / 2 + at * 44 + 4; nodes.push(svg("path", { class: "edge", d: `M220 ${y + 18}C245 ${y + 18} 245 ${middle} 262 ${middle}` })); card(0, y, 220, how, name); });
    right.forEach(([name, power, level], at) => { const y = (height - right.length * 44) / 2 + at * 44 + 4; const hot = level === "admin" || level === "escalation"; nodes.push(svg("path", { class: `edge ${hot ? "hot" : ""}`, d: `M458 ${middle}C478 ${middle} 478 ${y + 18} 498 ${y + 18}` })); card(500, y, 220, power, name, hot ? "hot" : ""); });
    if (left.length) nodes.push(svg("path", { class: "tip", d: `M268 ${middle}l-8 -4.5v9z` }));
    card(270, middle - 18, 188, I.get("kind", row), I.get("name", row), "own");
    if (!left.length) nodes.push(svg("text", { x: 8, y: middle + 4, class: "k", text: "no known identity can become it" }));
    if (!right.length) nodes.push(svg("text", { x: 505, y: middle + 4, class: "k", text: "reaches nothing known" }));
    return svg("svg", { class: "ego", viewBox: `0 0 720 ${height}`, role: "img", "aria-label": `${many(into.length, "identity can become", "identities can become")} ${I.get("name", row)}; it reaches ${many(reach.length, "target")}. The lists below say which.` }, ...nodes);
  }
  function showIdentity(row) {
    const id = I.get("id", row);
    const into = E.where("t", id);
    const out = E.where("s", id);
    const rank = { admin: 4, escalation: 3, write: 2, read: 1 };
    const reach = R.where("id", id).sort((a, b) => (rank[R.get("level", b)] || 0) - (rank[R.get("level", a)] || 0) || R.get("steps", a) - R.get("steps", b));
    const list = F.where("identity", id);
    openSheet([`${I.get("surface", row)} identity, ${I.get("kind", row)}`], I.get("name", row),
      I.get("address", row) ? el("p", { class: "quiet" }, el("code", { text: I.get("address", row) })) : null,
      ego(row, into, reach),
      el("p", { class: "acts" }, copier("Copy link", () => linkOf(`#identity=${encodeURIComponent(id)}`)), copier("Copy id", id), web(I.get("url", row)) ? el("a", { href: web(I.get("url", row)), rel: "noopener noreferrer", text: `Open at ${I.get("provider", row)}` }) : null),
      kv(["Owner", owner(I.get("owner", row)), I.get("source", row) ? el("span", { class: "quiet", text: ` from ${I.get("source", row)}` }) : ""], ["Account", I.get("account", row)], ["Environment", I.get("env", row) || "unknown"], ["Reaches", LEVELS[I.get("level", row)] || "nothing known"], ["Enabled", I.get("enabled", row) || "unknown"], ["Created", I.get("created", row) || "unknown"], ["Known since", I.get("seen", row) || "unknown"], ["Last used", I.get("used", row) || "unknown"], ["MFA", I.get("mfa", row)], ["Triggers", I.get("triggers", row)], ["Runner", I.get("runner", row)], ["Id", el("code", { text: id })]),
      part("Findings", list.map(findingLine), "No finding in the data collected."),
      part("Who can become it", into.map((edge) => [identityLink(E.get("s", edge)), sub(`${REL[E.get("kind", edge)] || E.get("kind", edge)}. ${E.get("why", edge) || ""}`)]), "No known identity."),
      part("What it can become", out.map((edge) => [identityLink(E.get("t", edge)), sub(`${REL[E.get("kind", edge)] || E.get("kind", edge)}. ${E.get("why", edge) || ""}`)]), "Nothing known."),
      part("What it reaches", reach.map((at) => [el("b", { text: powers(R.get("powers", at)).join(", ") }), ` in ${R.get("account", at)}`, sub(R.get("path", at).split("\n").slice(1).join("; "))]), "Nothing known."),
      part("Its own permissions", G.where("id", id).map((at) => [el("b", {}, el("bdi", { text: G.get("role", at) })), ` on ${G.get("on", at)}`, sub(`${G.get("level", at)}: ${powers(G.get("powers", at)).join(", ")}. Last used ${G.get("used", at) || "unknown"}${G.get("unused", at) ? `; ${G.get("unused", at)} actions unused` : ""}.`)]), "None of its own."),
      part("Credentials", C.where("identity", id).map((at) => [to(C.get("name", at), `#credentials=${encodeURIComponent(C.get("id", at))}`), sub(`${C.get("kind", at)}, ${C.get("lifetime", at)}; created ${C.get("created", at) || "unknown"}; last used ${C.get("used", at) || "unknown"}; expires ${C.get("expires", at) || "unknown"}`)]), "None known."),
      part("Stored secrets it holds", S.where("holder", id).map((at) => [to(S.get("name", at), `#secrets=${encodeURIComponent(S.get("id", at))}`), sub(`${S.get("kind", at)}; readable in clear: ${S.get("readable", at) || "unknown"}`)]), "None known."),
      part("Trust statements", T.where("identity", id).map((at) => [to(`${T.get("kind", at)}, open to ${T.get("exposure", at)}`, `#trusts=${encodeURIComponent(T.get("id", at))}`), sub(T.get("why", at))]), "None."));
  }
  const FIELDS = { credentials: ["Credential", { kind: "Kind", lifetime: "Lifetime", enabled: "Enabled", owner: "Owner", account: "Account", created: "Created", rotated: "Rotated", used: "Last used", expires: "Expires", scopes: "Scopes", location: "Found in" }], secrets: ["Stored secret", { kind: "Store", account: "Account", owner: "Owner", env: "Environment", readable: "Readable in clear", protected: "Protected branches only", visibility: "Visible to", looks: "Looks like", copies: "Same value in stores", cred: "Is the credential", updated: "Changed", used: "Last used", location: "Found in" }], trusts: ["Trust statement", { kind: "Kind", account: "Account", issuer: "Trusts", tests: "Conditions", exposure: "Open to", external: "External", problem: "Problem", severity: "Severity", why: "Says", fix: "Change to make" }], controls: ["Control", { kind: "Kind", stage: "Stage", state: "State", account: "Account", target: "Protects", approvers: "Approvers", bypass: "May bypass", detail: "Detail" }] };
  function showRecord(kind, row) {
    const { table } = TABS[kind];
    const [what, fields] = FIELDS[kind];
    const id = table.get("id", row);
    const holder = table.columns.identity ? table.get("identity", row) : table.columns.holder ? table.get("holder", row) : null;
    openSheet([what], table.get("name", row), el("p", { class: "acts" }, copier("Copy link", () => linkOf(`#${kind}=${encodeURIComponent(id)}`)), copier("Copy id", id)),
      kv(holder ? ["Identity", identityLink(holder)] : null, ...Object.entries(fields).map(([name, label]) => [label, table.get(name, row) === null ? el("span", { class: "quiet", text: "unknown" }) : String(table.get(name, row))]), ["Id", el("code", { text: id })]),
      part("Findings", F.where("subject", id).map(findingLine), "No finding in the data collected."));
  }

  // The address says what is open: #nf1-... a finding, #identity=, #credentials= and so on a record, #findings?... a list.
  function route() {
    const hash = location.hash.slice(1);
    const [name, rest = ""] = [hash.split(/[?=]/)[0], hash.slice(hash.split(/[?=]/)[0].length + 1)];
    if (/^nf\d+-/.test(hash)) { const row = F.find("id", hash); if (row >= 0) showFinding(row); return; }
    if (name === "identity") { const row = known(decodeURIComponent(rest)); if (row >= 0) showIdentity(row); return; }
    if (FIELDS[name] && hash.includes("=")) { const row = TABS[name].table.find("id", decodeURIComponent(rest)); if (row >= 0) showRecord(name, row); return; }
    if (name === "findings" || name === "inventory") {
      home = `#${hash}`;
      if (sheet.open) sheet.close();
      if (location.hash !== home) history.replaceState(null, "", home);
      if (name === "findings") {
        by = (rest.match(/(?:^|&)by=(\w+)/) || [])[1] || "rule";
        for (const [at, button] of groupers.entries()) button.setAttribute("aria-pressed", String(["rule", "owner", "account", "none"][at] === by));
        explorer.read(rest);
      } else choose((rest.match(/(?:^|&)tab=(\w+)/) || [])[1] || "identities", rest.replace(/(?:^|&)tab=\w+/, ""));
      byId(name).scrollIntoView();
      return;
    }
    home = location.hash;
    if (sheet.open) sheet.close();
    const place = byId(decodeURIComponent(hash));
    if (place) { const box = place.closest("details"); if (box) box.open = true; place.scrollIntoView(); }
  }
  window.addEventListener("hashchange", route);
  window.addEventListener("popstate", route);
  // The tables of rules and of frameworks are drawn from the data, which keeps the file small.
  const rows = (head, lines) => el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": head[0] }, el("table", { class: "fwt" }, el("caption", { class: "hidden", text: head[0] }), el("thead", {}, el("tr", {}, ...head.slice(1).map((text, at) => el("th", { scope: "col", class: at ? "num" : null, text })))),
    el("tbody", {}, ...lines.map(([first, ...more]) => el("tr", {}, el("th", { scope: "row" }, ...[first].flat()), ...more.map((value) => el("td", { class: "num" }, value instanceof Node ? value : String(value))))))));
  const filtered = (count, hash) => (count ? el("a", { href: hash, text: count.toLocaleString("en") }) : "0");
  byId("framework-tables")?.replaceChildren(...data.frameworks.map(([label, name, claims, controls], at) => el("details", { class: "fw", open: at === 0 }, el("summary", {}, el("b", { text: label }), el("span", { class: "quiet", text: ` ${name}: ${many(controls.length, "control")} with checks` })),
    rows([label, "Control", "Rules", "Passed", "Failed", "Incomplete", "Not evaluated", "Silence proves nothing", "Open findings"], controls.map(([code, title, rules, passed, failed, incomplete, missing, counter, found]) => [[el("code", { text: code }), ` ${title}`], rules, passed, failed, incomplete, missing, counter, filtered(found, `#findings?controls=${encodeURIComponent(`${label}: ${code}`)}`)])),
    ...claims.map((text) => el("p", { class: "more", text: `Not claimed: ${text}` })))));
  byId("rule-table")?.replaceChildren(rows(["Rules", "Rule", "Severity", "Open", "Evaluated", "Incomplete", "Not evaluated", "Failed"], data.results.map(([id, title, severity, found, evaluated, incomplete, missing, errors, params]) => [[title, el("span", { class: "sub" }, el("code", { text: id }), params ? `; ${params}` : "")], sev(severity), filtered(found, `#findings?rule=${encodeURIComponent(id)}`), evaluated, incomplete, missing, errors])));
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(byId(button.dataset.copy).textContent, button));
  }

  // On paper: the first rows of the current filter.
  const PRINTED = 120;
  window.addEventListener("beforeprint", () => {
    const first = explorer.rows.slice(0, PRINTED);
    byId("printed").replaceChildren(el("table", {}, el("caption", { text: `${first.length} of ${many(explorer.rows.length, "finding")} in the current filter; findings.csv has all of them` }), el("thead", {}, el("tr", {}, ...["Severity", "Finding", "Subject", "Owner", "Account", "Due"].map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, ...first.map((row) => el("tr", {}, el("td", {}, sev(F.get("severity", row))), ...["title", "name"].map((name) => el("td", { text: F.get(name, row) })), el("td", {}, owner(F.get("owner", row))), el("td", { text: F.get("account", row) }), el("td", { text: F.get("due", row) || "none" }))))));
  });

  byId("still").hidden = true;
  for (const node of document.querySelectorAll(".nojs")) node.hidden = true;
  for (const id of ["explorer", "browser", "framework-tables"]) if (byId(id)) byId(id).hidden = false;
  explorer.apply(true);
  choose("identities");
  if (location.hash) { if (/^#(nf\d|identity=|credentials=|secrets=|trusts=|controls=)/.test(location.hash)) history.replaceState(null, "", location.hash); route(); }
})();

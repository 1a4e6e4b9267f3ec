// SPDX-License-Identifier: Apache-2.0
// The dashboard: asks /v1/overview, follows /v1/events, shows both.  Whatever comes from the server is put into the
// page as text, never as markup.
"use strict";
const $ = (id) => document.getElementById(id);
const POLL_MS = 2000, POINTS = 60, ROWS = 200, EVENTS = 50, PAST = 20;
let token = sessionStorage.getItem("remora-token") || "";
let last = null;            // the overview before
let role = "read";
const open = new Map();     // names of the upstreams that are unfolded -> their servers, as of before
const lines = { rate: [], errors: [] };

// ---- asking ----

class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

function headers(more) {
  return token ? { Authorization: "Bearer " + token, ...more } : { ...more };
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { cache: "no-store", ...options, headers: headers(options.headers) });
  if (answer.ok) return answer;
  let text = answer.status + " " + answer.statusText;
  try { text = (await answer.json()).detail || text; } catch { /* no JSON: the status says enough */ }
  throw new Refused(answer.status, text);
}

const get = async (path) => (await ask(path)).json();

// ---- texts ----

const count = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function rate(n) {
  return n < 10 ? n.toFixed(1) : count.format(Math.round(n));
}

function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) { n /= 1000; at++; }
  return (at && n < 10 ? n.toFixed(1) : Math.round(n)) + " " + units[at];
}

function time(seconds) {
  const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60;
  return d ? `${d}d ${h}h` : h ? `${h}h ${m}m` : m ? `${m}m ${seconds % 60}s` : `${seconds}s`;
}

function millis(ms) {
  return ms === null ? "-" : ms >= 1000 ? (ms / 1000).toFixed(1) + " s" : ms + " ms";
}

function node(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== null && text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// ---- figures ----

// What grew between two looks, per second.
function per_second(now, before, seconds) {
  return before === undefined || now < before || seconds <= 0 ? 0 : (now - before) / seconds;
}

// The bound below which a share of what was counted since `before` lies; null: nothing was counted.
function quantile(now, before, share) {
  if (!now || !now.buckets) return null;
  const grown = now.buckets.map((n, i) => n - (before && before.buckets ? before.buckets[i] : 0));
  const all = grown.reduce((a, b) => a + b, 0);
  let seen = 0;
  if (all <= 0) return null;
  for (let i = 0; i < grown.length; i++) {
    seen += grown[i];
    if (seen >= all * share) return i < now.bounds_ms.length ? now.bounds_ms[i] : now.bounds_ms[now.bounds_ms.length - 1];
  }
  return null;
}

function classes_of(now, before) {
  return ["1xx", "2xx", "3xx", "4xx", "5xx"].map((c) => Math.max(0, now[c] - (before ? before[c] : 0)));
}

function class_bar(parts) {
  const all = parts.reduce((a, b) => a + b, 0);
  const bar = node("span", null, { class: "classes", role: "img",
    "aria-label": parts.map((n, i) => `${i + 1}xx ${n}`).join(", "), title: parts.map((n, i) => `${i + 1}xx: ${n}`).join("  ") });
  if (all > 0)
    parts.forEach((n, i) => {
      if (!n) return;
      const part = node("i", null, { class: "c" + (i + 1) });
      part.style.width = (100 * n / all) + "%";
      bar.append(part);
    });
  return bar;
}

function draw(which, value) {
  const points = lines[which];
  points.push(value);
  if (points.length > POINTS) points.shift();
  const top = Math.max(...points, which === "errors" ? 0.01 : 1);
  $(which + "-line").querySelector("polyline").setAttribute("points", points.map((v, i) =>
    `${(120 * (i + POINTS - points.length) / (POINTS - 1)).toFixed(1)},${(26 - 24 * v / top).toFixed(1)}`).join(" "));
}

// ---- the top ----

function show_tiles(now, seconds) {
  const before = last || {};
  const parts = classes_of(now.responses, before.responses);
  const all = parts.reduce((a, b) => a + b, 0);
  const per = per_second(now.requests.total, before.requests && before.requests.total, seconds);
  $("version").textContent = now.version;
  $("revision").textContent = now.revision;
  $("uptime").textContent = time(now.uptime);
  $("who").textContent = now.who ? `${now.who} (${now.role})` : "";
  $("state").textContent = now.draining ? "draining" : "serving";
  $("state").className = "pill " + (now.draining ? "warn" : "good");
  $("rate").textContent = rate(per);
  $("errors").textContent = all ? (100 * parts[4] / all).toFixed(parts[4] ? 2 : 0) + " %" : "0 %";
  draw("rate", per);
  draw("errors", all ? parts[4] / all : 0);
  $("current").textContent = now.requests.current;
  $("classes").replaceChildren(class_bar(classes_of(now.responses)));
  $("connections").textContent = count.format(now.connections.active);
  $("connections-more").textContent = `${count.format(now.connections.idle)} of them idle`;
  $("traffic").textContent = bytes(per_second(now.sent, before.sent, seconds)) + "/s";
  $("traffic-more").textContent = bytes(per_second(now.received, before.received, seconds)) + "/s in";
  $("workers").textContent = now.workers.length;
  $("workers-more").textContent = `${now.worker_respawns} respawned, ${bytes(now.memory.used)} shared`;
}

function show_zones(now, seconds) {
  const before = new Map((last ? last.zones : []).map((z) => [z.kind + z.name, z]));
  $("zones-section").hidden = now.zones.length === 0;
  $("zones").replaceChildren(...now.zones.map((zone) => {
    const was = before.get(zone.kind + zone.name);
    const row = node("tr");
    row.append(node("td", zone.name), node("td", rate(per_second(zone.requests, was && was.requests, seconds)), { class: "n" }),
      node("td", zone.processing, { class: "n" }), node("td", millis(quantile(zone.duration, was && was.duration, 0.5)), { class: "n" }),
      node("td", millis(quantile(zone.duration, was && was.duration, 0.99)), { class: "n" }));
    const cell = node("td");
    cell.append(class_bar(classes_of(zone.responses)));
    row.append(cell);
    return row;
  }));
}

// ---- upstreams ----

const good = { up: "good", draining: "warn", down: "", unavail: "bad", checking: "warn", unhealthy: "bad", ejected: "bad" };

function state_pill(state, n) {
  return node("span", n === undefined ? state : `${n} ${state}`, { class: "pill " + (good[state] || "") });
}

function matches(upstream, text) {
  return !text || upstream.name.toLowerCase().includes(text) ||
    Object.keys(upstream.states).some((s) => s.includes(text) && upstream.states[s]);
}

function fill_summary(summary, upstream, was, seconds) {
  summary.replaceChildren(node("b", upstream.name));
  for (const [state, n] of Object.entries(upstream.states)) if (n) summary.append(state_pill(state, n));
  if (!upstream.servers) summary.append(state_pill("no servers"));
  const facts = [`${rate(per_second(upstream.requests, was && was.requests, seconds))} req/s`, `${upstream.active} active`,
    `p50 ${millis(quantile(upstream.duration, was && was.duration, 0.5))}`, `p99 ${millis(quantile(upstream.duration, was && was.duration, 0.99))}`];
  if (upstream.retries) facts.push(`${count.format(upstream.retries)} retries`);
  if (upstream.overflows) facts.push(`${count.format(upstream.overflows)} over limits`);
  if (upstream.zombies) facts.push(`${upstream.zombies} leaving`);
  summary.append(node("span", null, { class: "spacer" }), node("span", facts.join("  ·  "), { class: "facts" }));
}

function show_upstreams(now, seconds) {
  const before = new Map((last ? last.upstreams : []).map((u) => [u.name, u]));
  const text = $("filter").value.trim().toLowerCase();
  const have = new Map([...$("upstreams").children].map((c) => [c.dataset.name, c]));
  const shown = now.upstreams.filter((u) => matches(u, text) || open.has(u.name));
  const cards = shown.map((upstream) => {
    const card = have.get(upstream.name) || new_card(upstream.name);
    fill_summary(card.querySelector("summary"), upstream, before.get(upstream.name), seconds);
    return card;
  });
  const box = $("upstreams");
  if (!cards.length || cards.length !== box.children.length || cards.some((c, i) => c !== box.children[i])) box.replaceChildren(...cards);
  if (!shown.length) $("upstreams").append(node("p", now.upstreams.length ? "Nothing matches." : "No upstreams are configured.", { class: "dim" }));
  if (!last && now.upstreams.length === 1) $("upstreams").firstChild.open = true;
}

function new_card(name) {
  const card = node("details", null, { class: "card" });
  card.dataset.name = name;
  card.append(node("summary"), node("div", "Loading…", { class: "more" }));
  card.addEventListener("toggle", () => {
    if (card.open) { open.set(name, null); show_servers(card, name).catch(trouble); } else open.delete(name);
  });
  return card;
}

function action(name, server, label, change, danger) {
  const button = node("button", label, danger ? { class: "danger" } : {});
  button.addEventListener("click", async () => {
    if (danger && !await sure(`${label} ${server.server} of ${name}?`)) return;
    button.disabled = true;
    try {
      await ask(`/v1/http/upstreams/${encodeURIComponent(name)}/servers/${server.id}`, { method: "PATCH",
        headers: { "Content-Type": "application/merge-patch+json" }, body: JSON.stringify(change) });
      await look();
    } catch (error) { trouble(error); }
    button.disabled = false;
  });
  return button;
}

// Which buttons there are; they stay the same elements until that changes, or a click would miss.
function fill_actions(cell, name, server) {
  const may = role === "write" || role === "admin";
  const wanted = !may ? "none" : `${Boolean(server.down)} ${Boolean(server.drain)}`;
  if (cell.dataset.wanted === wanted) return;
  cell.dataset.wanted = wanted;
  cell.replaceChildren();
  if (!may) return;
  if (server.down || server.drain) cell.append(action(name, server, "Up", { down: false, drain: false }));
  if (!server.drain) cell.append(action(name, server, "Drain", { drain: true }));
  if (!server.down) cell.append(action(name, server, "Down", { down: true }, true));
}

const columns = [["Server"], ["State"], ["Req/s", "req/s"], ["Active", "active"], ["Mean", "mean"], ["Fails", "fails"],
  ["Weight", "weight"], ["Classes"], [""]];

function new_row(id) {
  const row = node("tr");
  row.dataset.id = id;
  for (const [label, name] of columns)
    row.append(node("td", null, name ? { class: "n", "data-name": name } : label === "" ? { class: "act" } : { "data-name": label.toLowerCase() }));
  return row;
}

function fill_row(row, name, server, was, seconds) {
  const cells = row.cells;
  const asked = server.requests - (was ? was.requests : 0);
  const mean = asked > 0 ? (server.response_ms - (was ? was.response_ms : 0)) / asked : null;
  const texts = { 0: server.server + (server.backup ? " (backup)" : ""), 2: rate(per_second(server.requests, was && was.requests, seconds)),
    3: server.active, 4: mean === null ? "-" : millis(Number(mean.toFixed(mean < 10 ? 1 : 0))), 5: server.fails, 6: server.weight };
  for (const [at, text] of Object.entries(texts)) cells[at].textContent = text;
  cells[1].replaceChildren(state_pill(server.state));
  cells[7].replaceChildren(class_bar(classes_of(server.responses)));
  fill_actions(cells[8], name, server);
}

function new_table() {
  const table = node("table", null, { class: "servers" }), head = node("tr"), box = node("div", null, { class: "scroll" });
  for (const [label, number] of columns) head.append(node("th", label, number ? { class: "n" } : {}));
  table.append(node("thead"), node("tbody"));
  table.tHead.append(head);
  box.append(table);
  return box;
}

async function show_servers(card, name) {
  const now = await get("/v1/http/upstreams/" + encodeURIComponent(name));
  const before = open.get(name), at = performance.now(), seconds = before ? (at - before.at) / 1000 : 0;
  const text = $("filter").value.trim().toLowerCase();
  let servers = now.servers;
  if (!open.has(name)) return;
  open.set(name, { at, servers: new Map(servers.map((s) => [s.id, s])) });
  if (text && !name.toLowerCase().includes(text)) servers = servers.filter((s) => s.server.includes(text) || s.state.includes(text));
  const box = card.querySelector(".scroll") || new_table(), more = card.querySelector(".more") || node("div", null, { class: "more" });
  if (!box.isConnected) card.append(box);
  card.append(more);
  const body = box.querySelector("tbody"), have = new Map([...body.rows].map((r) => [r.dataset.id, r]));
  const rows = servers.slice(0, ROWS).map((server) => {
    const row = have.get(String(server.id)) || new_row(server.id);
    fill_row(row, name, server, before && before.servers.get(server.id), seconds);
    return row;
  });
  if (rows.length !== body.rows.length || rows.some((r, i) => r !== body.rows[i])) body.replaceChildren(...rows);
  box.hidden = rows.length === 0;
  more.textContent = servers.length > ROWS ? `and ${servers.length - ROWS} more: use the filter`
    : servers.length ? "" : now.servers.length ? "No server matches." : "No servers.";
  more.hidden = !more.textContent;
}

// ---- events ----

function names(list) {
  return list.slice(0, 3).join(", ") + (list.length > 3 ? ` and ${list.length - 3} more` : "");
}

function diff_text(body) {
  const parts = [];
  for (const [name, diff] of Object.entries(body.upstreams || {})) {
    const said = diff.change && diff.change !== "changed" ? [diff.change] : [];
    for (const [word, list] of Object.entries(diff.servers || {}))
      if (Array.isArray(list) && list.length) said.push(`${word} ${names(list.map((s) => s.server || "#" + s.id))}`);
    parts.push(`${name}: ${said.join("; ") || "settings changed"}`);
  }
  for (const table of body.tables || []) parts.push(`${table.kind} ${table.name}: ${table.change}`);
  return parts.join(" | ");
}

function event_text(kind, body) {
  switch (kind) {
  case "revision": return [...(body.causes || []).map((c) => c.what), diff_text(body)].filter(Boolean).join(" — ");
  case "health": return `${body.server} of ${body.upstream} is ${body.state}${body.reason ? ": " + body.reason : ""}`;
  case "eject": return `${body.server} of ${body.upstream} ${body.ejected ? "ejected: " + body.reason : "let in again"}`;
  default: return Object.entries(body).filter(([k, v]) => typeof v !== "object" && !["sequence", "at", "revision"].includes(k)).map(([k, v]) => `${k} ${v}`).join(", ");
  }
}

function add_event(kind, body) {
  const item = node("li");
  const when = new Date(body.at || Date.now());
  const mark = kind === "revision" ? "revision " + body.revision : kind;
  item.append(node("time", when.toLocaleTimeString(), { datetime: when.toISOString(), title: when.toLocaleString() }),
    node("span", mark, { class: "pill " + ({ eject: "bad", health: body.state === "up" ? "good" : "bad", respawn: "bad", drain: "warn" }[kind] || "") }),
    node("span", event_text(kind, body), { class: "what" }), node("span", names([...new Set((body.causes || []).map((c) => c.who))]), { class: "dim" }));
  $("events").prepend(item);
  while ($("events").children.length > EVENTS) $("events").lastChild.remove();
}

function take_event(block) {
  let kind = "message", data = "", id = null;
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data += line.slice(5).trim();
    else if (line.startsWith("id:")) id = line.slice(3).trim();
  }
  if (!data || kind === "hello") return id;
  add_event(kind, JSON.parse(data));
  if (kind === "revision" || kind === "health" || kind === "eject") look().catch(trouble);
  return id;
}

// What happened before the page was opened.
async function recall() {
  const past = await get(`/v1/history?limit=${PAST}`);
  $("events").replaceChildren();
  for (const body of past.history.reverse()) add_event("revision", body);
}

// EventSource cannot send a token, so the stream is read by hand.
async function follow() {
  let id = null;
  for (;;) {
    try {
      if (!id) await recall();
      const answer = await ask("/v1/events", { headers: { Accept: "text/event-stream", ...(id ? { "Last-Event-ID": id } : {}) } });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        rest += value.replace(/\r\n/g, "\n");
        for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) id = take_event(rest.slice(0, end)) || id;
      }
    } catch (error) { if (error.status === 401 || error.status === 403) return; }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

// ---- the page ----

function trouble(error) {
  if (error && error.status === 401) { ask_token(); return; }
  $("trouble").textContent = error ? error.message : "";
  $("trouble").hidden = !error;
}

function ask_token() {
  $("login").hidden = false;
  $("main").hidden = true;
  $("token").focus();
}

function sure(text) {
  return new Promise((done) => {
    $("ask-text").textContent = text;
    $("ask").returnValue = "no";
    $("ask").addEventListener("close", () => done($("ask").returnValue === "yes"), { once: true });
    $("ask").showModal();
  });
}

let looking = null, again = false;

async function look_once() {
  const now = await get("/v1/overview");
  now.at = performance.now();
  const seconds = last ? (now.at - last.at) / 1000 : 0;
  role = now.role;
  $("main").hidden = false;
  show_tiles(now, seconds);
  show_upstreams(now, seconds);
  show_zones(now, seconds);
  last = now;
  for (const card of $("upstreams").children) if (card.open && open.has(card.dataset.name)) await show_servers(card, card.dataset.name);
  $("trouble").hidden = true;
}

// One look at a time; whoever asks meanwhile gets another one behind it.
function look() {
  if (looking) { again = true; return looking; }
  looking = look_once().finally(() => {
    looking = null;
    if (again) { again = false; return look(); }
  });
  return looking;
}

async function run() {
  try { await look(); } catch (error) {
    if (error.status === 401) { ask_token(); return; }
    $("state").textContent = "away";
    $("state").className = "pill bad";
    trouble(error);
  }
  setTimeout(run, document.hidden ? POLL_MS * 5 : POLL_MS);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("remora-token", token);
  $("login").hidden = true;
  run();
  follow();
});
$("filter").addEventListener("input", () => { if (last) look().catch(trouble); });
run();
follow();

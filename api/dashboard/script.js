// SPDX-License-Identifier: Apache-2.0
// The dashboard: asks /v1/overview, follows /v1/events, shows both.  Whatever comes from the server is put into the
// page as text, never as markup.
"use strict";
const $ = (id) => document.getElementById(id);
const POLL_MS = 2000, POINTS = 60, ROWS = 200, CARDS = 100, EVENTS = 50, PAST = 20, TROUBLE_MS = 15000, DIRECTORY_MS = 5000;
let token = sessionStorage.getItem("remora-token") || "";
let last = null;            // the overview before
let may_change = false;
let trouble_until = 0;      // what is told of a refused change stays for a while
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
  return ms >= 1000 ? (ms / 1000).toFixed(1) + " s" : ms + " ms";
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

// The bound below which a share of what was counted since `before` lies: that is all that a histogram can tell.
function quantile(now, before, share) {
  if (!now || !now.buckets) return "-";
  const grown = now.buckets.map((n, i) => n - (before && before.buckets ? before.buckets[i] : 0));
  const all = grown.reduce((a, b) => a + b, 0), bounds = now.bounds_ms;
  let seen = 0;
  if (all <= 0) return "-";
  for (let i = 0; i < bounds.length; i++) {
    seen += grown[i];
    if (seen >= all * share) return "≤ " + millis(bounds[i]);
  }
  return "> " + millis(bounds[bounds.length - 1]);
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

// "2xx 90 %, 5xx 10 %": colours alone would not tell everybody.
function class_text(parts) {
  const all = parts.reduce((a, b) => a + b, 0);
  const share = (n) => n / all < 0.001 ? "< 0.1" : n === all ? "100" : (Math.floor(1000 * n / all) / 10).toFixed(1);
  return parts.map((n, i) => n ? `${i + 1}xx ${share(n)} %` : "").filter(Boolean).join(", ");
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
  $("leave").hidden = !token;
  $("who").textContent = now.who ? `${now.who} (${now.read_only ? "read only" : now.role})` : "";
  show_state(now.draining ? "draining" : "serving", now.draining ? "warn" : "good");
  $("rate").textContent = rate(per);
  $("errors").textContent = (all ? (100 * parts[4] / all).toFixed(parts[4] ? 2 : 0) : "0") + " %";
  draw("rate", per);
  draw("errors", all ? parts[4] / all : 0);
  $("total").textContent = count.format(now.requests.total);
  $("classes").replaceChildren(class_bar(classes_of(now.responses)));
  $("classes-more").textContent = class_text(classes_of(now.responses));
  $("current").textContent = now.requests.current;
  $("connections").textContent = `${count.format(now.connections.active)} connection${now.connections.active === 1 ? "" : "s"}, ${count.format(now.connections.idle)} idle`;
  $("traffic").textContent = bytes(per_second(now.sent, before.sent, seconds)) + "/s";
  $("traffic-more").textContent = bytes(per_second(now.received, before.received, seconds)) + "/s in";
  $("workers").textContent = now.workers.length;
  $("workers-more").textContent = `${now.worker_respawns} respawned, ${bytes(now.memory.used)} shared`;
  show_servers_tile(now.upstreams);
}

function show_servers_tile(upstreams) {
  const states = {};
  for (const upstream of upstreams)
    for (const [state, n] of Object.entries(upstream.states)) states[state] = (states[state] || 0) + n;
  const all = Object.values(states).reduce((a, b) => a + b, 0);
  $("up").textContent = states.up || 0;
  delete states.up;
  const others = Object.entries(states).map(([state, n]) => `${n} ${state}`).join(", ");
  $("up-more").textContent = `of ${all} in ${upstreams.length} upstream${upstreams.length === 1 ? "" : "s"}` + (others && ": " + others);
}

function show_zones(now, seconds) {
  const before = new Map((last ? last.zones : []).map((z) => [z.kind + z.name, z]));
  $("zones-section").hidden = now.zones.length === 0;
  $("zones").replaceChildren(...now.zones.map((zone) => {
    const was = before.get(zone.kind + zone.name);
    const row = node("tr");
    const cell = node("td", null, { "data-name": "responses" });
    row.append(node("td", zone.name));
    for (const [name, text] of [["req/s", rate(per_second(zone.requests, was && was.requests, seconds))], ["in flight", zone.processing],
      ["p50", quantile(zone.duration, was && was.duration, 0.5)], ["p99", quantile(zone.duration, was && was.duration, 0.99)]])
      row.append(node("td", text, { class: "n", "data-name": name }));
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

// Which servers there are, for the filter: asked for when it is used, and again when they may be others.
const directory = { revision: null, at: 0, servers: new Map() };

async function learn_servers(revision) {
  if (directory.revision === revision || (directory.at && performance.now() - directory.at < DIRECTORY_MS)) return;
  const all = await get("/v1/http/upstreams");
  directory.servers = new Map(all.upstreams.map((u) => [u.name, u.servers.map((s) => s.server)]));
  directory.revision = all.revision;
  directory.at = performance.now();
}

// How many servers of an upstream are meant by their names.
function servers_named(name, text) {
  return text ? (directory.servers.get(name) || []).filter((server) => server.includes(text)).length : 0;
}

function matches(upstream, text) {
  return !text || upstream.name.toLowerCase().includes(text) || servers_named(upstream.name, text) > 0 ||
    Object.keys(upstream.states).some((s) => s.includes(text) && upstream.states[s]);
}

function fill_summary(summary, upstream, was, seconds) {
  const text = filter_text(), named = servers_named(upstream.name, text);
  summary.replaceChildren(node("b", upstream.name));
  for (const [state, n] of Object.entries(upstream.states)) if (n) summary.append(state_pill(state, n));
  if (!upstream.servers) summary.append(state_pill("no servers"));
  if (named) summary.append(node("span", `${named} named like that`, { class: "dim" }));
  const facts = [`${rate(per_second(upstream.requests, was && was.requests, seconds))} req/s`, `${upstream.active} active`,
    `p50 ${quantile(upstream.duration, was && was.duration, 0.5)}`, `p99 ${quantile(upstream.duration, was && was.duration, 0.99)}`];
  if (upstream.retries) facts.push(`${count.format(upstream.retries)} retries`);
  if (upstream.overflows) facts.push(`${count.format(upstream.overflows)} over limits`);
  if (upstream.zombies) facts.push(`${upstream.zombies} leaving`);
  summary.append(node("span", null, { class: "spacer" }), node("span", facts.join("  ·  "), { class: "facts" }));
}

function filter_text() {
  return $("filter").value.trim().toLowerCase();
}

// Cards that the filter hides are kept, so that they are still unfolded when it lets them show again.
const cards_of = new Map();

// Where not all can be shown, those that somebody looks for are.
function well(upstream) {
  return upstream.servers > 0 && upstream.states.up === upstream.servers;
}

function show_upstreams(now, seconds) {
  const before = new Map((last ? last.upstreams : []).map((u) => [u.name, u]));
  const text = filter_text(), there = new Set(now.upstreams.map((u) => u.name));
  for (const name of cards_of.keys()) if (!there.has(name)) { cards_of.delete(name); open.delete(name); }
  const matching = now.upstreams.filter((u) => matches(u, text)), all = matching.length;
  const shown = all > CARDS ? matching.sort((a, b) => well(a) - well(b)).slice(0, CARDS) : matching;
  const cards = shown.map((upstream) => {
    const card = cards_of.get(upstream.name) || new_card(upstream.name);
    fill_summary(card.querySelector("summary"), upstream, before.get(upstream.name), seconds);
    return card;
  });
  const box = $("cards");
  if (cards.length !== box.children.length || cards.some((c, i) => c !== box.children[i])) box.replaceChildren(...cards);
  $("upstreams-more").textContent = all > CARDS ? `and ${all - CARDS} more: use the filter`
    : all ? "" : now.upstreams.length ? "Nothing matches." : "There are no upstreams.";
  if (!last && now.upstreams.length === 1) cards[0].open = true;
}

function new_card(name) {
  const card = node("details", null, { class: "card" });
  card.dataset.name = name;
  cards_of.set(name, card);
  card.append(node("summary"), node("div", "Loading…", { class: "more" }));
  card.addEventListener("toggle", () => {
    if (card.open) { open.set(name, null); show_servers(card, name).catch(trouble); } else open.delete(name);
  });
  return card;
}

function action(name, server, label, change, danger) {
  const button = node("button", label, { "aria-label": `${label} ${server.server}`, ...(danger ? { class: "danger" } : {}) });
  button.addEventListener("click", async () => {
    if (danger && !await sure(`${label} ${server.server} of ${name}?`)) return;
    button.disabled = true;
    try {
      await ask(`/v1/http/upstreams/${encodeURIComponent(name)}/servers/${server.id}`, { method: "PATCH",
        headers: { "Content-Type": "application/merge-patch+json" }, body: JSON.stringify(change) });
      await look();
    } catch (error) { trouble(error, `${label} ${server.server} of ${name}: `); }
    button.disabled = false;
  });
  return button;
}

// Which buttons there are; they stay the same elements until that changes, or a click would miss.
function fill_actions(cell, name, server) {
  const wanted = !may_change ? "none" : `${Boolean(server.down)} ${Boolean(server.drain)}`;
  if (cell.dataset.wanted === wanted) return;
  cell.dataset.wanted = wanted;
  cell.replaceChildren();
  if (!may_change) return;
  if (server.down || server.drain) cell.append(action(name, server, "Up", { down: false, drain: false }));
  if (!server.drain) cell.append(action(name, server, "Drain", { drain: true }));
  if (!server.down) cell.append(action(name, server, "Down", { down: true }, true));
}

const columns = [["Server"], ["State"], ["Req/s", "req/s"], ["Active", "active"], ["Mean", "mean"], ["Fails", "fails"],
  ["Weight", "weight"], ["Responses"], [""]];

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

function new_table(name) {
  const table = node("table", null, { class: "servers stack" }), head = node("tr");
  const box = node("div", null, { class: "scroll", tabindex: "0", role: "region", "aria-label": "Servers of " + name });
  for (const [label, number] of columns)
    head.append(node(label ? "th" : "td", label, { ...(label ? { scope: "col" } : {}), ...(number ? { class: "n" } : {}) }));
  table.append(node("thead"), node("tbody"));
  table.tHead.append(head);
  box.append(table);
  return box;
}

async function show_servers(card, name) {
  const now = await get("/v1/http/upstreams/" + encodeURIComponent(name));
  const before = open.get(name), at = performance.now(), seconds = before ? (at - before.at) / 1000 : 0;
  const text = filter_text();
  let servers = now.servers;
  if (!open.has(name)) return;
  open.set(name, { at, servers: new Map(servers.map((s) => [s.id, s])) });
  if (text && !name.toLowerCase().includes(text)) servers = servers.filter((s) => s.server.includes(text) || s.state.includes(text));
  // Where not all can be shown, those that somebody looks for are.
  if (servers.length > ROWS) servers.sort((a, b) => (a.state === "up") - (b.state === "up"));
  const box = card.querySelector(".scroll") || new_table(name), more = card.querySelector(".more") || node("div", null, { class: "more" });
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
  case "respawn": return `${body.process === "agent" ? "the agent" : "worker " + body.slot} died and was started again`;
  case "reload": return body.ok ? `generation ${body.generation} of the configuration` : `refused: ${body.error}`;
  case "drain": return { announced: "leaving: not ready any more", closing: "leaving: no new connections" }[body.state] || body.state;
  case "gap": return "events were missed";
  case "health": return `${body.server} of ${body.upstream} is ${body.state}${body.reason ? ": " + body.reason : ""}`;
  case "eject": return `${body.server} of ${body.upstream} ${body.ejected ? "ejected: " + body.reason : "let in again"}`;
  default: return Object.entries(body).filter(([k, v]) => typeof v !== "object" && !["sequence", "at", "revision"].includes(k)).map(([k, v]) => `${k} ${v}`).join(", ");
  }
}

function add_event(kind, body) {
  const item = node("li");
  const when = new Date(body.at || Date.now());
  const mark = kind === "revision" ? "revision " + body.revision : kind;
  const today = when.toDateString() === new Date().toDateString();
  item.append(node("time", today ? when.toLocaleTimeString() : when.toLocaleString(), { datetime: when.toISOString(), title: when.toLocaleString() }),
    node("span", mark, { class: "pill " + ({ eject: "bad", health: body.state === "up" ? "good" : "bad", respawn: "bad", drain: "warn",
      reload: body.ok === false ? "bad" : "good" }[kind] || "") }),
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

// Where to begin with what happened before the page was opened: behind one of the latest revisions.
async function recall() {
  const past = (await get(`/v1/history?limit=${PAST}`)).history;
  $("events").replaceChildren();
  if (!past.length) return null;
  add_event("revision", past[past.length - 1]);
  return String(past[past.length - 1].sequence);
}

// EventSource cannot send a token, so the stream is read by hand.
let following = false;

async function follow() {
  let id = null;
  if (following) return;
  following = true;
  for (;;) {
    try {
      if (!id) id = await recall();
      const answer = await ask("/v1/events", { headers: { Accept: "text/event-stream", ...(id ? { "Last-Event-ID": id } : {}) } });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        rest += value.replace(/\r\n/g, "\n");
        for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) id = take_event(rest.slice(0, end)) || id;
      }
    } catch (error) { if ([401, 403, 429].includes(error.status)) break; }
    await new Promise((done) => setTimeout(done, 1000));
  }
  following = false;
}

// ---- the page ----

// Says what went wrong.  What is about a change (`what`) stays for a while, all else until it works again.
function trouble(error, what = "") {
  if (error.status === 401 || error.status === 429) { ask_token(error); return; }
  const away = !(error instanceof Refused);
  if (away && !last) $("trouble").textContent = "The admin API does not answer.";
  else if (away) $("trouble").textContent = `${what}The admin API does not answer. Figures are of ${last.when.toLocaleTimeString()}.`;
  else $("trouble").textContent = what + error.message;
  $("trouble").hidden = false;
  if (what) trouble_until = performance.now() + TROUBLE_MS;
}

function show_state(text, kind) {
  $("state").textContent = text;
  $("state").className = "pill " + kind;
  document.body.classList.toggle("stale", kind === "bad");
}

function ask_token(error) {
  const wrong = error.status === 429 ? error.message : token ? "This token is not accepted." : "";
  if (error.status === 401) forget_token();
  show_state("signed out", "warn");
  $("login-trouble").textContent = wrong || $("login-trouble").textContent;
  $("login-trouble").hidden = !$("login-trouble").textContent;
  $("login").hidden = false;
  $("main").hidden = $("leave").hidden = true;
  $("trouble").hidden = true;
  clearTimeout(timer);
  $("token").focus();
}

function forget_token() {
  token = "";
  sessionStorage.removeItem("remora-token");
  $("token").value = "";
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
  if (filter_text()) await learn_servers(now.revision);
  now.at = performance.now();
  now.when = new Date();
  const seconds = last ? (now.at - last.at) / 1000 : 0;
  may_change = !now.read_only && (now.role === "write" || now.role === "admin");
  $("main").hidden = false;
  show_tiles(now, seconds);
  show_upstreams(now, seconds);
  show_zones(now, seconds);
  last = now;
  for (const card of $("cards").children) if (card.open && open.has(card.dataset.name)) await show_servers(card, card.dataset.name);
  if (performance.now() > trouble_until) $("trouble").hidden = true;
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

let timer = 0;

async function run() {
  try { await look(); } catch (error) {
    show_state(error instanceof Refused ? "refused" : "no answer", "bad");
    trouble(error);
    if (!$("login").hidden) return;
  }
  clearTimeout(timer);
  timer = setTimeout(run, document.hidden ? POLL_MS * 5 : POLL_MS);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("remora-token", token);
  $("login").hidden = true;
  $("login-trouble").textContent = "";
  run();
  follow();
});
$("leave").addEventListener("click", () => { forget_token(); location.reload(); });
$("filter").addEventListener("input", () => { if (last) look().catch(trouble); });
$("host").textContent = location.host;
document.title = "remora " + location.host;
run();
follow();

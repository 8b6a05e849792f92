"use strict";
// The pool's page. It reads the public API like everybody else, and writes text nodes only: nothing that a miner
// chose (a worker name, say) is ever read as markup.

const $ = (id) => document.getElementById(id);
const NAMES = { sha256d: "SHA-256d", randomx: "RandomX", ethash: "Ethash" };
const ORDER = ["sha256d", "randomx", "ethash"];
const HISTORY = 120;
const POLL_MS = 5000;

const state = { pool: null, health: null, blocks: [], connect: null, address: "", history: {}, seen: new Set(), first: true };

// ---- building nodes -------------------------------------------------------------------------------------------

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const fill = (node, ...children) => node.replaceChildren(...children);
const pair = (term, ...value) => el("div", {}, el("dt", {}, term), el("dd", {}, ...value));
const chip = (algorithm) => el("span", { class: "chip", "data-algorithm": algorithm }, NAMES[algorithm] || algorithm);

// ---- figures --------------------------------------------------------------------------------------------------

function scaled(value) {
  const units = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) { value /= 1000; unit += 1; }
  const digits = value >= 100 || (unit === 0 && Number.isInteger(value)) ? 0 : value >= 10 ? 1 : 2;
  return [value.toFixed(digits), units[unit]];
}
const short = (value) => { const [number, unit] = scaled(Number(value)); return unit ? `${number} ${unit}` : number; };
const rate = (value) => { const [number, unit] = scaled(value); return `${number} ${unit}H/s`; };

// Atoms arrive as text, because a sum of money is never rounded.
function coins(atoms) {
  const value = BigInt(atoms);
  const unit = 100000000n;
  const fraction = (value % unit).toString().padStart(8, "0").replace(/0+$/, "").padEnd(2, "0");
  return `${(value / unit).toLocaleString("en-US")}.${fraction}`;
}

const percent = (fraction) => `${(fraction * 100).toFixed(fraction < 0.1 ? 1 : 0)} %`;
const clip = (text) => (text.length > 20 ? `${text.slice(0, 10)}…${text.slice(-6)}` : text);

function ago(seconds) {
  const gone = Math.max(0, Math.floor(Date.now() / 1000 - seconds));
  if (gone < 60) return `${gone} s ago`;
  if (gone < 3600) return `${Math.floor(gone / 60)} min ago`;
  if (gone < 172800) return `${Math.floor(gone / 3600)} h ago`;
  return `${Math.floor(gone / 86400)} days ago`;
}
const since = (seconds) =>
  el("time", { "data-since": seconds, title: new Date(seconds * 1000).toLocaleString() }, ago(seconds));

const rejected = (shares) => Object.values(shares.rejected).reduce((sum, count) => sum + count, 0);
function reasons(shares) {
  const list = Object.entries(shares.rejected).filter(([, count]) => count > 0);
  return list.length ? list.map(([reason, count]) => `${reason.replaceAll("_", " ")}: ${count}`).join(", ") : "none";
}

// ---- the pool -------------------------------------------------------------------------------------------------

function remember(pool) {
  for (const [name, lane] of Object.entries(pool.algorithms)) {
    const points = (state.history[name] ||= []);
    points.push(lane.pool_hashrate);
    if (points.length > HISTORY) points.shift();
  }
}

function spark(points) {
  const [width, height] = [300, 44];
  const top = Math.max(...points, 1e-9);
  const step = width / Math.max(1, points.length - 1);
  const at = points.map((point, index) => `${(index * step).toFixed(1)},${(height - 3 - (point / top) * (height - 8)).toFixed(1)}`);
  if (at.length === 1) at.push(`${width},${at[0].split(",")[1]}`);
  const line = svg("polyline", { points: at.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linejoin": "round", "vector-effect": "non-scaling-stroke" });
  const area = svg("polygon", { points: `0,${height} ${at.join(" ")} ${width},${height}`, fill: "currentColor", opacity: 0.12 });
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": "pool hashrate since this page was opened" }, area, line);
}

function meter(fraction) {
  const bar = el("i");
  bar.style.width = `${Math.min(100, Math.max(0, fraction * 100))}%`;
  return el("div", { class: "meter" }, bar);
}

function lane(name, view) {
  const [number, unit] = scaled(view.pool_hashrate);
  const portion = view.network_hashrate > 0 ? Math.min(1, view.pool_hashrate / view.network_hashrate) : 0;
  return el("article", { class: view.active ? "lane" : "lane idle", "data-algorithm": name },
    el("div", { class: "lane-top" },
      el("h3", { class: "lane-name" }, NAMES[name] || name),
      el("span", { class: "lane-sub" }, view.active ? `${percent(portion)} of the network` : "not active yet")),
    el("div", {},
      el("div", { class: "lane-rate" }, `${number} `, el("small", {}, `${unit}H/s`)),
      el("div", { class: "lane-sub" }, `network ${rate(view.network_hashrate)}`)),
    spark(state.history[name] || [view.pool_hashrate]),
    el("div", { class: "effort", title: "Work since the pool's last block, against the work a block takes on average" },
      el("div", {}, el("span", { class: "lane-sub" }, "effort of this round"), el("b", {}, percent(view.effort))),
      meter(view.effort)),
    el("dl", {},
      pair("difficulty", short(view.network_difficulty)),
      pair("blocks", String(view.blocks)),
      pair("shares", short(view.shares.accepted)),
      el("div", { title: reasons(view.shares) }, el("dt", {}, "rejected"), el("dd", {}, short(rejected(view.shares))))));
}

function showPool() {
  const pool = state.pool;
  $("network").textContent = pool.network;
  showAlarm();
  const names = [...ORDER, ...Object.keys(pool.algorithms).filter((name) => !ORDER.includes(name))];
  fill($("lanes"), ...names.filter((name) => pool.algorithms[name]).map((name) => lane(name, pool.algorithms[name])));
  const orphaned = pool.blocks_orphaned ? [" ", el("small", {}, `${pool.blocks_orphaned} orphaned`)] : [];
  fill($("stats"),
    pair("Miners, last hour", String(pool.miners_active)),
    pair("Connections", String(pool.connections)),
    pair("Blocks found", String(pool.blocks_found), ...orphaned),
    pair("Owed to miners", coins((BigInt(pool.immature) + BigInt(pool.payable) + BigInt(pool.carried)).toString()), " ",
      el("small", {}, `${coins(pool.immature)} immature`)),
    pair("Being paid", coins(pool.in_flight)),
    pair("Paid", coins(pool.paid)),
    pair("Fee and scheme", `${(pool.fee_bp / 100).toFixed(2)} %`, " ", el("small", {}, pool.scheme.toUpperCase())),
    ...pool.schemes.filter((scheme) => scheme.name !== "pplns").map((scheme) =>
      pair(`Fee of ${scheme.name.toUpperCase()}`, `${(scheme.fee_bp / 100).toFixed(2)} %`, " ",
        el("small", {}, scheme.is_paid ? "offered" : "paid as PPLNS: the reserve is too small"))),
    ...(pool.reserve
      ? [pair("Reserve", coins(pool.reserve.holds), " ",
        el("small", {}, pool.reserve.needed === null ? "" : `${coins(pool.reserve.needed)} needed`))]
      : []),
    pool.payout_mode === "direct"
      ? pair("Paid", "in each block's coinbase")
      : pair("Paid from", coins(pool.payout_min), " ", el("small", {}, `after ${pool.coinbase_maturity} blocks`)));
  $("stamp").textContent = `as of ${new Date().toLocaleTimeString()}`;
}

// What people should know: the same list as /health, metrics and `bq status`.
function showAlarm() {
  const lines = [];
  if (state.pool.ledger_imbalance !== "0") {
    lines.push(el("li", {}, `The books do not balance by ${state.pool.ledger_imbalance} atoms. Payouts should be stopped.`));
  }
  for (const [component, view] of Object.entries(state.health ? state.health.components : {})) {
    for (const condition of view.conditions) {
      const name = el("b", {}, `${component}: ${condition.name.replaceAll("_", " ")}`);
      lines.push(el("li", {}, name, ` — ${condition.reason} (`, since(condition.since), ")"));
    }
  }
  $("alarm").hidden = lines.length === 0;
  fill($("alarm"), el("ul", {}, ...lines));
}

function showTip(height, seconds) {
  const children = ["block ", el("b", {}, Number(height).toLocaleString("en-US"))];
  if (seconds) children.push(" · ", since(seconds));
  fill($("tip"), ...children);
}

// ---- blocks ---------------------------------------------------------------------------------------------------

function stateOf(block) {
  const maturity = state.pool ? state.pool.coinbase_maturity : 0;
  switch (block.state) {
    case "matured": return el("span", { class: "chip good" }, "matured");
    case "orphaned": return el("span", { class: "chip bad" }, "orphaned");
    case "found": return el("span", { class: "chip warn" }, "found");
    default: return el("span", { class: "chip warn" }, `immature ${block.confirmations}${maturity ? ` of ${maturity}` : ""}`);
  }
}

const minerLink = (address) =>
  el("a", { href: `#miner=${encodeURIComponent(address)}`, class: "mono", title: address }, clip(address));

function showBlocks() {
  const rows = state.blocks.map((block) => {
    const fresh = !state.first && !state.seen.has(block.id);
    state.seen.add(block.id);
    return el("tr", fresh ? { class: "fresh" } : {},
      el("td", { title: block.id }, block.height.toLocaleString("en-US")),
      el("td", {}, chip(block.algorithm)),
      el("td", {}, since(block.time)),
      el("td", { class: "num" }, coins(block.reward)),
      el("td", {}, stateOf(block)),
      el("td", {}, minerLink(block.finder)));
  });
  state.first = false;
  fill($("blocks"), ...rows);
  $("blocks-empty").hidden = rows.length > 0;
  $("blocks-hint").textContent = rows.length ? `the newest ${rows.length}` : "";
}

// ---- connecting a miner ---------------------------------------------------------------------------------------

function showConnect() {
  const host = location.hostname;
  fill($("connect"), ...state.connect.ports.map((port) => {
    const listens = port.address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
    const local = ["127.0.0.1", "::1", "0.0.0.0", "::"].includes(listens);
    const command = port.command.replace("HOST", local ? host : listens).replace("ADDRESS", state.address || "ADDRESS");
    const button = el("button", { class: "copy", type: "button", "aria-label": `Copy the ${port.miner} command` }, "Copy");
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(command); button.textContent = "Copied"; } catch { button.textContent = "Select it"; }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    return el("div", { class: "line" },
      el("div", { class: "line-top" }, chip(port.algorithm), el("span", { class: "hint" }, port.miner)),
      el("div", { class: "line-box" }, el("code", { tabindex: "0" }, command), button));
  }));
}

// ---- one miner ------------------------------------------------------------------------------------------------

function table(heads, rows) {
  const head = heads.map(([text, numeric]) => el("th", numeric ? { class: "num" } : {}, text));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
}

function workerRow(worker) {
  const refused = rejected(worker.shares);
  return el("tr", {},
    el("td", {}, worker.name),
    el("td", {}, chip(worker.algorithm)),
    el("td", { class: "num" }, rate(worker.hashrate)),
    el("td", { class: "num" }, short(worker.shares.accepted)),
    el("td", { class: "num", title: reasons(worker.shares) }, short(refused)),
    el("td", {}, worker.last_share ? since(worker.last_share) : "never"));
}

function payoutRow(payout) {
  const tone = payout.state === "final" ? "good" : "warn";
  return el("tr", {},
    el("td", {}, since(payout.time)),
    el("td", { class: "num" }, coins(payout.amount)),
    el("td", {}, el("span", { class: `chip ${tone}` }, payout.state)),
    el("td", { class: "mono", title: payout.txid }, clip(payout.txid)));
}

function coinbaseRow(payment) {
  const tone = payment.state === "matured" ? "good" : payment.state === "immature" || payment.state === "found" ? "warn" : "bad";
  return el("tr", {},
    el("td", {}, since(payment.time)),
    el("td", {}, chip(payment.algorithm)),
    el("td", { class: "num" }, coins(payment.amount)),
    el("td", {}, el("span", { class: `chip ${tone}` }, payment.state)),
    el("td", { class: "mono", title: payment.block }, payment.height.toLocaleString("en-US")));
}

// What the coinbase that is being mined pays, and what a later one does.
function nextBlock(parts) {
  const lines = ORDER.filter((name) => parts[name]).map((name) => {
    const later = parts[name].put_off === "0" ? "" : ` (and ${coins(parts[name].put_off)} by a later one)`;
    return el("p", {}, chip(name), ` ${coins(parts[name].pays)}${later}`);
  });
  return lines.length ? [el("h3", {}, "Your part of the next block"), ...lines] : [];
}

// What the account set for itself, and what waits.
function wishes(of) {
  const minimum = of.minimum === null ? "the pool's" : coins(of.minimum);
  return `minimum ${minimum} · scheme ${of.scheme} · ${of.locked ? "locked" : "not locked"} · ${of.webhook ? "with" : "without"} a webhook`;
}

function settings(view) {
  if (!view || (view.changed === null && !view.is_taken)) return [];
  const lines = [el("p", {}, view.changed === null ? "Nothing was set: the pool's own hold." : wishes(view.current))];
  if (view.pending) {
    const left = `block ${view.pending.from_height.toLocaleString("en-US")} (${view.pending.blocks_left.toLocaleString("en-US")} to go)`;
    lines.push(el("p", {}, el("span", { class: "chip warn" }, "waits"), ` from ${left} on: ${wishes(view.pending)}`),
      el("p", { class: "hint" }, "Not yours? Cancel it: bq wallet sign-settings --cancel"));
  }
  if (view.notices.last_failure !== null) {
    lines.push(el("p", {}, el("span", { class: "chip bad" }, "webhook"), ` ${view.notices.failed} notices failed: ${view.notices.last_failure}`));
  }
  return [el("h3", {}, "Settings"), ...lines];
}

// Blocks that its shares of 30 days should have been, beside those that they were.
function luck(view) {
  const lines = ORDER.flatMap((name) => (view.luck[name] || []).map((period) => {
    const odds = period.found < period.expected && period.chance < 0.05 ? `, as unlucky as ${(period.chance * 100).toPrecision(2)} % are` : "";
    return el("p", {}, chip(name), ` ${period.found} found of ${period.expected.toFixed(1)} expected in the 30 days from ${new Date(period.since * 1000).toISOString().slice(0, 10)}${odds}`);
  }));
  return lines.length ? [el("h3", {}, "Blocks and luck"), ...lines] : [];
}

function showMiner(view, set) {
  const rates = ORDER.filter((name) => view.hashrate[name] > 0).map((name) => `${NAMES[name]} ${rate(view.hashrate[name])}`);
  const workers = view.workers.length
    ? table([["Worker"], ["Algorithm"], ["Hashrate, 10 min", true], ["Shares", true], ["Rejected", true], ["Last share"]], view.workers.map(workerRow))
    : el("p", { class: "empty" }, "No worker since the pool started.");
  const payouts = view.payouts.length
    ? table([["When"], ["Amount", true], ["State"], ["Transaction"]], view.payouts.map(payoutRow))
    : el("p", { class: "empty" }, "No payout yet.");
  fill($("miner"),
    el("p", { class: "mono" }, view.address),
    el("dl", { class: "stats" },
      pair("Hashrate, 10 min", rates.join(" · ") || "idle"),
      pair("Immature", coins(view.immature)),
      pair("Payable", coins((BigInt(view.payable) + BigInt(view.carried)).toString())),
      pair("Being paid", coins(view.in_flight)),
      pair("Paid", coins(view.paid))),
    ...nextBlock(view.next_block),
    ...luck(view),
    el("h3", {}, "Workers"), workers,
    ...(view.coinbases.length
      ? [el("h3", {}, "Paid in blocks"), table([["When"], ["Algorithm"], ["Amount", true], ["State"], ["Block"]], view.coinbases.map(coinbaseRow))]
      : []),
    el("h3", {}, "Payouts"), payouts,
    ...settings(set));
  $("miner").hidden = false;
}

async function loadMiner() {
  const address = state.address;
  if (!address) { $("miner").hidden = true; $("miner-problem").hidden = true; return; }
  const problem = $("miner-problem");
  try {
    const response = await fetch(`/api/v1/miners/${encodeURIComponent(address)}`);
    const body = await response.json();
    if (address !== state.address) return;
    problem.hidden = response.ok;
    if (response.ok) {
      const set = await get(`/api/v1/accounts/${encodeURIComponent(address)}/settings`).catch(() => null);
      if (address === state.address) showMiner(body, set);
      return;
    }
    problem.textContent = body.error.message;
    $("miner").hidden = true;
  } catch {
    problem.hidden = false;
    problem.textContent = "The pool does not answer.";
  }
}

function followLocation() {
  const match = /^#miner=(.+)$/.exec(location.hash);
  let address = "";
  try { address = match ? decodeURIComponent(match[1]) : ""; } catch { address = ""; }
  state.address = address.trim().slice(0, 90);
  if (state.address) $("address").value = state.address;
  if (state.connect) showConnect();
  loadMiner();
}

// ---- loading and the live feed --------------------------------------------------------------------------------

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

// The block that is being mined, where its coinbase pays miners.
function showCoinbase() {
  const lanes = state.coinbase ? Object.entries(state.coinbase.algorithms) : [];
  const direct = lanes.filter(([, lane]) => lane.payout_mode === "direct");
  $("coinbase-card").hidden = direct.length === 0;
  fill($("coinbase"), ...direct.flatMap(([name, lane]) => {
    const rest = lane.put_off_miners ? `, ${coins(lane.put_off)} to ${lane.put_off_miners} by later blocks` : "";
    const sum = `${lane.outputs.length} paid, ${coins(lane.own)} to the pool${rest}`;
    const rows = lane.outputs.slice(0, 10).map((output) => el("tr", {},
      el("td", {}, minerLink(output.address)), el("td", { class: "num" }, coins(output.amount))));
    return [el("p", {}, chip(name), ` ${sum}`), ...(rows.length ? [table([["Miner"], ["Amount", true]], rows)] : [])];
  }));
}

async function refresh() {
  try {
    const [pool, blocks, health] =
      await Promise.all([get("/api/v1/pool"), get("/api/v1/blocks?limit=25"), get("/health")]);
    state.coinbase = await get("/api/v1/coinbase").catch(() => null);
    showCoinbase();
    if (!state.pool || pool.tip_id !== state.pool.tip_id) showTip(pool.height, state.tipTime);
    state.pool = pool;
    state.health = health;
    state.blocks = blocks.blocks;
    remember(pool);
    showPool();
    showBlocks();
  } catch (error) {
    console.warn(error);
  }
}

let pending = null;
function refreshSoon() {
  // Several events of one block arrive together: one reading answers them all.
  if (pending) return;
  pending = setTimeout(() => { pending = null; refresh(); loadMiner(); }, 300);
}

function live(status, text) {
  $("live").dataset.state = status;
  $("live-text").textContent = text;
}

function listen() {
  const feed = new EventSource("/api/v1/events");
  feed.addEventListener("open", () => { live("on", "live"); refreshSoon(); });
  feed.addEventListener("error", () => {
    live("off", "reconnecting");
    // The browser gives up when the server answers with an error; then we try again ourselves.
    if (feed.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
  feed.addEventListener("tip", (message) => {
    const tip = JSON.parse(message.data);
    state.tipTime = tip.time;
    showTip(tip.height, tip.time);
    refreshSoon();
  });
  for (const name of ["block", "payout", "lagged"]) feed.addEventListener(name, refreshSoon);
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = dark ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("theme", theme); } catch { /* private windows keep nothing */ }
}

try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* private windows keep nothing */ }

$("theme").addEventListener("click", switchTheme);
$("lookup").addEventListener("submit", (event) => {
  event.preventDefault();
  const target = `#miner=${encodeURIComponent($("address").value.trim())}`;
  if (location.hash === target) followLocation(); else location.hash = target;
});
window.addEventListener("hashchange", followLocation);
setInterval(() => {
  for (const node of document.querySelectorAll("[data-since]")) node.textContent = ago(Number(node.dataset.since));
}, 1000);
setInterval(() => { if (!document.hidden) { refresh(); loadMiner(); } }, POLL_MS);

get("/api/v1/connect").then((view) => { state.connect = view; showConnect(); }).catch(console.warn);
followLocation();
refresh();
listen();

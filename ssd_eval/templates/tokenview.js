"use strict";
// Texts of models and problems reach the page through textContent alone.
const D = JSON.parse(document.getElementById("data").textContent);
const SIDES = ["base", "distilled"];
const at = (id) => document.getElementById(id);
const state = { sequence: 0, colour: "entropy", decoding: 0, filter: "all", token: 0, side: "base" };
let order = []; // positions by size of change, the largest first

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

const sequence = () => D.sequences[state.sequence];
const kindOf = (i) => (sequence().fork[i] ? "fork" : "lock");
const change = (i) => sequence().distilled.entropy[i] - sequence().base.entropy[i];
const number = (value, digits) => value.toFixed(digits === undefined ? 3 : digits);
const percent = (p) => (100 * p).toFixed(p > 0 && p < 0.001 ? 3 : 1);

function visible(text) {
  return text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/ /g, "·") || "∅";
}

// 0 to 1; change: -1 to 1. Roots, so that small values show.
function strength(side, i) {
  const model = sequence()[side];
  if (state.colour === "entropy") return Math.min(1, Math.sqrt(model.entropy[i] / 2.5));
  if (state.colour === "support") {
    return Math.min(1, Math.log2(model.support[i][state.decoding]) / Math.log2(20));
  }
  if (state.colour === "kl") return Math.min(1, Math.sqrt(sequence().kl[i] / 1.5));
  const moved = change(i);
  return Math.sign(moved) * Math.min(1, Math.sqrt(Math.abs(moved) / 1.5));
}

function paint(node, value) {
  const hue = value < 0 ? "--less" : "--heat";
  const alpha = (0.75 * Math.abs(value)).toFixed(3);
  node.style.backgroundColor = value === 0 ? "transparent" : `rgba(var(${hue}), ${alpha})`;
}

function tokenNode(side, i) {
  const s = sequence();
  const node = element("span", undefined, "token");
  const parts = s.pieces[i].split("\n");
  parts.forEach((part, k) => {
    if (k) node.append(element("span", "⏎", "sign"), "\n");
    node.append(part);
  });
  node.dataset.index = i;
  node.setAttribute("role", "option");
  node.setAttribute("aria-label", describe(side, i));
  node.tabIndex = -1;
  if (s.fork[i]) node.classList.add("fork");
  return node;
}

function describe(side, i) {
  const m = sequence()[side];
  return `${visible(sequence().pieces[i])}, ${kindOf(i)}, entropy ${number(m.entropy[i], 2)}, ` +
    `support ${m.support[i][state.decoding]}`;
}

function drawSequence() {
  const s = sequence();
  at("prompt").querySelector("pre").textContent = s.prompt;
  for (const side of SIDES) {
    at(side).replaceChildren(...s.pieces.map((_, i) => tokenNode(side, i)));
  }
  order = s.pieces.map((_, i) => i).sort((a, b) => Math.abs(change(b)) - Math.abs(change(a)) || a - b);
  state.token = Math.min(state.token, s.pieces.length - 1);
  recolour();
  select(state.token, false);
}

function recolour() {
  for (const side of SIDES) {
    for (const node of at(side).children) {
      const i = Number(node.dataset.index);
      paint(node, strength(side, i));
      node.classList.toggle("dim", state.filter !== "all" && kindOf(i) !== state.filter);
      node.setAttribute("aria-label", describe(side, i));
    }
  }
  drawLegend();
}

function drawLegend() {
  const legend = at("legend");
  const scales = {
    entropy: ["0 nats", "2.5", [0, 0.25, 0.5, 0.75, 1]],
    support: ["1 token", "20 or more", [0, 0.25, 0.5, 0.75, 1]],
    kl: ["0 nats", "1.5", [0, 0.25, 0.5, 0.75, 1]],
    change: ["−1.5 nats: SSD closed it", "+1.5: SSD opened it", [-1, -0.5, 0, 0.5, 1]],
  };
  const [low, high, steps] = scales[state.colour];
  const cells = steps.map((value) => {
    const cell = element("span", undefined, "step");
    paint(cell, value);
    return cell;
  });
  const underlined = element("span", "underlined", "token fork");
  legend.replaceChildren(low, ...cells, high, element("span", undefined, "gap"), underlined, ": a fork by the rule below");
}

function mark(i, chosen) {
  for (const side of SIDES) {
    const node = at(side).children[i];
    if (!node) continue;
    node.tabIndex = chosen && side === state.side ? 0 : -1;
    node.classList.toggle("chosen", chosen && side === state.side);
    node.classList.toggle("twin", chosen && side !== state.side);
    node.setAttribute("aria-selected", String(chosen));
  }
}

function select(i, focus) {
  mark(state.token, false);
  state.token = i;
  mark(i, true);
  drawDetail();
  if (focus && at(state.side).children[i]) at(state.side).children[i].focus();
}

// The probability after temperature and truncation; 0 for a token that is cut.
function decoded(model, i, place) {
  const d = D.decodings[state.decoding];
  if (place >= model.support[i][state.decoding]) return 0;
  if (d.greedy) return 1;
  return Math.exp(model.top_logprob[i][place] / d.t - model.power[i][state.decoding]);
}

function drawDetail() {
  const s = sequence();
  const i = state.token;
  const head = element("div", undefined, "head");
  head.append(element("code", visible(s.pieces[i])), element("span", kindOf(i), `tag ${kindOf(i)}`),
    element("span", D.syntax[s.syntax[i]], "tag"));
  if (s.planted[i]) head.append(element("span", `planted ${D.planted[s.planted[i]]}`, "tag"));
  const moved = change(i);
  head.append(element("span", `token ${i + 1} of ${s.pieces.length} · entropy ${moved < 0 ? "−" : "+"}` +
    `${number(Math.abs(moved))} nats · KL ${number(s.kl[i])} · change no. ${order.indexOf(i) + 1}`, "facts"));
  const both = element("div", undefined, "both");
  both.append(...SIDES.map((side) => sideDetail(side, i)));
  at("detail").replaceChildren(head, both);
}

function sideDetail(side, i) {
  const m = sequence()[side];
  const box = element("div", undefined, side);
  const c = state.decoding;
  box.append(element("p", `p ${percent(Math.exp(m.logprob[i]))} %, rank ${m.rank[i]} · entropy ` +
    `${number(m.entropy[i])}, truncated ${number(m.sampled[i][c])} · support ${m.support[i][c]}, ` +
    `kept ${percent(m.kept[i][c])} %`, "facts"));
  const table = element("table");
  const names = element("tr");
  names.append(...["likeliest", "before, %", "after, %", ""].map((name) => element("th", name)));
  table.append(names, ...m.top_ids[i].map((id, place) => topRow(m, i, id, place)).filter(Boolean));
  box.append(table);
  return box;
}

function topRow(m, i, id, place) {
  if (id < 0) return null;
  const before = Math.exp(m.top_logprob[i][place]);
  const after = decoded(m, i, place);
  const row = element("tr", undefined, after ? "" : "cut");
  if (id === sequence().token[i]) row.classList.add("taken");
  const track = element("span", undefined, "track");
  for (const [name, p] of [["before", before], ["after", after]]) {
    const bar = element("i", undefined, name);
    bar.style.width = `${Math.min(100, 100 * p)}%`;
    track.append(bar);
  }
  const cell = element("td");
  cell.append(track);
  row.append(element("td", visible(D.vocabulary[id])), element("td", percent(before)),
    element("td", after ? percent(after) : "cut"), cell);
  return row;
}

const shown = (i) => state.filter === "all" || kindOf(i) === state.filter;

function step(by) {
  let i = state.token + by;
  while (i >= 0 && i < sequence().pieces.length && !shown(i)) i += by;
  if (i >= 0 && i < sequence().pieces.length) select(i, true);
}

function jump(by) {
  const ranked = order.filter(shown);
  if (!ranked.length) return;
  const place = ranked.indexOf(state.token);
  const wanted = place < 0 ? 0 : Math.max(0, Math.min(ranked.length - 1, place + by));
  select(ranked[wanted], true);
}

// To the nearest token in the line above or below.
function line(by) {
  const nodes = [...at(state.side).children];
  const box = nodes[state.token].getClientRects()[0];
  let best = null;
  for (const node of nodes) {
    const other = node.getClientRects()[0];
    if (!other || !shown(Number(node.dataset.index)) || by * (other.top - box.top) < box.height / 2) continue;
    const distance = [Math.abs(other.top - box.top), Math.abs(other.left - box.left)];
    if (!best || distance[0] < best[0] - 2 || (distance[0] < best[0] + 2 && distance[1] < best[1])) {
      best = [...distance, Number(node.dataset.index)];
    }
  }
  if (best) select(best[2], true);
}

function cycle(id) {
  const field = at(id);
  field.selectedIndex = (field.selectedIndex + 1) % field.options.length;
  field.dispatchEvent(new Event("change"));
}

function move(by) {
  const field = at("sequence");
  field.selectedIndex = Math.max(0, Math.min(field.options.length - 1, field.selectedIndex + by));
  field.dispatchEvent(new Event("change"));
}

function filterOn(value) {
  state.filter = value;
  document.querySelector(`input[name=filter][value=${value}]`).checked = true;
  recolour();
}

const KEYS = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  ArrowDown: () => line(1),
  ArrowUp: () => line(-1),
  n: () => jump(1),
  p: () => jump(-1),
  b: () => { state.side = state.side === "base" ? "distilled" : "base"; select(state.token, true); },
  f: () => filterOn({ all: "lock", lock: "fork", fork: "all" }[state.filter]),
  c: () => cycle("colour"),
  d: () => document.documentElement.classList.toggle("dark"),
  "[": () => move(-1),
  "]": () => move(1),
};

function onKey(event) {
  const typing = event.target.matches("select, input, button, summary");
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  if (typing && event.key.startsWith("Arrow")) return;
  if (event.target.matches("select")) return;
  event.preventDefault();
  KEYS[event.key]();
}

function fill(id, names, chosen) {
  at(id).replaceChildren(...names.map((name, i) => {
    const option = element("option", name);
    option.value = i;
    option.selected = i === chosen;
    return option;
  }));
}

function follow(event) {
  const node = event.target.closest(".token");
  if (!node) return;
  state.side = node.parentElement.id;
  select(Number(node.dataset.index), event.type === "click");
}

function start() {
  at("models").textContent = `base ${D.base} · distilled ${D.distilled} · the same tokens (${D.tokens}) read by both`;
  at("rule").textContent = `Rule: ${D.rule}. Change: the distilled model's entropy less the base's, in nats, at T = 1.`;
  fill("sequence", D.sequences.map((s) => `${s.problem} · sample ${s.sample}${s.decoding ? " · " + s.decoding : ""}`), 0);
  fill("decoding", D.decodings.map((d, i) => d.name + (i ? "" : " (training)")), 0);
  at("sequence").addEventListener("change", (e) => { state.sequence = e.target.selectedIndex; state.token = 0; drawSequence(); });
  at("colour").addEventListener("change", (e) => { state.colour = e.target.value; recolour(); });
  at("decoding").addEventListener("change", (e) => { state.decoding = e.target.selectedIndex; recolour(); drawDetail(); });
  for (const radio of document.querySelectorAll("input[name=filter]")) {
    radio.addEventListener("change", () => filterOn(radio.value));
  }
  at("next").addEventListener("click", () => jump(1));
  at("previous").addEventListener("click", () => jump(-1));
  at("theme").addEventListener("click", KEYS.d);
  for (const side of SIDES) {
    for (const name of ["mouseover", "focusin", "click"]) at(side).addEventListener(name, follow);
  }
  document.addEventListener("keydown", onKey);
  if (matchMedia("(prefers-color-scheme: dark)").matches) KEYS.d();
  drawSequence();
  select(order[0], false);
}

start();

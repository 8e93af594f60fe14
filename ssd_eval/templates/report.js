"use strict";
// Text of models and problems reaches the page through text nodes alone.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("index").textContent);
const STEP = 200, LONGEST_DIFF = 2000;
const state = { sort: "id", down: false, rows: [], drawn: 0, open: null, block: null };
const arrived = new Map();
window.ssdEvalBlock = (place, text) => arrived.get(place)(text);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function option(select, value, text) {
  const made = element("option", text);
  made.value = value;
  select.append(made);
}

// --- the list of problems

function rate([passed, graded]) { return graded ? passed / graded : null; }

function scores(problem) {
  const chosen = $("decoding").value;
  return chosen === "main" ? problem.main : problem.counts.map((cells) => rate(cells[Number(chosen)]));
}

function row(problem, place) {
  const [base, distilled] = scores(problem);
  const change = base === null || distilled === null ? null : distilled - base;
  return { place, problem, id: problem.id, difficulty: problem.difficulty || "", base, distilled, change };
}

const CHANGES = {
  better: (each) => each.change > 1e-9,
  worse: (each) => each.change !== null && each.change < -1e-9,
  equal: (each) => each.change !== null && Math.abs(each.change) <= 1e-9,
  base: (each) => each.base > 0 && each.distilled === 0,
  distilled: (each) => each.distilled > 0 && each.base === 0,
};
const LEVELS = { easy: 1, medium: 2, hard: 3 };

function compared(a, b) {
  const name = state.sort;
  let [x, y] = [a[name], b[name]];
  if (name === "difficulty") [x, y] = [LEVELS[x] || 9, LEVELS[y] || 9];
  const order = x === y ? 0 : x === null ? -1 : y === null ? 1
    : typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
  return (state.down ? -order : order) || a.place - b.place;
}

function filtered() {
  const words = $("search").value.toLowerCase(), level = $("difficulty").value, change = $("change").value;
  return data.problems.map(row).filter((each) =>
    (!words || `${each.id} ${each.problem.title}`.toLowerCase().includes(words)) &&
    (!level || each.difficulty === level) && (!change || CHANGES[change](each))).sort(compared);
}

const percent = (value) => value === null ? "–" : (100 * value).toFixed(0);
const signed = (value) => value === null ? "–" : (value > 1e-9 ? "+" : "") + (100 * value).toFixed(0);

function drawMore() {
  const body = $("list").tBodies[0];
  for (const each of state.rows.slice(state.drawn, state.drawn + STEP)) {
    const line = body.insertRow();
    line.dataset.place = each.place;
    line.className = each.place === state.open ? "open" : "";
    const link = element("button", each.id);
    link.type = "button";
    line.insertCell().append(link);
    line.insertCell().append(each.problem.title);
    line.insertCell().append(each.difficulty || "–");
    for (const text of [percent(each.base), percent(each.distilled)]) {
      line.append(element("td", text, "number"));
    }
    const word = each.change > 1e-9 ? " better" : each.change < -1e-9 ? " worse" : "";
    line.append(element("td", signed(each.change), "number" + word));
  }
  state.drawn = Math.min(state.drawn + STEP, state.rows.length);
  $("more").hidden = state.drawn === state.rows.length;
  $("more").textContent = `show ${Math.min(STEP, state.rows.length - state.drawn)} more`;
}

function drawList() {
  state.rows = filtered();
  state.drawn = 0;
  $("list").tBodies[0].replaceChildren();
  $("count").textContent = `${state.rows.length} of ${data.problems.length} problems`;
  for (const head of $("list").tHead.rows[0].cells) {
    head.ariaSort = head.dataset.name === state.sort ? (state.down ? "descending" : "ascending") : null;
  }
  drawMore();
}

// --- one problem

function packed(place) {
  const held = $(`block-${place}`);
  if (held) return Promise.resolve(held.textContent);
  return new Promise((resolve, reject) => {
    arrived.set(place, resolve);
    const script = element("script");
    script.src = `${data.side}/${place}.js`;
    script.onerror = () => reject(new Error(`${data.side}/${place}.js is missing beside this page`));
    document.head.append(script);
  });
}

async function unpacked(place) {
  const bytes = Uint8Array.from(atob(await packed(place)), (each) => each.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function open(place) {
  const problem = data.problems[place];
  state.open = place;
  for (const line of $("list").tBodies[0].rows) line.className = Number(line.dataset.place) === place ? "open" : "";
  $("problem").hidden = false;
  $("problem").querySelector("h3").textContent = [problem.id, problem.title].filter(Boolean).join(" · ");
  $("summary").textContent = "loading …";
  $("samples").replaceChildren();
  try {
    const block = await unpacked(place);
    if (state.open !== place) return;
    state.block = block;
  } catch (error) {
    $("summary").textContent = error.message;
    return;
  }
  const { statement, starter } = state.block;
  $("statement").querySelector("pre").textContent = starter ? `${statement}\n\n${starter}` : statement;
  if ($("decoding").value !== "main") $("cell").value = $("decoding").value;
  drawSamples();
  $("problem").scrollIntoView({ block: "start" });
  $("problem").focus({ preventScroll: true });
}

function drawSamples() {
  const cell = Number($("cell").value), pairs = new Map();
  for (const each of state.block.rows) {
    if (each[1] !== cell) continue;
    if (!pairs.has(each[2])) pairs.set(each[2], [null, null]);
    pairs.get(each[2])[each[0]] = each;
  }
  const [base, distilled] = data.problems[state.open].counts.map((cells) => cells[cell]);
  $("summary").textContent = `base ${base[0]} of ${base[1]} passed, +SSD ${distilled[0]} of ${distilled[1]}`;
  const ordered = [...pairs].sort((a, b) => a[0] - b[0]);
  $("samples").replaceChildren(...ordered.map(([sample, pair]) => pairDetails(sample, pair)));
}

const status = (each) => each ? state.block.words[each[4]] : "not drawn";

function pairDetails(sample, pair) {
  const made = element("details"), summary = element("summary", `${sample}: `);
  ["base", "+SSD"].forEach((name, side) => {
    const word = status(pair[side]);
    summary.append(element("b", `${name} ${word}`, word === "passed" ? "passed" : "failed"));
  });
  if (pair[0] && pair[1] && pair[0][3] === pair[1][3]) summary.append("same text");
  made.append(summary);
  made.addEventListener("toggle", () => { if (made.open && made.children.length === 1) made.append(drawPair(pair)); });
  return made;
}

function drawPair(pair) {
  const texts = pair.map((each) => each ? state.block.texts[each[3]].split("\n") : []);
  const common = pair[0] && pair[1] ? shared(...texts) : null;
  const made = element("div", undefined, "pair");
  made.append(...["base", "+SSD"].map((name, side) => drawSide(name, pair[side], texts[side], side, common)));
  return made;
}

function drawSide(name, each, lines, side, common) {
  const made = element("div");
  made.append(element("h4", `${name}: ${status(each)}`));
  if (!each) return made;
  const [, , , , , detail, rule, failed, passed, tests, cut, flaky] = each;
  const parts = [`${passed} of ${tests} tests passed`, `extracted by ${state.block.words[rule] || "no rule"}`];
  if (cut) parts.push("cut off by the token limit");
  if (flaky) parts.push("flaky");
  made.append(element("p", parts.join("; "), "note"));
  if (state.block.words[detail]) made.append(element("pre", state.block.words[detail], "detail"));
  const test = failed === null ? null : state.block.tests[failed];
  if (test) {
    const shown = element("details");
    shown.append(element("summary", `failing test ${failed}`), element("pre", test[0]));
    if (test[1]) shown.append(element("p", "expected", "note"), element("pre", test[1]));
    made.append(shown);
  }
  const code = element("pre", undefined, "code");
  lines.forEach((line, at) => {
    const own = common && !common[side].has(at);
    code.append(element("span", line, own ? (side ? "new" : "gone") : ""));
  });
  made.append(code);
  return made;
}

// Places of the lines of a longest common subsequence, on either side; null where that is too long.
function shared(a, b) {
  if (a.length > LONGEST_DIFF || b.length > LONGEST_DIFF) return null;
  const width = b.length + 1, length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] = a[i] === b[j] ? length[(i + 1) * width + j + 1] + 1
        : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
    }
  }
  const found = [new Set(), new Set()];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) { found[0].add(i++); found[1].add(j++); }
    else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) i++;
    else j++;
  }
  return found;
}

// --- wiring

const HEADS = [["id", "problem"], ["title", "title"], ["difficulty", "difficulty"],
  ["base", "base %"], ["distilled", "+SSD %"], ["change", "Δ"]];
for (const [name, text] of HEADS) {
  const head = element("th"), button = element("button", text);
  head.scope = "col";
  head.dataset.name = name;
  if (["base", "distilled", "change"].includes(name)) head.className = "number";
  button.type = "button";
  button.addEventListener("click", () => {
    state.down = state.sort === name ? !state.down : false;
    state.sort = name;
    drawList();
  });
  head.append(button);
  $("list").tHead.rows[0].append(head);
}
const levels = [...new Set(data.problems.map((each) => each.difficulty).filter(Boolean))];
levels.sort((a, b) => LEVELS[a] - LEVELS[b]).forEach((each) => option($("difficulty"), each, each));
option($("decoding"), "main", `pass@${data.k} as in the main table`);
data.decodings.forEach((each, place) => {
  option($("decoding"), place, `share passed at ${each}`);
  option($("cell"), place, each);
});
$("cell").value = data.usual;
for (const id of ["search", "difficulty", "change", "decoding"]) $(id).addEventListener("input", drawList);
$("cell").addEventListener("input", drawSamples);
$("more").addEventListener("click", drawMore);
$("list").tBodies[0].addEventListener("click", (event) => {
  const line = event.target.closest("tr");
  if (line) open(Number(line.dataset.place));
});
drawList();

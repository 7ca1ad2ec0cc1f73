#include "stamp/server/page.h"

namespace stamp {

const std::string& page_html() {
  static const std::string html = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>stamp</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 22%, transparent);
  --soft: color-mix(in srgb, currentColor 7%, transparent); --accent: #0b6e8f; }
@media (prefers-color-scheme: dark) { :root { --accent: #5cc3e6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; height: 100dvh; display: flex; flex-direction: column;
  font: 16px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; padding: .6rem 1rem;
  border-bottom: 1px solid var(--line); }
header strong { font-size: 1.1rem; }
#facts { flex: 1 1 16rem; font-size: .85rem; font-variant-numeric: tabular-nums; }
[role=tablist] { display: flex; gap: .25rem; }
button, input, textarea { font: inherit; color: inherit; border: 1px solid var(--line);
  border-radius: .5rem; background: transparent; padding: .45rem .7rem; }
button { cursor: pointer; min-height: 2.5rem; }
button[aria-selected=true], button.main { border-color: var(--accent); color: var(--accent); font-weight: 600; }
button:disabled { opacity: .45; cursor: default; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
section { flex: 1; min-height: 0; display: flex; flex-direction: column; }
[hidden] { display: none !important; }
#log { flex: 1; overflow-y: auto; padding: 1rem; display: flex; flex-direction: column; gap: .75rem; }
.turn { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem .9rem; border-radius: .8rem; max-width: 90%; }
.user { align-self: flex-end; background: var(--soft); }
.assistant { align-self: flex-start; border: 1px solid var(--line); }
.error { color: #c22f2f; }
form { display: flex; flex-wrap: wrap; gap: .5rem; padding: .75rem 1rem; border-top: 1px solid var(--line); }
form textarea { flex: 1 1 100%; resize: vertical; }
form .wide { flex: 1 1 12rem; min-width: 0; }
label.small { font-size: .85rem; display: flex; align-items: center; gap: .35rem; }
label.small input { width: 6rem; }
#stage { flex: 1; overflow: auto; padding: 1rem; text-align: center; }
.pair { position: relative; display: inline-block; max-width: 100%; }
.pair img { display: block; max-width: 100%; image-rendering: auto; }
.pair img + img { position: absolute; inset: 0; width: 100%; height: 100%; }
#slide { width: 100%; accent-color: var(--accent); }
</style>
</head>
<body>
<header>
  <strong>stamp</strong>
  <div id="facts" role="status" aria-live="off">connecting</div>
  <div role="tablist" aria-label="What to do">
    <button role="tab" id="tab-chat" aria-controls="chat" aria-selected="true">Text</button>
    <button role="tab" id="tab-draw" aria-controls="draw" aria-selected="false" tabindex="-1" hidden>Pictures</button>
  </div>
</header>
<section id="chat" role="tabpanel" aria-labelledby="tab-chat">
  <div id="log" role="log" aria-label="Conversation" tabindex="0"></div>
  <form id="ask">
    <textarea id="text" rows="2" aria-label="Message" placeholder="Message; Enter sends, Shift+Enter breaks the line"></textarea>
    <button class="main" id="send">Send</button>
    <button type="button" id="stop" disabled>Stop</button>
    <button type="button" id="clear">New</button>
    <label class="small">tokens <input id="tokens" type="number" min="1" value="256"></label>
    <label class="small">temperature <input id="temperature" type="number" min="0" max="2" step="0.1" placeholder="model's"></label>
    <label class="small" id="key-field" hidden>API key <input id="key" type="password" autocomplete="off"></label>
  </form>
</section>
<section id="draw" role="tabpanel" aria-labelledby="tab-draw" hidden>
  <div id="stage"><p id="hint">The last two pictures lie over each other: the slider shows more of the one or the other.</p></div>
  <form id="paint">
    <input class="wide" id="prompt" aria-label="Prompt" placeholder="What to draw" required>
    <label class="small">steps <input id="steps" type="number" min="1" max="200" value="20"></label>
    <label class="small">seed <input id="seed" type="number" min="0" value="0"></label>
    <button class="main" id="paint-now">Draw</button>
  </form>
</section>
<script>
"use strict";
const $ = id => document.getElementById(id);
let model = null, painter = null, messages = [], running = null, rate = "", seen = null, pictures = [];
$("key").value = sessionStorage.getItem("key") || "";
$("key").addEventListener("change", () => { sessionStorage.setItem("key", $("key").value); start(); });

function headers() {
  const key = $("key").value;
  return Object.assign({"Content-Type": "application/json"}, key ? {Authorization: "Bearer " + key} : {});
}
async function failure(answer) {
  try { return (await answer.json()).error.message; } catch { return "status " + answer.status; }
}
async function start() {
  try {
    const answer = await fetch("v1/models", {headers: headers()});
    $("key-field").hidden = answer.status !== 401 && !$("key").value;
    if (!answer.ok) throw new Error(await failure(answer));
    const list = (await answer.json()).data;
    model = list.find(m => m.kind === "text");
    painter = list.find(m => m.kind === "image");
    $("tab-draw").hidden = !painter;
    if (!model.chat) $("text").placeholder = "Text to continue (this model has no chat template)";
    facts();
  } catch (error) { $("facts").textContent = error.message; }
}
async function facts() {
  if (!model) return;
  let memory = "";
  try {
    const text = await (await fetch("metrics", {headers: headers()})).text();
    const of = name => Number((text.match(new RegExp("^" + name + " (\\S+)", "m")) || [0, 0])[1]);
    const now = performance.now(), tokens = of("stamp_generated_tokens_total");
    if (seen && tokens > seen.tokens) rate = ((tokens - seen.tokens) * 1000 / (now - seen.time)).toFixed(1) + " tokens/s";
    seen = {time: now, tokens};
    memory = ", peak memory " + (of("stamp_peak_resident_bytes") / 2 ** 20).toFixed(0) + " MiB, K/V "
      + ((of("stamp_cache_bytes") + of("stamp_prefix_bytes")) / 2 ** 20).toFixed(1) + " MiB";
  } catch { /* the server is gone; the next try may find it */ }
  $("facts").textContent = model.id + ", recipe " + model.recipe + (model.simulated ? " (simulated)" : "")
    + (rate ? ", " + rate : "") + memory;
}
setInterval(facts, 2000);

function turn(kind, text) {
  const div = document.createElement("div");
  div.className = "turn " + kind;
  div.textContent = text;
  $("log").append(div);
  $("log").scrollTop = $("log").scrollHeight;
  return div;
}
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const data = text.slice(0, end).replace(/^data: /, "");
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  }
}
async function ask(text) {
  messages.push({role: "user", content: text});
  turn("user", text);
  const out = turn("assistant", "");
  const body = {model: model.id, stream: true, max_tokens: Number($("tokens").value) || 256};
  if ($("temperature").value !== "") body.temperature = Number($("temperature").value);
  if (model.chat) body.messages = messages; else body.prompt = text;
  running = new AbortController();
  $("send").disabled = true;
  $("stop").disabled = false;
  try {
    const answer = await fetch(model.chat ? "v1/chat/completions" : "v1/completions",
      {method: "POST", headers: headers(), body: JSON.stringify(body), signal: running.signal});
    if (!answer.ok) throw new Error(await failure(answer));
    for await (const event of events(answer)) {
      if (event.error) throw new Error(event.error.message);
      const choice = event.choices[0];
      const piece = choice ? (choice.delta ? choice.delta.content : choice.text) || "" : "";
      if (!piece) continue;
      const low = $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 40;
      out.textContent += piece;
      if (low) $("log").scrollTop = $("log").scrollHeight;
    }
  } catch (error) {
    if (error.name !== "AbortError") turn("error", error.message).setAttribute("role", "alert");
  }
  messages.push({role: "assistant", content: out.textContent});
  running = null;
  $("send").disabled = false;
  $("stop").disabled = true;
  facts();
}
$("ask").addEventListener("submit", event => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || running || !model) return;
  $("text").value = "";
  ask(text);
});
$("text").addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("ask").requestSubmit(); }
});
$("stop").addEventListener("click", () => running && running.abort());
$("clear").addEventListener("click", () => { if (running) running.abort(); messages = []; $("log").textContent = ""; $("text").focus(); });

function show() {
  const stage = $("stage");
  stage.textContent = "";
  const pair = document.createElement("div");
  pair.className = "pair";
  for (const picture of pictures) {
    const image = document.createElement("img");
    image.src = "data:image/png;base64," + picture.data;
    image.alt = picture.name;
    pair.append(image);
  }
  stage.append(pair);
  const names = document.createElement("p");
  names.textContent = pictures.map(p => p.name).join("  |  ");
  if (pictures.length === 2) {
    const slide = document.createElement("input");
    Object.assign(slide, {type: "range", min: 0, max: 100, value: 50, id: "slide"});
    slide.setAttribute("aria-label", "Share of the earlier picture");
    const cut = () => { pair.lastChild.style.clipPath = "inset(0 0 0 " + slide.value + "%)"; };
    slide.addEventListener("input", cut);
    cut();
    stage.append(slide);
  }
  stage.append(names);
}
$("paint").addEventListener("submit", async event => {
  event.preventDefault();
  $("paint-now").disabled = true;
  const seed = Number($("seed").value) || 0, prompt = $("prompt").value;
  $("hint") && ($("hint").textContent = "drawing");
  try {
    const answer = await fetch("v1/images/generations", {method: "POST", headers: headers(),
      body: JSON.stringify({model: painter.id, prompt, seed, steps: Number($("steps").value) || 20})});
    if (!answer.ok) throw new Error(await failure(answer));
    const data = (await answer.json()).data[0].b64_json;
    pictures = [...pictures.slice(-1), {data, name: prompt + ", seed " + seed}];
    show();
  } catch (error) {
    const note = document.createElement("p");
    note.className = "error";
    note.setAttribute("role", "alert");
    note.textContent = error.message;
    $("stage").append(note);
  }
  $("paint-now").disabled = false;
});
const tabs = [$("tab-chat"), $("tab-draw")];
function select(tab) {
  for (const other of tabs) {
    const on = other === tab;
    other.setAttribute("aria-selected", on);
    other.tabIndex = on ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !on;
  }
  tab.focus();
}
for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", event => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const visible = tabs.filter(t => !t.hidden);
    select(visible[(visible.indexOf(tab) + 1) % visible.length]);
  });
}
start();
$("text").focus();
</script>
</body>
</html>
)html";
  return html;
}

}  // namespace stamp

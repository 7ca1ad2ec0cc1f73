#include "stamp/server/page.h"

namespace stamp {

const std::string& page_html() {
  static const std::string html = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>stamp</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 22%, transparent);
  --soft: color-mix(in srgb, currentColor 7%, transparent); --accent: #0b6e8f;
  --rest: 17.5rem; /* the height that a square picture and its slider leave to the others */ }
@media (prefers-color-scheme: dark) { :root { --accent: #5cc3e6; } .error { color: #ff8a80 !important; } }
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
.note { font-size: .85rem; font-variant-numeric: tabular-nums; opacity: .75; padding: 0 .9rem; margin-top: -.5rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem; padding: .75rem 1rem; border-top: 1px solid var(--line); }
form textarea { flex: 1 1 100%; resize: vertical; }
form .wide { flex: 1 1 12rem; min-width: 0; }
label.small { font-size: .85rem; display: flex; align-items: center; gap: .35rem; }
label.small input { width: 6.5rem; min-height: 2.5rem; }
@media (max-width: 30rem) { :root { --rest: 23rem; } header { padding: .4rem .75rem; } form { padding: .5rem .75rem; }
  #log, #stage { padding: .75rem; } label.small input { width: 4.6rem; padding: .45rem .5rem; } }
#stage { flex: 1; overflow: auto; padding: 1rem; text-align: center; }
#drawn { margin: 0; padding: 0 1rem .5rem; text-align: center; font-size: .9rem; overflow-wrap: anywhere; }
.pair { position: relative; width: min(100%, 30rem, 100dvh - var(--rest)); margin: 0 auto .25rem; }
.pair img { display: block; width: 100%; }
.pair img + img { position: absolute; inset: 0; width: 100%; height: 100%; }
#slide { width: min(100%, 30rem, 100dvh - var(--rest)); min-height: 2.5rem; padding: 0; border: 0; accent-color: var(--accent); }
</style>
</head>
<body>
<header>
  <strong>stamp</strong>
  <div id="facts" role="status" aria-live="off" aria-label="Model, speed and memory">connecting</div>
  <div role="tablist" aria-label="What to do">
    <button role="tab" id="tab-chat" aria-controls="chat" aria-selected="true">Text</button>
    <button role="tab" id="tab-draw" aria-controls="draw" aria-selected="false" tabindex="-1" hidden>Pictures</button>
  </div>
</header>
<section id="chat" role="tabpanel" aria-labelledby="tab-chat">
  <div id="log" role="log" aria-live="polite" aria-label="Conversation" tabindex="0"></div>
  <form id="ask">
    <textarea id="text" rows="2" aria-label="Message" placeholder="Enter sends, Shift+Enter breaks the line" aria-keyshortcuts="Enter"></textarea>
    <button class="main" id="send">Send</button>
    <button type="button" id="stop" aria-keyshortcuts="Escape" disabled>Stop</button>
    <button type="button" id="clear">New</button>
    <label class="small">tokens <input id="tokens" type="number" min="1" value="256"></label>
    <label class="small">temperature <input id="temperature" type="number" min="0" max="2" step="0.1" placeholder="model's"></label>
    <label class="small" id="key-field" hidden>API key <input id="key" type="password" autocomplete="off"></label>
  </form>
</section>
<section id="draw" role="tabpanel" aria-labelledby="tab-draw" hidden>
  <div id="stage" role="region" aria-label="Pictures" tabindex="0"></div>
  <p id="drawn" role="status">The last two pictures lie over each other: the slider shows more of the one or the other.</p>
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
    $("tokens").max = model.max_tokens;
    $("tokens").value = Math.min($("tokens").value, model.max_tokens);
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
    const size = bytes => (bytes / 2 ** 20).toFixed(bytes < 2 ** 24 ? 1 : 0) + "\u00a0MiB";
    memory = ", memory " + size(of("stamp_resident_bytes")) + " (peak " + size(of("stamp_peak_resident_bytes"))
      + "), K/V\u00a0" + size(of("stamp_cache_bytes") + of("stamp_prefix_bytes"));
  } catch { memory = ", no answer from the server"; }
  const card = $("chat").hidden ? painter : model;
  $("facts").textContent = card.id + ", recipe " + card.recipe + (card.simulated ? " (simulated)" : "")
    + (rate && card === model ? ", " + rate : "") + memory;
}
setInterval(facts, 1000);

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
  const before = messages.length;
  messages.push({role: "user", content: text});
  turn("user", text);
  const out = turn("assistant", "");
  const body = {model: model.id, stream: true, stream_options: {include_usage: true}, max_tokens: Number($("tokens").value)};
  let first = 0, tokens = 0, said = "";
  if ($("temperature").value !== "") body.temperature = Number($("temperature").value);
  if (model.chat) body.messages = messages; else body.prompt = text;
  running = new AbortController();
  $("log").setAttribute("aria-busy", "true");  // read aloud when whole, not letter by letter
  $("send").disabled = true;
  $("stop").disabled = false;
  try {
    const answer = await fetch(model.chat ? "v1/chat/completions" : "v1/completions",
      {method: "POST", headers: headers(), body: JSON.stringify(body), signal: running.signal});
    if (!answer.ok) throw new Error(await failure(answer));
    for await (const event of events(answer)) {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) tokens = event.usage.completion_tokens;
      const choice = event.choices[0];
      first = first || performance.now();
      const piece = choice ? (choice.delta ? choice.delta.content : choice.text) || "" : "";
      if (!piece) continue;
      const low = $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 40;
      said += piece;
      out.textContent = said.trimStart();
      if (low) $("log").scrollTop = $("log").scrollHeight;
    }
  } catch (error) {
    if (error.name === "AbortError") turn("note", "stopped");
    else turn("error", error.message).setAttribute("role", "alert");
  }
  if (tokens > 1) turn("note", tokens + " tokens, " + ((tokens - 1) * 1000 / (performance.now() - first)).toFixed(1) + " tokens/s");
  if (said) {
    messages.push({role: "assistant", content: said});
  } else {  // nothing was said: the model shall not see the question twice
    messages.length = before;
    out.remove();
  }
  $("log").setAttribute("aria-busy", "false");
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
$("stop").addEventListener("click", () => { if (running) running.abort(); $("text").focus(); });
addEventListener("keydown", event => { if (event.key === "Escape" && running) running.abort(); });
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
  $("drawn").textContent = pictures.map(p => p.name).join(" | ");
  if (pictures.length === 2) {
    const slide = document.createElement("input");
    Object.assign(slide, {type: "range", min: 0, max: 100, value: 50, id: "slide"});
    slide.setAttribute("aria-label", "Share of the earlier picture, left of the later one");
    const cut = () => {
      pair.lastChild.style.clipPath = "inset(0 0 0 " + slide.value + "%)";
      slide.setAttribute("aria-valuetext", slide.value + " percent");
    };
    slide.addEventListener("input", cut);
    cut();
    stage.append(slide);
  }
}
$("paint").addEventListener("submit", async event => {
  event.preventDefault();
  $("paint-now").disabled = true;
  const seed = Number($("seed").value) || 0, prompt = $("prompt").value;
  $("drawn").textContent = "drawing";
  $("drawn").className = "";
  try {
    const answer = await fetch("v1/images/generations", {method: "POST", headers: headers(),
      body: JSON.stringify({model: painter.id, prompt, seed, steps: Number($("steps").value) || 20})});
    if (!answer.ok) throw new Error(await failure(answer));
    const data = (await answer.json()).data[0].b64_json;
    pictures = [...pictures.slice(-1), {data, name: prompt + ", seed " + seed}];
    show();
  } catch (error) {
    $("drawn").textContent = error.message;
    $("drawn").className = "error";
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
  facts();
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

#include "stamp/pipelines/report_parts.h"

namespace stamp::report {

// Colours after Okabe and Ito; the dark set takes their lighter members.
const char* const kStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #d5dbe1; --grid: #e8ecf0; --tint: #f5f7f9;
  --none: #7a828b; --open: #b4bac1; --haar: #0072b2; --dct: #d55e00; --wht: #009e73; --other: #b0568c;
  --plan: #1b1f24; --alert: #fff3d6; --alert-line: #e69f00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --ink: #e6e9ed; --soft: #9ba5b0; --line: #363d45; --grid: #262c33; --tint: #1c2127;
    --none: #9aa3ad; --open: #5d666f; --haar: #56b4e9; --dct: #e69f00; --wht: #2fbf93; --other: #dd93bd;
    --plan: #f2f4f6; --alert: #3a2e10; --alert-line: #e69f00;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-text-size-adjust: 100%;
}
main { max-width: 1160px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { font-size: clamp(1.5rem, 1.1rem + 1.6vw, 2.1rem); line-height: 1.2; margin: 0 0 12px; text-wrap: balance; }
h2 { font-size: 1.15rem; margin: 40px 0 10px; }
h3 { font-size: .92rem; font-weight: 600; margin: 18px 0 6px; color: var(--soft); }
p { margin: 0 0 12px; max-width: 78ch; }
code { font: .92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.lead { font-size: 1.08rem; }
.badge {
  display: inline-block; font-size: .78rem; font-weight: 600; letter-spacing: .02em; padding: 2px 10px;
  border: 1px solid var(--alert-line); border-radius: 99px; background: var(--alert); margin: 0 0 14px;
}
.banner { border-left: 4px solid var(--alert-line); background: var(--alert); padding: 10px 14px; max-width: none; }
dl {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 210px), 1fr)); gap: 10px 24px;
  margin: 22px 0 0; padding: 14px 16px; background: var(--tint); border-radius: 8px;
}
dl div { min-width: 0; }
dt { font-size: .76rem; color: var(--soft); }
dd { margin: 0; font-size: .92rem; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 9px; text-align: right; white-space: nowrap; font-weight: 400; }
td b { font-weight: 700; }
thead th { white-space: normal; font-weight: 600; font-size: .78rem; line-height: 1.25; padding: 8px 9px; border-bottom: 1px solid var(--line); vertical-align: bottom; }
th[scope=row], thead th:first-child { text-align: left; position: sticky; left: 0; background: var(--page); z-index: 1; }
.word { text-align: left; }
.group th { text-align: left; background: var(--tint); font-weight: 600; border-top: 1px solid var(--line); }
.group span { position: sticky; left: 9px; }
.group i { font-weight: 400; color: var(--soft); font-style: normal; margin-left: 6px; }
small { color: var(--soft); font-size: .92em; }
figure { margin: 44px 0 0; }
figure h2 { margin: 0 0 4px; }
figcaption, .caption { font-size: .9rem; color: var(--soft); margin-top: 10px; max-width: 88ch; }
.caption b { color: var(--ink); }
main { counter-reset: figures; }
figcaption::before {
  counter-increment: figures; content: "Figure " counter(figures) ". "; font-weight: 600; color: var(--ink);
}
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: .84rem; margin-bottom: 6px; }
.key { white-space: nowrap; --c: var(--ink); }
.key::before {
  content: ""; display: inline-block; width: .72em; height: .72em; margin-right: .5em; border-radius: 2px;
  background: var(--c);
}
.key.line::before { height: 0; width: 1.5em; border-top: 2.5px solid var(--c); border-radius: 0; background: none; vertical-align: .25em; }
.key.dashed::before { border-top-style: dashed; }
.mark { white-space: nowrap; }
.mark svg { display: inline-block; width: .8em; margin-right: .45em; vertical-align: -.02em; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 14px 28px; }
.panels + .panels { margin-top: 14px; }
.panels.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 240px), 1fr)); gap: 8px 18px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums; }
svg .title { font-size: 13px; font-weight: 600; }
svg .tick, svg .unit { fill: var(--soft); font-size: 11px; }
svg .value { font-size: 11.5px; }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
.k-none { --c: var(--none); } .k-open { --c: var(--open); } .k-haar { --c: var(--haar); }
.k-dct { --c: var(--dct); } .k-wht { --c: var(--wht); } .k-other { --c: var(--other); }
.plan { --c: var(--plan); }
.bar, .dot { fill: var(--c); }
.stroke { stroke: var(--c); stroke-width: 1.6; }
.dot { stroke: var(--page); stroke-width: .8; }
.grid { stroke: var(--grid); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.reference { stroke: var(--ink); stroke-width: 1.4; stroke-dasharray: 5 4; }
.curve { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.curve.thin { stroke-width: 1.2; }
.curve.plan { stroke-width: 1.4; }
.curve.dashed { stroke-dasharray: 5 3; }
.cell { shape-rendering: crispEdges; }
.method dt { font-weight: 600; font-size: .86rem; color: var(--ink); }
footer { margin-top: 44px; font-size: .84rem; color: var(--soft); }
ul { padding-left: 1.2em; }
@media (max-width: 520px) {
  svg text { font-size: 13.5px; }
  svg .title { font-size: 14.5px; }
  svg .tick, svg .unit { font-size: 12.5px; }
  svg .value { font-size: 13px; }
  .small text, .small svg .tick, .small svg .unit { font-size: 11.5px; }
}
@media print { main { max-width: none; padding: 0; } figure { break-inside: avoid; } .scroll { border: 0; } }
)css";

}  // namespace stamp::report

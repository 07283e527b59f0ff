/** How reports look. Colours are pairs of light and dark; all text has a contrast of 4.5 or more on its ground. */
export const STYLE = `
:root {
  --chips: 6.4rem; --ground: #fff; --panel: #f4f5f7; --line: #d5d9df; --text: #1a1f26; --faint: #56606c; --link: #0b57a8;
  --run: #2f6fb5; --cached: #2c7a4b; --failed: #b3261e; --quiet: #6b7480; --changed: #9a6700;
  --cell: #d6e4f5; --cell-changed: #f6e3b4; --cell-directory: #e4e7eb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --panel: #1e2329; --line: #39414b; --text: #e5e8ec; --faint: #a3adb8; --link: #7db6f5;
    --run: #5b9be0; --cached: #52b37b; --failed: #f2857d; --quiet: #8d97a3; --changed: #d9a531;
    --cell: #24405f; --cell-changed: #57430f; --cell-directory: #333a43;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem); max-width: 76rem; background: var(--ground);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: clamp(1.3rem, 4vw, 2rem); line-height: 1.2; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.25rem; }
h2.platform { padding-top: 1.5rem; border-top: 2px solid var(--line); font-size: 1.5rem; }
h3 { margin: 1.25rem 0 .25rem; font-size: 1rem; }
p { margin: .5rem 0; }
a { color: var(--link); }
code, pre { font: .875em/1.45 ui-monospace, "DejaVu Sans Mono", monospace; unicode-bidi: isolate; }
pre { margin: .5rem 0; padding: .75rem; background: var(--ground); border: 1px solid var(--line); border-radius: 4px;
  overflow: auto; white-space: pre-wrap; }
.kind, footer { color: var(--faint); font-size: .875rem; }
.kind { margin: 0; }
footer { margin-top: 2.5rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: 1rem; }
.good { color: var(--cached); } .bad { color: var(--failed); }
.facts, .counts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .5rem; margin: .5rem 0; }
.facts > div { padding: .5rem .75rem; background: var(--panel); border-radius: 6px; }
dt { color: var(--faint); font-size: .8125rem; } dd { margin: 0; font-variant-numeric: tabular-nums; }
.facts dd { font-size: 1.0625rem; }
.failure { margin-top: 1.5rem; padding: .25rem 1rem .75rem; background: var(--panel); border-left: 4px solid var(--failed);
  border-radius: 4px; }
.failure h2 { margin-top: .5rem; }
.steps { margin: 0; padding: 0; list-style: none; border-top: 1px solid var(--line); }
.steps > li { padding: .4rem 0; border-bottom: 1px solid var(--line); }
.steps > li:target { background: var(--panel); }
.step, .what { display: grid; grid-template-columns: minmax(0, 1fr) 38% 4.5rem; gap: .25rem 1rem; align-items: center; }
.what { grid-template-columns: var(--chips) minmax(0, 1fr); gap: .25rem; align-items: baseline; }
h3 .what, .commit .what { display: block; }
h3.step { margin: 1.75rem 0 .35rem; }
h3 .time { font-weight: 400; }
.chip { justify-self: start; padding: 0 .5em; border: 1px solid; border-radius: 1em; font-size: .75rem; line-height: 1.5;
  color: var(--quiet); white-space: nowrap; }
.chip.run { color: var(--run); } .chip.cached { color: var(--cached); } .chip.failed { color: var(--failed); }
.track { position: relative; height: .75rem; border-radius: 3px; overflow: hidden;
  background: repeating-linear-gradient(to right, var(--line) 0 1px, var(--panel) 1px var(--tick)); }
.axis { position: sticky; z-index: 1; top: 0; padding: .35rem 0; background: var(--ground); border-bottom: 1px solid var(--line); }
.ticks { position: relative; grid-column: 2; height: 1.3em; font-size: .75rem; color: var(--faint); }
.ticks span { position: absolute; white-space: nowrap; }
.bar.stage { inset-block: .25rem; background: var(--quiet); }
.bar { position: absolute; inset-block: 0; min-width: 2px; background: var(--quiet); border-radius: 2px; }
.bar.run, .bar.commit { background: var(--run); } .bar.cached { background: var(--cached); } .bar.failed { background: var(--failed); }
.time { text-align: right; font-size: .875rem; font-variant-numeric: tabular-nums; color: var(--faint); }
.why { margin: .125rem 0 .25rem calc(var(--chips) + .25rem); font-size: .875rem; color: var(--faint); }
.why p { margin: 0; } .why ul { margin: 0; padding-left: 1.25rem; } .why code { color: var(--text); }
.layer { margin: .5rem 0; border: 1px solid var(--line); border-radius: 6px; }
.layer > :not(summary) { margin-inline: .75rem; }
summary { padding: .5rem .75rem; cursor: pointer; }
summary .size { display: inline-block; min-width: 5rem; text-align: right; font-variant-numeric: tabular-nums; }
summary .command { display: inline-block; max-width: min(48rem, 60%); overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; vertical-align: bottom; margin-left: .75rem; }
details[open] summary .command { white-space: normal; vertical-align: top; }
.meter { display: block; height: .3rem; margin-top: .35rem; background: var(--panel); border-radius: 2px; overflow: hidden; }
.meter > span { display: block; height: 100%; background: var(--run); }
.map { position: relative; height: 18rem; margin-block: .75rem; overflow: hidden; }
.group { position: absolute; overflow: hidden; padding: 1.35rem 2px 2px; border: 1px solid var(--line); border-radius: 4px;
  background: var(--panel); container-type: size; font-size: .75rem; }
.group .name { position: absolute; inset: 0 .3rem auto; height: 1.35rem; line-height: 1.35rem; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; font-weight: 600; }
@container (width < 6rem) { .name .more { display: none; } }
.inside { position: relative; height: 100%; }
.cell { position: absolute; overflow: hidden; border: 1px solid var(--ground); border-radius: 3px; background: var(--cell);
  container-type: size; font-size: .75rem; line-height: 1.3; }
.cell.changed { background: var(--cell-changed); } .cell.directory { background: var(--cell-directory); }
.cell span { display: block; padding: .1rem .3rem 0; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
@container (width < 3.8rem) or (height < 2.4rem) { .cell span + span { display: none; } }
@container (width < 2.6rem) or (height < 1.2rem) { .cell span { display: none; } }
.scroll { overflow-x: auto; margin-block: .75rem; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; }
caption { padding: .25rem 0; text-align: left; font-weight: 600; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 500; white-space: nowrap; }
th, td { width: 1%; overflow-wrap: normal; } th:last-child, td:last-child { width: auto; overflow-wrap: anywhere; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
.config td code { display: block; }
.digest { color: var(--faint); font-size: .8125rem; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
@media (max-width: 40rem) {
  .step { grid-template-columns: minmax(0, 1fr) 4.5rem; }
  .what { grid-column: 1 / -1; }
  .ticks { grid-column: 1; }
  .what:has(.chip) { display: block; } .chip { display: inline-block; }
  .why { margin-left: 0; }
  .map.all { height: 26rem; }
  summary .size { min-width: 0; }
  summary .command { display: block; max-width: 100%; margin-left: 0; }
  .facts { grid-template-columns: 1fr 1fr; } .facts dd { font-size: .9375rem; }
}
@media print { .layer { break-inside: avoid; } }
`;

/** Style of the inspector's page: one column on a phone, two on a desk, light or dark as the reader's system is. */
export const INSPECTOR_STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c1d22, #e8e6e1); --soft: light-dark(#6b6d76, #9a9ba3); --paper: light-dark(#faf9f6, #16171b);
  --card: light-dark(#fff, #1f2026); --line: light-dark(#e4e1da, #32343c); --good: light-dark(#22723f, #6fcf8e); --warn: light-dark(#a85b00, #f0b45a);
  --bad: light-dark(#b3261e, #ff8a80); --bar: light-dark(#cfdcf7, #35466b); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
header { display: flex; gap: 1.2rem; align-items: baseline; padding: 1rem 1.4rem; border-bottom: 1px solid var(--line); flex-wrap: wrap; }
h1 { font-size: 1.15rem; margin: 0; letter-spacing: .04em; }
header p { margin: 0; color: var(--soft); flex: 1; }
header p.bad { color: var(--bad); }
header label { color: var(--soft); font-size: .85rem; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem; padding: 1rem 1.4rem 3rem; max-width: 90rem; margin: auto; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem 1.1rem; min-width: 0; overflow-x: auto; }
.wide { grid-column: 1 / -1; }
h2 { font-size: .95rem; margin: 0 0 .7rem; font-weight: 600; }
h2 small, .soft { color: var(--soft); font-weight: 400; }
h3 { font-size: .85rem; margin: .9rem 0 .3rem; color: var(--soft); font-weight: 600; }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .8rem; min-width: 9rem; }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th { text-align: left; color: var(--soft); font-weight: 500; padding: .2rem .7rem .35rem 0; white-space: nowrap; }
td { padding: .25rem .7rem .25rem 0; border-top: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.path, .tree, pre { font-family: ui-monospace, monospace; font-size: .8rem; }
td.path { max-width: 22rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
meter-bar { display: block; height: 4px; border-radius: 2px; background: linear-gradient(90deg, var(--bar) var(--part), transparent var(--part)); margin-top: 2px; }
.tree ul { list-style: none; margin: 0; padding-left: 1.1rem; border-left: 1px solid var(--line); }
.tree > ul { padding-left: 0; border: 0; }
.tree summary { cursor: pointer; }
form { display: flex; gap: .4rem; margin-bottom: .5rem; }
input, select, button { font: inherit; font-size: .86rem; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: .3rem .5rem; min-width: 0; }
input[name] { flex: 1; }
input[name=team] { flex: 0 1 5rem; }
button { cursor: pointer; }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: .7rem; overflow: auto; max-height: 26rem; margin: .4rem 0 0; white-space: pre-wrap; word-break: break-word; }
`;

/** Style of the demo's shop: one column on a phone, two on a desk, light or dark as the visitor's system is. */
export const SHOP_STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#20211f, #ecebe6); --soft: light-dark(#6d7069, #9c9f97); --paper: light-dark(#f7f5ef, #171815);
  --card: light-dark(#fff, #20211d); --line: light-dark(#e3e0d6, #353730); --accent: light-dark(#2f6b4f, #7fd1a6); --on: light-dark(#fff, #10221a);
  --wait: light-dark(#a85b00, #f0b45a); --bad: light-dark(#b3261e, #ff8a80); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header { padding: 1.6rem 1.6rem .4rem; max-width: 84rem; margin: auto; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -.01em; }
header p { margin: .2rem 0 0; color: var(--soft); }
h2 { font-size: 1rem; margin: 0 0 .7rem; }
h2:not(:first-child) { margin-top: 1.5rem; }
small, .soft { color: var(--soft); font-weight: 400; }
code { font: .9em ui-monospace, monospace; }
main { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 7fr); gap: 1rem; padding: 1rem 1.6rem 3rem; max-width: 84rem; margin: auto; align-items: start; }
@media (max-width: 56rem) { main { grid-template-columns: minmax(0, 1fr); } }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.1rem 1.2rem 1.3rem; }
.shelf { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .7rem; }
article { display: grid; gap: .15rem; justify-items: center; padding: .9rem .6rem; border: 1px solid var(--line); border-radius: 10px; }
article svg { width: 3rem; fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
article button { margin-top: .4rem; }
.cart { display: flex; justify-content: space-between; align-items: center; margin: .8rem 0 0; }
.row, form { display: flex; flex-wrap: wrap; gap: .5rem; }
form { margin-bottom: .5rem; align-items: center; }
label { display: flex; gap: .5rem; align-items: center; flex: 1 1 12rem; }
input { flex: 1; min-width: 0; }
input, button { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: .4rem .7rem; }
button { cursor: pointer; }
button:hover:not(:disabled) { border-color: var(--accent); }
button:disabled { opacity: .45; cursor: default; }
#order { background: var(--accent); border-color: var(--accent); color: var(--on); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#events { list-style: none; margin: 0; padding: 0; }
#events li { border-top: 1px solid var(--line); padding: .4rem 0; }
#events li:first-child { border: 0; }
summary { display: grid; grid-template-columns: minmax(0, 1fr) auto auto; gap: .8rem; align-items: baseline; cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary > :first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
summary b { font-weight: 600; }
.person { font: .8rem ui-monospace, monospace; border-radius: 99px; padding: 0 .5rem; border: 1px solid currentColor;
  color: light-dark(hsl(var(--hue) 60% 36%), hsl(var(--hue) 60% 72%)); }
.state { color: var(--wait); font-variant-numeric: tabular-nums; min-width: 6rem; text-align: right; }
.stored .state { color: var(--accent); }
.failed .state { color: var(--bad); }
pre { margin: .4rem 0 .2rem; padding: .7rem; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; font: .78rem/1.5 ui-monospace, monospace; overflow: auto; max-height: 22rem; }
`;

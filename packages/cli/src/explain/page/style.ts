/** The looks of the page. Colours by CSS variables, so that the script paints the graph with the same ones. */
export const pageStyle = `
:root { color-scheme: light dark; --ui: 13px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
:root, :root[data-theme="light"] {
  --page: #f6f7f9; --panel: #ffffff; --ink: #1b2430; --soft: #5d6b7c; --line: #d9dee5; --hover: #eef2f7; --accent: #2563eb; --edge: #9aa6b5; --transfer: #b4236b;
  --warn: #b45309; --node-ink: #16202c; --io: #e7eaef; --mark: #f2b441;
  --t0: #64748b; --t1: #2f7de1; --t2: #e0762b; --t3: #169c82; --t4: #9d53c9; --t5: #c9a227; --t6: #d1495b;
}
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) {
  --page: #11151b; --panel: #181e26; --ink: #e4e9f0; --soft: #93a1b3; --line: #2b3440; --hover: #222b36; --accent: #6ea8fe; --edge: #66778a; --transfer: #ff7ab2;
  --warn: #f0b35b; --node-ink: #f3f6fa; --io: #2a323d; --mark: #f2b441;
  --t0: #7d8ca0; --t1: #5b9cf5; --t2: #f0934e; --t3: #35bd9f; --t4: #b983de; --t5: #d8b94a; --t6: #e87583;
} }
:root[data-theme="dark"] {
  --page: #11151b; --panel: #181e26; --ink: #e4e9f0; --soft: #93a1b3; --line: #2b3440; --hover: #222b36; --accent: #6ea8fe; --edge: #66778a; --transfer: #ff7ab2;
  --warn: #f0b35b; --node-ink: #f3f6fa; --io: #2a323d; --mark: #f2b441;
  --t0: #7d8ca0; --t1: #5b9cf5; --t2: #f0934e; --t3: #35bd9f; --t4: #b983de; --t5: #d8b94a; --t6: #e87583;
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: grid; grid-template: auto 1fr / 1fr 372px; font: var(--ui); color: var(--ink); background: var(--page); overflow: hidden; }
header { grid-column: 1 / -1; display: flex; align-items: center; gap: 10px; padding: 8px 14px; background: var(--panel); border-bottom: 1px solid var(--line); }
header h1 { font-size: 15px; margin: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
header .subtitle { color: var(--soft); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; flex: 1 1 0; min-width: 0; }
input, select, button { font: inherit; color: inherit; background: var(--page); border: 1px solid var(--line); border-radius: 7px; padding: 4px 9px; }
button { cursor: pointer; }
button:hover, select:hover { background: var(--hover); }
button[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
#search { width: 230px; }
#matches { color: var(--soft); min-width: 62px; font-variant-numeric: tabular-nums; }
.views { display: flex; }
.views button { border-radius: 0; margin-left: -1px; }
.views button:first-child { border-radius: 7px 0 0 7px; }
.views button:last-child { border-radius: 0 7px 7px 0; }
main { position: relative; min-width: 0; min-height: 0; }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; cursor: grab; touch-action: none; }
canvas.dragging { cursor: grabbing; }
canvas.pointing { cursor: pointer; }
.tools { position: absolute; left: 12px; bottom: 12px; display: flex; gap: 6px; }
.tools button { background: var(--panel); min-width: 34px; }
#tip { position: absolute; pointer-events: none; background: var(--panel); border: 1px solid var(--line); border-radius: 7px; padding: 5px 9px; box-shadow: 0 4px 16px #0003; max-width: 340px; overflow-wrap: anywhere; }
#tip b { display: block; }
#tip span { color: var(--soft); }
#list { position: absolute; inset: 0; overflow: auto; background: var(--panel); }
table { border-collapse: collapse; width: 100%; }
th { position: sticky; top: 0; background: var(--panel); text-align: left; box-shadow: 0 1px var(--line); cursor: pointer; white-space: nowrap; }
th, td { padding: 4px 12px; }
td { border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td:last-child { color: var(--soft); }
tr[data-node] { cursor: pointer; }
tr[data-node]:hover, tr.selected { background: var(--hover); }
aside { background: var(--panel); border-left: 1px solid var(--line); overflow: auto; padding: 14px 16px; }
aside h2 { font-size: 12px; letter-spacing: .05em; text-transform: uppercase; color: var(--soft); margin: 22px 0 8px; }
aside h2:first-child { margin-top: 0; }
.dot { display: inline-block; width: 11px; height: 11px; border-radius: 3px; flex: none; }
.target { display: grid; grid-template-columns: auto 1fr; gap: 2px 9px; align-items: center; width: 100%; text-align: left; border-color: transparent; background: none; padding: 6px 8px; }
.target[aria-pressed] { border-color: transparent; color: inherit; }
.target b { overflow-wrap: anywhere; }
.target span.text { grid-column: 2; color: var(--soft); }
.bar { display: flex; height: 9px; border-radius: 5px; overflow: hidden; margin: 2px 0 10px; background: var(--line); gap: 1px; }
.note { color: var(--soft); margin: 4px 8px; }
.gain { display: flex; gap: 10px; width: 100%; text-align: left; border: 0; border-bottom: 1px solid var(--line); border-radius: 0; background: none; padding: 7px 8px; }
.gain span:first-child { flex: 1; overflow-wrap: anywhere; }
.gain b { white-space: nowrap; color: var(--t3); }
.details h3 { margin: 0 0 2px; font-size: 16px; overflow-wrap: anywhere; }
.details .where { color: var(--soft); overflow-wrap: anywhere; margin-bottom: 10px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 12px; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.rejection { border-left: 3px solid var(--mark); padding: 2px 0 2px 10px; margin: 8px 0; overflow-wrap: anywhere; }
.rejection code { color: var(--soft); }
.rejection .hint { display: block; }
.link { display: block; width: 100%; text-align: left; border: 0; background: none; padding: 3px 8px; overflow-wrap: anywhere; }
.link span { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; color: var(--soft); padding: 0 8px; }
.legend i { display: inline-block; vertical-align: middle; margin-right: 6px; }
kbd { font: inherit; font-size: 11px; border: 1px solid var(--line); border-radius: 4px; padding: 0 4px; }
[hidden] { display: none !important; }
@media (max-width: 860px) {
  body { grid-template: auto 1fr 42% / 1fr; }
  header { flex-wrap: wrap; }
  header .subtitle { display: none; }
  aside { border-left: 0; border-top: 1px solid var(--line); }
}
`;

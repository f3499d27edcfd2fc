import type { PageData } from './page/data.ts';
import { pageStyle } from './page/style.ts';
import { viewer } from './page/viewer.ts';

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** A page that needs nothing besides itself: no network, no other files. Its security policy holds browsers to that. */
export function explanationPage(data: PageData): string {
  // Inside a script element, `<` could end it.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(data.title)} – Tenon</title>
<style>${pageStyle}</style>
</head>
<body>
<header>
<h1>${escape(data.title)}</h1>
<span class="subtitle">${escape(data.subtitle)}</span>
<input id="search" type="search" placeholder="Search  ( / )" aria-label="Search operators, locations, rules, codes">
<span id="matches" role="status"></span>
<select id="colours" aria-label="Colours"><option value="target">by target</option><option value="region">by region</option><option value="cost">by cost</option></select>
<span class="views"><button id="view-graph">Graph</button><button id="view-list">List</button></span>
<button id="theme" title="light or dark" aria-label="light or dark">◐</button>
</header>
<main>
<canvas id="graph" aria-label="The model's graph; the list has the same operators as text"></canvas>
<div class="tools"><button id="out" title="smaller" aria-label="smaller">−</button><button id="in" title="larger" aria-label="larger">+</button><button id="fit" title="whole graph (F)">Fit</button></div>
<div id="tip" hidden></div>
<div id="list" hidden></div>
</main>
<aside id="panel" aria-label="Details"></aside>
<script>
(${viewer.toString()})(${json});
</script>
</body>
</html>
`;
}

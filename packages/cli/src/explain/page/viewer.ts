/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import type { PageData, PageNode } from './data.ts';

/**
 * The script of the page: it goes into the page as its own source text, so it refers to nothing outside of itself.
 * The graph is painted on a canvas with as much detail as there is room for; everything else is ordinary HTML.
 */
export function viewer(data: PageData): void {
  const { nodes, edges, targets, nodeWidth, nodeHeight } = data;
  const find = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
  const make = (tag: string, attributes: { readonly [name: string]: string } = {}, ...children: (Node | string)[]): HTMLElement => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const canvas = find<HTMLCanvasElement>('graph');
  const paint = canvas.getContext('2d')!;
  const [search, aside, tip, list] = [find<HTMLInputElement>('search'), find('panel'), find('tip'), find('list')];
  const state = { x: 0, y: 0, zoom: 1, selected: -1, hovered: -1, hidden: new Set<number>(), colours: 'target', current: -1 };
  const regions = [...new Set(nodes.flatMap((n) => (n.region === null ? [] : [n.region])))];
  const regionIndex = new Map(regions.map((name, i) => [name, i]));
  const texts = nodes.map((n) => [n.title, n.subtitle, n.target === null ? n.kind : targets[n.target]!.name, n.region ?? '', ...n.details.map(([, value]) => value),
    ...n.rejections.flatMap((r) => [r.who, r.code, r.message])].join('\n').toLowerCase());
  const incoming: number[][] = nodes.map(() => []);
  const outgoing: number[][] = nodes.map(() => []);
  edges.forEach((edge, e) => {
    outgoing[edge.from]!.push(e);
    incoming[edge.to]!.push(e);
  });
  let matches: Set<number> | null = null;
  const heaviest = Math.max(1e-12, ...nodes.map((n) => n.weight));

  // Colours.
  let palette: { readonly [name: string]: string } = {};
  const readPalette = (): void => {
    const style = getComputedStyle(document.documentElement);
    palette = Object.fromEntries(['page', 'panel', 'ink', 'soft', 'line', 'accent', 'edge', 'transfer', 'node-ink', 'io', 'mark', 't0', 't1', 't2', 't3', 't4', 't5', 't6'].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  };
  const others = targets.map((t, i) => (t.host && targets.length > 1 ? -1 : i)).filter((i) => i >= 0);
  const targetVariable = (t: number): string => (others.includes(t) ? `t${(others.indexOf(t) % 6) + 1}` : 't0');
  const heat = (share: number): string => `hsl(${Math.round(215 - 195 * share)} ${Math.round(28 + 52 * share)}% ${document.documentElement.dataset['dark'] === '1' ? 46 + 12 * share : 62 - 8 * share}%)`;
  const colourOf = (n: PageNode): string => {
    if (n.target === null) return palette['io']!;
    if (state.colours === 'region') return `hsl(${Math.round((regionIndex.get(n.region ?? '') ?? 0) * 137.5) % 360} 45% 55%)`;
    if (state.colours === 'cost') return heat(Math.sqrt(n.weight / heaviest));
    return palette[targetVariable(n.target)]!;
  };

  // Painting.
  const dimmed = (i: number): boolean => (matches !== null && !matches.has(i)) || (nodes[i]!.target !== null && state.hidden.has(nodes[i]!.target!));
  const fitText = (text: string, width: number): string => {
    if (paint.measureText(text).width <= width) return text;
    let [low, high] = [0, text.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (paint.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
      else high = middle - 1;
    }
    return low === 0 ? '' : `${text.slice(0, low)}…`;
  };
  /** Locations differ at their ends. */
  const fitTail = (text: string, width: number): string => {
    if (paint.measureText(text).width <= width) return text;
    let [low, high] = [1, text.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (paint.measureText(`…${text.slice(middle)}`).width <= width) high = middle;
      else low = middle + 1;
    }
    return `…${text.slice(low)}`;
  };
  const trace = (e: number): void => {
    const { points, kind } = edges[e]!;
    paint.moveTo(points[0]!, points[1]!);
    if (kind === 'lane') {
      for (let i = 2; i + 3 < points.length; i += 2) paint.arcTo(points[i]!, points[i + 1]!, points[i + 2]!, points[i + 3]!, 6);
      paint.lineTo(points.at(-2)!, points.at(-1)!);
      return;
    }
    for (let i = 2; i + 1 < points.length; i += 2) {
      const [x0, y0, x1, y1] = [points[i - 2]!, points[i - 1]!, points[i]!, points[i + 1]!];
      const middle = (y0 + y1) / 2;
      if (x0 === x1) paint.lineTo(x1, y1);
      else paint.bezierCurveTo(x0, middle, x1, middle, x1, y1);
    }
  };
  const stroke = (which: Iterable<number>, colour: string, width: number, alpha: number, dash: readonly number[] = []): void => {
    paint.strokeStyle = colour;
    paint.lineWidth = width;
    paint.globalAlpha = alpha;
    paint.setLineDash(dash as number[]);
    paint.beginPath();
    for (const e of which) trace(e);
    paint.stroke();
    paint.setLineDash([]);
    paint.globalAlpha = 1;
  };
  const bounds = edges.map(({ points }) => {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < points.length; i += 2) {
      left = Math.min(left, points[i]!);
      right = Math.max(right, points[i]!);
      top = Math.min(top, points[i + 1]!);
      bottom = Math.max(bottom, points[i + 1]!);
    }
    return { left, top, right, bottom };
  });
  const arrow = (e: number, size: number): void => {
    const { points } = edges[e]!;
    const [x, y] = [points.at(-2)!, points.at(-1)!];
    paint.moveTo(x, y);
    paint.lineTo(x - size * 0.55, y - size);
    paint.lineTo(x + size * 0.55, y - size);
    paint.closePath();
  };
  const drawNode = (i: number): void => {
    const n = nodes[i]!;
    const colour = colourOf(n);
    const { zoom } = state;
    const cards = zoom > 0.34;
    paint.globalAlpha = dimmed(i) ? 0.16 : 1;
    if (!cards) {
      // Never thinner than a pixel or so, however far away.
      const grow = Math.max(0, 2.2 / zoom - nodeHeight) / 2;
      paint.fillStyle = n.target === null ? palette['edge']! : colour;
      if (zoom > 0.12) {
        paint.beginPath();
        paint.roundRect(n.x, n.y, nodeWidth, nodeHeight, 8);
        paint.fill();
      } else paint.fillRect(n.x, n.y - grow, nodeWidth, nodeHeight + 2 * grow);
    } else {
      const round = n.target === null ? nodeHeight / 2 : 8;
      paint.beginPath();
      paint.roundRect(n.x, n.y, nodeWidth, nodeHeight, round);
      paint.fillStyle = palette['panel']!;
      paint.fill();
      paint.fillStyle = colour;
      if (n.target !== null) paint.globalAlpha *= 0.17;
      paint.fill();
      paint.globalAlpha = dimmed(i) ? 0.16 : 1;
      paint.strokeStyle = n.target === null ? palette['line']! : colour;
      paint.lineWidth = 1.4;
      paint.stroke();
      if (n.target !== null) {
        paint.save();
        paint.clip();
        paint.fillRect(n.x, n.y, 6, nodeHeight);
        paint.restore();
      }
      const inset = n.target === null ? 20 : 16;
      const two = zoom > 0.5 && n.subtitle !== '';
      paint.fillStyle = palette['node-ink']!;
      paint.font = `600 ${two ? 13 : 16}px system-ui, "DejaVu Sans", sans-serif`;
      paint.fillText(fitText(n.title, nodeWidth - inset - 12), n.x + inset, n.y + (two ? 16 : nodeHeight / 2));
      if (two) {
        paint.fillStyle = palette['soft']!;
        paint.font = '11px system-ui, "DejaVu Sans", sans-serif';
        paint.fillText(fitTail(n.subtitle, nodeWidth - inset - 8), n.x + inset, n.y + 32);
      }
      if (n.rejections.length > 0) {
        paint.fillStyle = palette['mark']!;
        paint.beginPath();
        paint.arc(n.x + nodeWidth - 9, n.y + 9, 3.5, 0, 7);
        paint.fill();
      }
    }
    const neighbour = state.selected >= 0 && (incoming[i]!.some((e) => edges[e]!.from === state.selected) || outgoing[i]!.some((e) => edges[e]!.to === state.selected));
    if (i === state.selected || i === state.hovered || neighbour || i === state.current) {
      paint.globalAlpha = neighbour && i !== state.hovered ? 0.6 : 1;
      paint.strokeStyle = palette['accent']!;
      paint.lineWidth = Math.max(i === state.selected ? 3 : 2, (i === state.selected ? 2.5 : 1.5) / zoom);
      const out = 2 + paint.lineWidth / 2;
      paint.beginPath();
      paint.roundRect(n.x - out, n.y - out, nodeWidth + 2 * out, nodeHeight + 2 * out, 10);
      paint.stroke();
    }
    paint.globalAlpha = 1;
  };
  const draw = (): void => {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const { x, y, zoom, selected, hovered } = state;
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.fillStyle = palette['page']!;
    paint.fillRect(0, 0, width, height);
    paint.setTransform(ratio * zoom, 0, 0, ratio * zoom, ratio * x, ratio * y);
    paint.textBaseline = 'middle';
    const [left, top, right, bottom] = [-x / zoom, -y / zoom, (width - x) / zoom, (height - y) / zoom];
    const seen = (e: number): boolean => bounds[e]!.right >= left && bounds[e]!.left <= right && bounds[e]!.bottom >= top && bounds[e]!.top <= bottom;
    const visible = edges.map((_, e) => e).filter(seen);
    const line = Math.max(1.5, 0.8 / zoom);
    const thin = zoom < 0.34;
    const faint = (e: number): boolean => dimmed(edges[e]!.from) || dimmed(edges[e]!.to);
    stroke(visible.filter((e) => faint(e)), palette['edge']!, line, 0.15);
    stroke(visible.filter((e) => !faint(e) && !edges[e]!.transfer && edges[e]!.kind === 'lane'), palette['edge']!, line, thin ? 0.6 : 0.5);
    stroke(visible.filter((e) => !faint(e) && !edges[e]!.transfer && edges[e]!.kind === 'curve'), palette['edge']!, line, 0.95);
    stroke(visible.filter((e) => !faint(e) && edges[e]!.transfer), palette['transfer']!, line * (thin ? 1 : 1.3), 0.85, thin ? [] : [7, 5]);
    const focus = hovered >= 0 ? hovered : selected;
    const lit = focus >= 0 ? [...incoming[focus]!, ...outgoing[focus]!] : [];
    stroke(lit, palette['accent']!, Math.max(2.5, 1.6 / zoom), 1);
    if (!thin) {
      for (const [which, colour, alpha] of [
        [visible.filter((e) => !faint(e) && !edges[e]!.transfer), palette['edge']!, 0.95], [visible.filter((e) => !faint(e) && edges[e]!.transfer), palette['transfer']!, 0.9], [lit, palette['accent']!, 1],
      ] as const) {
        paint.fillStyle = colour;
        paint.globalAlpha = alpha;
        paint.beginPath();
        for (const e of which) arrow(e, 7);
        paint.fill();
      }
      paint.globalAlpha = 1;
    }
    nodes.forEach((n, i) => {
      if (n.x + nodeWidth >= left - 9 && n.x <= right + 9 && n.y + nodeHeight >= top - 9 && n.y <= bottom + 9) drawNode(i);
    });
  };
  let waiting = false;
  const redraw = (): void => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };

  // Moving about.
  let fitted: { readonly x: number; readonly y: number; readonly zoom: number } | null = null;
  const fit = (): void => {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const pad = 28;
    state.zoom = Math.min(1.2, Math.max(0.01, Math.min((width - 2 * pad) / Math.max(1, data.width), (height - 2 * pad - 26) / Math.max(1, data.height))));
    state.x = (width - data.width * state.zoom) / 2;
    state.y = Math.max(pad, (height - 26 - data.height * state.zoom) / 2);
    fitted = { x: state.x, y: state.y, zoom: state.zoom };
    redraw();
  };
  /** The whole graph stays in view until somebody looks closer. */
  const resized = (): void => {
    if (fitted !== null && fitted.x === state.x && fitted.y === state.y && fitted.zoom === state.zoom) fit();
    else redraw();
  };
  const zoomAt = (x: number, y: number, factor: number): void => {
    const next = Math.min(3, Math.max(0.01, state.zoom * factor));
    state.x = x - ((x - state.x) / state.zoom) * next;
    state.y = y - ((y - state.y) / state.zoom) * next;
    state.zoom = next;
    redraw();
  };
  const zoomMiddle = (factor: number): void => zoomAt(canvas.clientWidth / 2, canvas.clientHeight / 2, factor);
  const show = (i: number): void => {
    const n = nodes[i]!;
    state.zoom = Math.max(state.zoom, 0.8);
    state.x = canvas.clientWidth / 2 - (n.x + nodeWidth / 2) * state.zoom;
    state.y = canvas.clientHeight / 2 - (n.y + nodeHeight / 2) * state.zoom;
    redraw();
  };
  const nodeAt = (px: number, py: number): number => {
    const [x, y] = [(px - state.x) / state.zoom, (py - state.y) / state.zoom];
    const slack = Math.max(0, 3 / state.zoom - nodeHeight / 2);
    return nodes.findIndex((n) => x >= n.x && x <= n.x + nodeWidth && y >= n.y - slack && y <= n.y + nodeHeight + slack);
  };

  // The panel.
  const dot = (colour: string): HTMLElement => make('i', { class: 'dot', style: `background:${colour}` });
  const nodeLink = (i: number, label: string): HTMLElement => {
    const link = make('button', { class: 'link' }, `${nodes[i]!.title} `, make('span', {}, label || nodes[i]!.subtitle));
    link.addEventListener('click', () => choose(i, true));
    return link;
  };
  const overview = (): void => {
    const bar = make('div', { class: 'bar', role: 'img', 'aria-label': targets.map((t) => t.summary).join('; ') });
    targets.forEach((t, i) => t.operators > 0 && bar.append(make('span', { style: `flex:${t.operators};background:var(--${targetVariable(i)})`, title: t.summary })));
    aside.replaceChildren(make('h2', {}, 'Targets'), bar);
    targets.forEach((t, i) => {
      const row = make('button', { class: 'target', 'aria-pressed': String(!state.hidden.has(i)), title: 'shows or dims its operators' }, dot(`var(--${targetVariable(i)})`), make('b', {}, t.name), make('span', { class: 'text' }, t.summary));
      row.addEventListener('click', () => {
        if (!state.hidden.delete(i)) state.hidden.add(i);
        overview();
        redraw();
      });
      if (state.hidden.has(i)) row.style.opacity = '.45';
      aside.append(row);
    });
    for (const note of data.notes) aside.append(make('div', { class: 'note' }, note));
    if (data.whatIf.length > 0) {
      aside.append(make('h2', {}, 'What would gain most'));
      for (const { title, gain, nodes: concerned } of data.whatIf) {
        const row = make('button', { class: 'gain' }, make('span', {}, title), make('b', {}, gain));
        row.addEventListener('click', () => {
          matches = new Set(concerned);
          search.value = '';
          find('matches').textContent = `${concerned.length}`;
          filterList();
          if (concerned.length > 0) show(concerned[0]!);
          redraw();
        });
        aside.append(row);
      }
    }
    const dash = (style: string): HTMLElement => make('i', { style: `width:22px;border-top:2px ${style}` });
    const keys = make('div', { class: 'note' });
    for (const [key, what] of [['/', 'search'], ['F', 'whole graph'], ['+ −', 'zoom'], ['Esc', 'back']] as const) keys.append(make('kbd', {}, key), ` ${what}  `);
    aside.append(make('h2', {}, 'Legend'), make('div', { class: 'legend' },
      make('span', {}, dash('solid var(--edge)'), 'values'), ...(targets.length > 1 ? [make('span', {}, dash('dashed var(--transfer)'), 'between targets')] : []),
      make('span', {}, make('i', { class: 'dot', style: 'background:var(--mark);width:8px;height:8px;border-radius:50%' }), 'another target refused it')), keys);
  };
  const details = (i: number): void => {
    const n = nodes[i]!;
    const back = make('button', {}, '← overview');
    back.addEventListener('click', () => choose(-1, false));
    const facts = make('dl');
    for (const [name, value] of n.details) facts.append(make('dt', {}, name), make('dd', {}, value));
    const title = make('h3', {});
    if (n.target !== null) title.append(dot(`var(--${targetVariable(n.target)})`), ' ');
    title.append(n.title);
    aside.replaceChildren(back, make('div', { class: 'details', style: 'margin-top:14px' }, title, make('div', { class: 'where' }, n.subtitle), facts));
    if (n.rejections.length > 0) {
      aside.append(make('h2', {}, 'Not taken by'));
      for (const r of n.rejections) {
        const entry = make('div', { class: 'rejection' }, make('b', {}, r.who), `: ${r.message} `, make('code', {}, `[${r.code}]`));
        if (r.hint !== null) entry.append(make('span', { class: 'hint' }, `→ ${r.hint}`));
        aside.append(entry);
      }
    }
    for (const [name, which, end] of [['From', incoming[i]!, 'from'], ['To', outgoing[i]!, 'to']] as const) {
      if (which.length > 0) aside.append(make('h2', {}, name), ...which.map((e) => nodeLink(edges[e]![end], edges[e]!.label)));
    }
    aside.scrollTop = 0;
  };
  const choose = (i: number, move: boolean): void => {
    state.selected = i;
    if (i >= 0) details(i);
    else overview();
    if (move && i >= 0) show(i);
    for (const row of list.querySelectorAll<HTMLElement>('tr[data-node]')) row.classList.toggle('selected', row.dataset['node'] === String(i));
    remember();
    redraw();
  };

  // The list.
  const operators = nodes.flatMap((n, i) => (n.kind === 'operator' ? [i] : []));
  const columns: readonly (readonly [string, (n: PageNode) => string])[] = [
    ['operator', (n) => n.title], ['in the model', (n) => n.subtitle], ['target', (n) => targets[n.target!]!.name], ['region', (n) => n.region ?? ''],
    ['share', (n) => (n.weight === 0 ? '' : `${(n.weight * 100).toFixed(n.weight < 0.1 ? 2 : 1)} %`)], ['not taken by', (n) => n.rejections.map((r) => `${r.who}: ${r.message} [${r.code}]`).join('; ')],
  ];
  const body = make('tbody');
  const buildList = (): void => {
    const head = make('tr');
    columns.forEach(([name, text], c) => {
      const cell = make('th', { scope: 'col', title: 'sorts' }, name);
      let ascending = false;
      cell.addEventListener('click', () => {
        ascending = !ascending;
        const key = (row: Element): string => text(nodes[Number((row as HTMLElement).dataset['node'])]!);
        const weight = (row: Element): number => nodes[Number((row as HTMLElement).dataset['node'])]!.weight;
        const rows = [...body.children].sort((a, b) => (c === 4 ? weight(b) - weight(a) : key(a).localeCompare(key(b), 'en', { numeric: true })));
        body.replaceChildren(...(ascending ? rows : rows.reverse()));
      });
      head.append(cell);
    });
    for (const i of operators) {
      const row = make('tr', { 'data-node': String(i) });
      columns.forEach(([, text], c) => row.append(make('td', {}, ...(c === 2 ? [dot(`var(--${targetVariable(nodes[i]!.target!)})`), ' '] : []), text(nodes[i]!))));
      row.addEventListener('click', () => choose(i, true));
      row.classList.toggle('selected', i === state.selected);
      body.append(row);
    }
    list.append(make('table', {}, make('thead', {}, head), body));
  };
  const filterList = (): void => {
    for (const row of body.children) (row as HTMLElement).hidden = matches !== null && !matches.has(Number((row as HTMLElement).dataset['node']));
  };
  const setView = (view: string): void => {
    for (const name of ['graph', 'list']) find(`view-${name}`).setAttribute('aria-pressed', String(view === name));
    list.hidden = view !== 'list';
    if (view === 'list' && body.children.length === 0) {
      buildList();
      filterList();
    }
    remember();
  };

  // Search.
  const lookFor = (text: string): void => {
    const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '');
    matches = words.length === 0 ? null : new Set(nodes.map((_, i) => i).filter((i) => words.every((word) => texts[i]!.includes(word))));
    state.current = -1;
    find('matches').textContent = matches === null ? '' : matches.size === 0 ? 'nothing' : `${matches.size} found`;
    filterList();
    remember();
    redraw();
  };
  const step = (by: number): void => {
    const found = [...(matches ?? [])];
    if (found.length === 0) return;
    const at = (found.indexOf(state.current) + by + found.length) % found.length;
    state.current = found[at]!;
    find('matches').textContent = `${at + 1} of ${found.length}`;
    choose(state.current, true);
  };

  /** What is shown can be passed on as a link. */
  const remember = (): void => {
    if (!ready) return;
    const parts = new URLSearchParams();
    if (state.selected >= 0) parts.set('select', String(state.selected));
    if (!list.hidden) parts.set('view', 'list');
    if (search.value !== '') parts.set('search', search.value);
    if (state.colours !== 'target') parts.set('colours', state.colours);
    history.replaceState(null, '', `#${parts}`);
  };
  const setTheme = (theme: string | null): void => {
    if (theme !== null) document.documentElement.dataset['theme'] = theme;
    const shown = theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
    document.documentElement.dataset['dark'] = shown === 'dark' ? '1' : '0';
    readPalette();
    redraw();
  };

  let drag: { x: number; y: number; moved: boolean } | null = null;
  canvas.addEventListener('pointerdown', (event) => {
    drag = { x: event.offsetX, y: event.offsetY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (drag !== null) {
      if (Math.hypot(event.offsetX - drag.x, event.offsetY - drag.y) > 3) drag.moved = true;
      if (drag.moved) {
        state.x += event.offsetX - drag.x;
        state.y += event.offsetY - drag.y;
        [drag.x, drag.y] = [event.offsetX, event.offsetY];
        canvas.classList.add('dragging');
        tip.hidden = true;
        redraw();
      }
      return;
    }
    const over = nodeAt(event.offsetX, event.offsetY);
    if (over !== state.hovered) {
      state.hovered = over;
      redraw();
    }
    canvas.classList.toggle('pointing', over >= 0);
    tip.hidden = over < 0;
    if (over < 0) return;
    const n = nodes[over]!;
    tip.replaceChildren(make('b', {}, n.title), n.subtitle === '' ? '' : make('span', {}, n.subtitle), ...(n.target === null ? [] : [make('div', {}, dot(`var(--${targetVariable(n.target)})`), ` ${targets[n.target]!.name}`)]));
    tip.style.left = `${Math.min(event.offsetX + 14, canvas.clientWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.offsetY + 16, canvas.clientHeight - tip.offsetHeight - 8)}px`;
  });
  canvas.addEventListener('pointerup', (event) => {
    if (drag !== null && !drag.moved) choose(nodeAt(event.offsetX, event.offsetY), false);
    drag = null;
    canvas.classList.remove('dragging');
  });
  canvas.addEventListener('pointerleave', () => {
    state.hovered = -1;
    tip.hidden = true;
    redraw();
  });
  canvas.addEventListener('dblclick', (event) => zoomAt(event.offsetX, event.offsetY, 2));
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)));
  }, { passive: false });
  search.addEventListener('input', () => lookFor(search.value));
  search.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') step(event.shiftKey ? -1 : 1);
    if (event.key === 'Escape') {
      search.value = '';
      lookFor('');
      search.blur();
    }
    event.stopPropagation();
  });
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement) return;
    const pan: { readonly [key: string]: readonly [number, number] } = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    if (event.key === '/') {
      event.preventDefault();
      search.focus();
    } else if (event.key === 'f' || event.key === 'F') fit();
    else if (event.key === '+' || event.key === '=') zoomMiddle(1.25);
    else if (event.key === '-') zoomMiddle(0.8);
    else if (event.key === 'Escape') {
      lookFor('');
      choose(-1, false);
    } else if (pan[event.key] !== undefined && list.hidden) {
      state.x += pan[event.key]![0];
      state.y += pan[event.key]![1];
      redraw();
    }
  });
  find('fit').addEventListener('click', fit);
  find('in').addEventListener('click', () => zoomMiddle(1.25));
  find('out').addEventListener('click', () => zoomMiddle(0.8));
  find('view-graph').addEventListener('click', () => setView('graph'));
  find('view-list').addEventListener('click', () => setView('list'));
  find('theme').addEventListener('click', () => setTheme(document.documentElement.dataset['dark'] === '1' ? 'light' : 'dark'));
  find<HTMLSelectElement>('colours').addEventListener('change', (event) => {
    state.colours = (event.target as HTMLSelectElement).value;
    remember();
    redraw();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => setTheme(document.documentElement.dataset['theme'] ?? null));
  new ResizeObserver(resized).observe(canvas);

  let ready = false;
  const start = new URLSearchParams(location.hash.slice(1));
  setTheme(start.get('theme'));
  overview();
  state.colours = start.get('colours') ?? 'target';
  find<HTMLSelectElement>('colours').value = state.colours;
  setView(start.get('view') ?? 'graph');
  fit();
  search.value = start.get('search') ?? '';
  lookFor(search.value);
  const selected = Number(start.get('select') ?? -1);
  if (nodes[selected] !== undefined) choose(selected, true);
  ready = true;
  draw();
  document.documentElement.dataset['state'] = 'ready';
}

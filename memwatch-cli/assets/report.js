'use strict';
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const head = read('report');
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const COLORS = ['--l0', '--l1', '--l2', '--l3', '--l4'];
  const printing = matchMedia('print');
  const open = new Map(); // service element -> its plots
  let view = [head.start, head.end];

  // Numbers and times for people.
  const si = (v, units) => {
    if (v === 0) return '0';
    const size = Math.abs(v);
    for (const [factor, suffix] of units) if (size >= factor * 0.9995) return trim(v / factor) + suffix;
    const [factor, suffix] = units[units.length - 1];
    return trim(v / factor) + suffix;
  };
  const trim = (v) => Math.abs(v) < 1e-3 && v !== 0 ? v.toExponential(1) : String(+v.toPrecision(3));
  const BYTES = [[1e12, ' TB'], [1e9, ' GB'], [1e6, ' MB'], [1e3, ' kB'], [1, ' B']];
  const UNITS = {
    bytes: (v) => si(v, BYTES),
    rate: (v) => v === 0 ? '0' : si(v, BYTES) + '/s',
    seconds: (v) => si(v, [[3600, ' h'], [60, ' min'], [1, ' s'], [1e-3, ' ms'], [1e-6, ' µs'], [1e-9, ' ns']]),
    plain: (v) => si(v, [[1e12, ' T'], [1e9, ' G'], [1e6, ' M'], [1e3, ' k'], [1, '']]),
  };
  const two = (n) => String(n).padStart(2, '0');
  const clock = (s, parts) => {
    const d = new Date(s * 1000);
    const day = `${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
    const time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
    const seconds = `:${two(d.getUTCSeconds())}`;
    if (parts === 'day') return day;
    if (parts === 'minute') return time;
    if (parts === 'second') return time + seconds;
    if (parts === 'milli') return time + seconds + '.' + String(d.getUTCMilliseconds()).padStart(3, '0');
    return `${day} ${time}${seconds}`;
  };
  const long = (s) => s >= 172800 ? `${trim(s / 86400)} days` : s >= 7200 ? `${trim(s / 3600)} h` : s >= 120 ? `${trim(s / 60)} min` : `${trim(s)} s`;
  const tick = (splits) => {
    const step = splits.length > 1 ? splits[1] - splits[0] : 1;
    const parts = step >= 86400 ? 'day' : step >= 60 ? 'minute' : step >= 1 ? 'second' : 'milli';
    return splits.map((s) => parts === 'minute' && s % 86400 === 0 ? clock(s, 'day') : clock(s, parts));
  };

  // Zoom: one for all plots, so that services can be compared.
  const status = document.getElementById('view');
  let passing = false;
  const setView = (from, to) => {
    const least = Math.min(1, head.end - head.start);
    const length = Math.min(Math.max(to - from, least), head.end - head.start);
    let start = Math.max(head.start, Math.min(from + ((to - from) - length) / 2, head.end - length));
    view = [start, start + length];
    passing = true;
    for (const plots of open.values()) for (const plot of plots) plot.setScale('x', { min: view[0], max: view[1] });
    passing = false;
    tell();
  };
  const tell = () => {
    const whole = view[0] <= head.start && view[1] >= head.end;
    status.textContent = (whole ? 'whole range: ' : '') + `${clock(view[0])} to ${clock(view[1], 'second')} UTC, ${long(view[1] - view[0])}`;
  };
  const zoom = (factor) => {
    const middle = (view[0] + view[1]) / 2, half = (view[1] - view[0]) / 2 * factor;
    setView(middle - half, middle + half);
  };
  const pan = (share) => { const by = (view[1] - view[0]) * share; setView(view[0] + by, view[1] + by); };

  // What is drawn beneath and in the rows of a plot.
  const shade = (u, from, to, color, alpha, top, height) => {
    const a = Math.max(u.valToPos(from, 'x', true), u.bbox.left);
    const b = Math.min(u.valToPos(to, 'x', true), u.bbox.left + u.bbox.width);
    if (b < u.bbox.left || a > u.bbox.left + u.bbox.width) return;
    u.ctx.globalAlpha = alpha;
    u.ctx.fillStyle = color;
    u.ctx.fillRect(a, top, Math.max(b - a, 2 * devicePixelRatio), height);
    u.ctx.globalAlpha = 1;
  };
  const verdictColor = (v) => css(v === 'true' ? '--true' : v === 'duplicate' ? '--again' : v === 'false' || v === 'benign' ? '--false' : '--other');
  const incidentsBehind = (data) => (u) => {
    for (const i of data.incidents) shade(u, i.s, i.e, css('--incident'), 0.16, u.bbox.top, u.bbox.height);
  };
  const INCREMENTS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000];
  const axes = (unit, bottom) => [
    { incrs: INCREMENTS, stroke: css('--soft'), grid: { stroke: css('--grid'), width: 1 }, ticks: { show: false }, values: (u, s) => tick(s), size: bottom ? 28 : 6, gap: 4, space: 70, font: '11px system-ui, sans-serif', show: true, ...(bottom ? {} : { values: (u, s) => s.map(() => '') }) },
    { stroke: css('--soft'), grid: { stroke: css('--grid'), width: 1 }, ticks: { show: false }, size: 62, gap: 6, space: 28, font: '11px system-ui, sans-serif', values: (u, s) => unit ? s.map(unit) : [] },
  ];
  const common = (width, height) => ({
    width, height, legend: { show: false }, padding: [6, 8, 0, 0],
    cursor: { sync: { key: 'memwatch' }, drag: { x: true, y: false }, y: false, points: { size: 5 }, bind: { dblclick: () => () => { setView(head.start, head.end); return null; } } },
  });
  const xScale = { time: false, range: (u, min, max) => [min, max] };
  const followZoom = (u, key) => {
    if (key !== 'x' || passing) return;
    const { min, max } = u.scales.x;
    if (min !== view[0] || max !== view[1]) queueMicrotask(() => setView(min, max));
  };

  // Rows: incidents, alerts by rule, messages, collections.
  const lanes = (box, data, x, width) => {
    const rows = [];
    if (data.incidents.length) rows.push(['incidents', (u, top, h) => {
      for (const i of data.incidents) shade(u, i.s, i.e, css(i.caught ? '--incident' : '--false'), 0.75, top + h * 0.5, h * 0.4);
    }]);
    for (const rule of [...new Set(data.alerts.map((a) => a.rule))]) rows.push([rule, (u, top, h) => {
      for (const a of data.alerts) if (a.rule === rule) {
        shade(u, a.p, a.f, css('--pending'), 1, top + h * 0.5, h * 0.4);
        shade(u, a.f, a.e ?? head.end, verdictColor(a.verdict), 1, top + h * 0.5, h * 0.4);
      }
    }]);
    if (data.messages.length) rows.push([`messages (${data.messages.length})`, (u, top, h) => {
      for (const m of data.messages) {
        const at = u.valToPos(m.at, 'x', true);
        if (at < u.bbox.left - 4 || at > u.bbox.left + u.bbox.width + 4) continue;
        const r = h * 0.2, c = u.ctx;
        c.fillStyle = css(m.firing ? '--ink' : '--soft');
        c.beginPath(); c.moveTo(at - r, top + h * 0.5); c.lineTo(at + r, top + h * 0.5); c.lineTo(at, top + h * 0.9); c.closePath();
        if (m.firing) c.fill(); else { c.strokeStyle = css('--soft'); c.lineWidth = devicePixelRatio; c.stroke(); }
      }
    }]);
    if (data.gc.some((n) => n > 0)) rows.push(['garbage collections', (u, top, h) => {
      const c = u.ctx, pixels = new Map();
      data.gc.forEach((n, i) => {
        if (!n) return;
        const at = Math.round(u.valToPos(x[i], 'x', true) / devicePixelRatio);
        pixels.set(at, (pixels.get(at) ?? 0) + n);
      });
      const most = Math.max(...pixels.values());
      c.fillStyle = css('--ink');
      for (const [at, n] of pixels) {
        const p = at * devicePixelRatio;
        if (p < u.bbox.left || p > u.bbox.left + u.bbox.width) continue;
        c.globalAlpha = 0.25 + 0.75 * n / most;
        c.fillRect(p, top + h * 0.5, devicePixelRatio, h * 0.4);
      }
      c.globalAlpha = 1;
    }]);
    if (!rows.length) return null;
    const height = rows.length * 30 + 36;
    const draw = (u) => {
      const c = u.ctx, h = u.bbox.height / rows.length;
      c.save();
      c.beginPath(); c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); c.clip();
      rows.forEach(([name, paint], i) => {
        const top = u.bbox.top + i * h;
        c.fillStyle = css('--grid'); c.fillRect(u.bbox.left, top + h * 0.5, u.bbox.width, h * 0.4);
        paint(u, top, h);
        c.font = `${11 * devicePixelRatio}px system-ui, sans-serif`; c.textBaseline = 'alphabetic'; c.textAlign = 'left'; c.fillStyle = css('--soft');
        c.fillText(name, u.bbox.left + 2, top + h * 0.42);
      });
      c.restore();
    };
    const [ax, ay] = axes(null, true);
    ay.grid.show = false; ay.size = 62;
    return new uPlot({ ...common(width, height), scales: { x: xScale, y: { range: [0, 1] } }, axes: [ax, ay], series: [{}, { show: true, stroke: 'transparent', points: { show: false } }],
      hooks: { draw: [draw], setScale: [followZoom] } }, [x, x.map(() => null)], box);
  };

  // Steps of time may be narrower than samples lie apart: only a silence of more than three of a line's own intervals is a gap.
  const silence = (column, x) => {
    const apart = [];
    let before = -1;
    column.forEach((v, i) => { if (v === null) return; if (before >= 0) apart.push(x[i] - x[before]); before = i; });
    apart.sort((a, b) => a - b);
    return apart.length ? apart[apart.length >> 2] * 3.5 : 0;
  };

  const panel = (box, data, p, x, width, last) => {
    const unit = UNITS[p.unit];
    const frame = document.createElement('div'); frame.className = 'plot';
    const title = document.createElement('h3');
    const name = document.createElement('span'); name.textContent = p.title; title.append(name);
    if (p.about) { const about = document.createElement('code'); about.textContent = p.about; title.append(about); }
    const legend = document.createElement('div'); legend.className = 'legend';
    frame.append(title, legend); box.append(frame);
    const series = [{}], columns = [x], bands = [], keys = [];
    const places = [...new Set(p.lines.map((l) => l.of).filter(Boolean))];
    p.lines.forEach((line, i) => {
      const few = places.length < 2;
      const n = few ? i : line.of ? places.indexOf(line.of) : 4;
      const color = css(COLORS[n % COLORS.length]);
      const points = p.title === 'Stop-the-world pauses';
      const ref = line.role === 'reference';
      const style = { stroke: color, width: ref ? 1.25 : 1, dash: ref ? [5, 4] : undefined, points: points ? { show: true, size: 4, fill: color, stroke: color } : { show: false, size: 3 }, paths: points ? () => null : undefined, spanGaps: false, gaps: (u, s, from, to, gaps) => gaps.filter(([a, b]) => u.posToVal(b, 'x', true) - u.posToVal(a, 'x', true) > longest) };
      const longest = silence(line.hi, x);
      if (!points) delete style.paths;
      columns.push(line.hi); series.push(style);
      const at = columns.length - 1;
      if (line.lo) { columns.push(line.lo); series.push({ ...style }); bands.push({ series: [at, at + 1], fill: color + '30' }); }
      const item = document.createElement('span'); item.className = `c${n % COLORS.length}` + (ref ? ' ref' : '');
      const mark = document.createElement('i'); const text = document.createElement('span');
      item.append(mark, text); legend.append(item);
      keys.push((i) => {
        const label = [line.name, line.of && !few ? line.of : ''].filter(Boolean).join(' ');
        const hi = i === null ? null : line.hi[i], lo = i === null || !line.lo ? hi : line.lo[i];
        text.textContent = hi === null || hi === undefined ? label : `${label} ${lo === hi ? unit(hi) : unit(lo) + ' – ' + unit(hi)}`;
      });
    });
    let idle = true;
    const values = p.lines.filter((l) => l.role === 'value').flatMap((l) => [l.lo ?? l.hi, l.hi]);
    const refs = p.lines.filter((l) => l.role === 'reference').map((l) => l.hi);
    // A line far above what was measured would press the rest flat: it is left out of the scale, not of the key.
    const yRange = () => {
      const [from, to] = view;
      let low = 0, high = 0;
      const look = (column, most) => column.forEach((v, i) => { if (v !== null && x[i] >= from && x[i] <= to && v <= most) { low = Math.min(low, v); high = Math.max(high, v); } });
      for (const column of values) look(column, Infinity);
      const most = high > 0 ? high * 4 : Infinity;
      for (const column of refs) look(column, most);
      if (low === high) high = low + 1;
      return [low < 0 ? low * 1.08 : 0, high > 0 ? high * 1.08 : 0];
    };
    const firing = (u) => {
      incidentsBehind(data)(u);
      if (p.rule === null || p.rule === undefined) return;
      for (const a of data.alerts) if (a.index === p.rule) {
        shade(u, a.p, a.f, css('--pending'), 0.55, u.bbox.top, u.bbox.height);
        shade(u, a.f, a.e ?? head.end, verdictColor(a.verdict), 0.2, u.bbox.top, u.bbox.height);
      }
    };
    const plot = new uPlot({ ...common(width, last ? 136 : 124), scales: { x: xScale, y: { range: yRange } }, axes: axes(unit, last), series, bands,
      hooks: { drawClear: [firing], setScale: [followZoom], setCursor: [(u) => { const i = u.cursor.idx ?? null; if (i === null && idle) return; idle = i === null; keys.forEach((k) => k(i)); }] } }, columns, frame);
    keys.forEach((k) => k(null));
    return plot;
  };

  const show = (element) => {
    const box = element.querySelector('.plots');
    const data = read(element.dataset.page);
    const x = data.t.map((ms) => head.start + ms / 1000);
    const width = printing.matches ? 700 : Math.max(box.clientWidth - (parseFloat(getComputedStyle(box).paddingLeft) * 2), 200);
    box.replaceChildren();
    const plots = [];
    const top = lanes(box, data, x, width);
    if (top) plots.push(top);
    data.panels.forEach((p, i) => plots.push(panel(box, data, p, x, width, i === data.panels.length - 1)));
    if (!plots.length) { const none = document.createElement('p'); none.className = 'soft'; none.textContent = 'Nothing that is drawn was recorded of this service.'; box.append(none); }
    open.set(element, plots);
    passing = true;
    for (const plot of plots) plot.setScale('x', { min: view[0], max: view[1] });
    passing = false;
  };
  const hide = (element) => {
    for (const plot of open.get(element) ?? []) plot.destroy();
    open.delete(element);
    element.querySelector('.plots').replaceChildren();
  };
  const redraw = () => { for (const element of [...open.keys()]) { hide(element); show(element); } };

  const services = [...document.querySelectorAll('details.service')];
  for (const element of services) element.addEventListener('toggle', () => {
    if (element.open && !open.has(element)) show(element);
    if (!element.open && open.has(element)) hide(element);
  });
  const go = (page, from, to) => {
    const element = services.find((s) => s.dataset.page === page);
    if (!element) return;
    element.hidden = false; element.open = true;
    if (!open.has(element)) show(element);
    if (from !== undefined) setView(from, to);
    element.scrollIntoView({ block: 'start' });
  };
  document.addEventListener('click', (event) => {
    const target = event.target.closest('[data-go]');
    if (!target) return;
    event.preventDefault();
    const [page, from, to] = target.dataset.go.split(' ');
    if (from === undefined) return go(page);
    const margin = Math.max((to - from) * 0.6, 20);
    go(page, +from - margin, +to + margin);
  });
  const on = (id, act) => document.getElementById(id)?.addEventListener('click', act);
  on('in', () => zoom(0.5)); on('out', () => zoom(2)); on('back', () => pan(-0.5)); on('forth', () => pan(0.5)); on('all', () => setView(head.start, head.end));
  const filter = document.getElementById('filter');
  filter?.addEventListener('input', () => {
    const text = filter.value.toLowerCase();
    for (const element of services) element.hidden = !element.querySelector('summary').textContent.toLowerCase().includes(text);
  });
  let width = innerWidth, timer = 0;
  addEventListener('resize', () => { if (innerWidth === width) return; width = innerWidth; clearTimeout(timer); timer = setTimeout(redraw, 120); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  printing.addEventListener('change', redraw);
  tell();
  for (const element of services) if (element.open && !open.has(element)) show(element);
})();

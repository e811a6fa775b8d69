import { contenderName, type Measurement } from '../engine/benchmark.js';
import { LANES } from '../experts/policy.js';
import {
  type BarGroup,
  barChart,
  escapeText,
  LANE_TITLES,
  schedule,
  shortNumber,
  timelineChart,
} from './bench-charts.js';
import type { BenchResults } from './bench-results.js';
import { machineLine, spreadOf, workloadName } from './bench-table.js';

const STYLE = `
:root { color-scheme: light dark; --page: #fbfbfa; --text: #1c1f23; --quiet: #5d656e; --line: #dcdfe3; --panel: #fff;
  --bar: #a9b8c9; --best: #2563a8; --resident: #12805c; --copy: #e3a008; --streamed: #c2560c; --cpu: #2f6fd0; --whole: #9aa3ad; }
@media (prefers-color-scheme: dark) { :root { --page: #15181c; --text: #e8eaed; --quiet: #a3abb5; --line: #363c44;
  --panel: #1c2026; --bar: #53657a; --best: #6cb0f5; --resident: #3fbf92; --copy: #f2c14e; --streamed: #f0864a; --cpu: #78a9f7; --whole: #707a86; } }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 1160px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.25rem 0 .25rem; }
h3 { font-size: .95rem; margin: 0 0 .5rem; } p { margin: .25rem 0 .75rem; max-width: 75ch; color: var(--quiet); }
code { font: .85rem ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; color: var(--text); }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 1rem; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem .6rem; min-width: 0; }
svg { display: block; width: 100%; max-width: 620px; height: auto; font-size: 12px; }
svg text { fill: var(--text); font-variant-numeric: tabular-nums; } svg text.tick { fill: var(--quiet); font-size: 11px; }
.grid { stroke: var(--line); } .whisker { stroke: var(--text); stroke-width: 1.4; fill: none; opacity: .75; }
.bar { fill: var(--bar); } .best { fill: var(--best); } .block { stroke: var(--panel); }
.lane-resident { fill: var(--resident); } .lane-copy { fill: var(--copy); } .lane-streamed { fill: var(--streamed); }
.lane-cpu { fill: var(--cpu); } .lane-whole { fill: var(--whole); }
.together { stroke: var(--text); stroke-width: 1.5; stroke-dasharray: 4 3; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; margin: .25rem 0 .75rem; padding: 0; }
.legend svg { display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem 1.1rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; } th { font-weight: 600; color: var(--quiet); }`;

/** The results as one HTML page that needs nothing else; well-formed as XML too. */
export function benchPage(results: BenchResults): string {
  const { model, hardware, date, command, loaded, timelines } = results;
  const machine = machineLine(hardware);
  const when = `${date.slice(0, 16).replace('T', ' ')} UTC`;
  const name = `${model} on ${machine}, ${when}, ${command}`;
  const switched = results.measurements.some(({ cache }) => cache !== undefined);
  const facts = Object.entries({ machine, date: when, ...loaded });
  return `<!DOCTYPE html>
<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>${escapeText(`Fiddler benchmark: ${name}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeText(`${model} on ${hardware.accelerator?.name ?? hardware.cpu}`)}</h1>
<p><code>${escapeText(command)}</code></p>
<div class="scroll"><table><tbody>
${facts.map(([key, value]) => `<tr><th scope="row">${escapeText(key)}</th><td>${escapeText(value)}</td></tr>`).join('\n')}
</tbody></table></div>
<h2>Tokens per second by policy</h2>
<p>Median of each policy's runs, which took turns; whiskers, and the numbers in parentheses, reach from the slowest run to the fastest. The fastest policy is the blue bar.${switched ? ' +C: with the expert cache, +P: with prefetch; all keep the same experts resident.' : ''}</p>
<div class="panels">
${workloads(results).map(rates).join('\n')}
</div>
<h2>Time by lane</h2>
<p>From a layer's beginning until the lane was done, summed over layers; where lanes run at once, this is measured at some calls and scaled to all. Lanes overlap, so they do not add up; the whole also holds attention, routing and sampling.</p>
${legend({ 'lane-resident': 'resident', 'lane-streamed': 'streamed (copy and computation)', 'lane-cpu': 'CPU', 'lane-whole': 'the whole run' })}
<div class="panels">
${workloads(results).map(laneTimes).join('\n')}
</div>
${timelines.length > 0 ? timelineSection(results) : ''}
<h2>All numbers</h2>
${numbers(results.measurements)}
</body>
</html>
`;
}

/** Measurements of each workload, in the order of the run. */
function workloads({ measurements }: BenchResults): Measurement[][] {
  const found = new Map<string, Measurement[]>();
  for (const m of measurements) {
    const name = workloadName(m);
    found.set(name, [...(found.get(name) ?? []), m]);
  }
  return [...found.values()];
}

function panel(title: string, chart: string): string {
  return `<section class="panel"><h3>${escapeText(title)}</h3>${chart}</section>`;
}

function rates(measurements: readonly Measurement[]): string {
  const best = Math.max(...measurements.map(({ rate }) => rate));
  const groups = measurements.map((m): BarGroup => {
    const { low, high } = spreadOf(m);
    const text = `${shortNumber(m.rate)} (${shortNumber(low)}–${shortNumber(high)})`;
    return {
      label: shortName(m),
      bars: [{ tone: m.rate === best ? 'best' : 'bar', name: contenderName(m), value: m.rate, low, high, text }],
    };
  });
  const title = workloadTitle(measurements[0]!);
  return panel(title, barChart(`Tokens per second by policy: ${title}`, 'tokens/s', groups));
}

/** As much of a contender's name as has room beside a plot. */
function shortName(m: Measurement): string {
  return contenderName(m).replace('+cache', '+C').replace('+prefetch', '+P');
}

function laneTimes(measurements: readonly Measurement[]): string {
  const { kind } = measurements[0]!;
  const groups = measurements.map((m): BarGroup => {
    const { lanes, seconds, tokens } = m;
    const per = kind === 'decode' ? tokens : 1;
    const bar = (tone: string, name: string, ms: number) => {
      const text = ms > 0 ? shortNumber(ms / per) : 'no call was timed';
      return { tone, name: `${contenderName(m)}, ${name}`, value: ms / per, text };
    };
    const bars = LANES.filter((lane) => lanes[lane].experts > 0).map((lane) =>
      bar(`lane-${lane}`, LANE_TITLES[lane], lanes[lane].ms),
    );
    return { label: shortName(m), bars: [...bars, bar('lane-whole', 'the whole run', seconds.median * 1000)] };
  });
  const title = workloadTitle(measurements[0]!);
  const axis = kind === 'decode' ? 'milliseconds per token' : 'milliseconds per prompt';
  return panel(title, barChart(`Time by lane: ${title}`, axis, groups));
}

function timelineSection({ timelines }: BenchResults): string {
  const ends = timelines.map(({ together, pieces }) => Math.max(together, ...schedule(pieces).map((p) => p.to)));
  const longest = Math.max(...ends);
  // One scale for all to compare by, unless some would be too small to read on it.
  const shared = ends.every((end) => end > longest / 3);
  const panels = timelines.map((t, i) => panel(t.policy, timelineChart(t, shared ? longest : ends[i]!)));
  return `<h2>A layer's timeline</h2>
<p>The routed experts of one layer in a decode step. The accelerator has no clock that can be read, so for this the lanes ran one after the other and each piece ended when it was waited for. Here each piece lies where it could begin if the lanes ran at once without slowing each other down. The dashed line was measured: the same work with all lanes at once, which share the memory bus.${shared ? '' : ' Each drawing has a scale of its own.'}</p>
${legend({ 'lane-copy': 'copies of streamed experts', 'lane-streamed': 'computing streamed experts', 'lane-resident': 'computing resident experts', 'lane-cpu': 'computing on the CPU' })}
<div class="panels">
${panels.join('\n')}
</div>`;
}

function legend(entries: Readonly<Record<string, string>>): string {
  const items = Object.entries(entries).map(
    ([tone, name]) =>
      `<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="${tone}" width="10" height="10" rx="2"/></svg>${escapeText(name)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

function workloadTitle(m: Measurement): string {
  return m.kind === 'decode' ? `Decode behind ${m.past} tokens` : `Prefill of ${m.tokens} tokens`;
}

function numbers(measurements: readonly Measurement[]): string {
  const head = [
    'workload',
    'policy',
    'runs',
    'tokens/s',
    'slowest',
    'fastest',
    'seconds a run',
    'experts resident',
    'streamed',
    'CPU',
    'expert GB/s',
    'cache hits',
    'prefetches useful',
    'wasted',
  ];
  const rows = measurements.map((m) => {
    const { low, high } = spreadOf(m);
    const experts = LANES.map((lane) => m.lanes[lane].experts.toFixed(0));
    const rate = [m.rate, low, high, m.seconds.median].map(shortNumber);
    const moved = shortNumber(m.expertBytesPerSecond / 1e9);
    const { hits, usefulPrefetches, wastedPrefetches } = m.saved;
    const saved = [hits, usefulPrefetches, wastedPrefetches].map(String);
    return [workloadName(m), contenderName(m), `${m.runs}`, ...rate, ...experts, moved, ...saved];
  });
  const cell = (tag: string) => (value: string, i: number) =>
    `<${tag}${i > 1 ? ' class="number"' : ''}>${escapeText(value)}</${tag}>`;
  const row = (values: string[], tag: string) => `<tr>${values.map(cell(tag)).join('')}</tr>`;
  return `<div class="scroll"><table><thead>${row(head, 'th')}</thead><tbody>
${rows.map((values) => row(values, 'td')).join('\n')}
</tbody></table></div>`;
}

// Residency that follows use by the engine's code, in made-up time: how fast hits come, and what they gain over a placement that
// stays, where a hit saves so much and an exchange takes so much. For routing that was recorded (--trace), or made up.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { TraceReader } from '#fiddler/experts/trace.js';
import { type RandomRouting, randomRouter } from '#fiddler/models/router-random.js';
import { ExchangedModel } from './exchanged-model.js';

const { values: args } = parseArgs({
  options: {
    trace: { type: 'string' },
    share: { type: 'string', default: '0.25' },
    /** What is resident at first: experts by their number, or those that are best in hindsight. */
    best: { type: 'boolean', default: false },
    saved: { type: 'string', default: '0.01,0.02,0.05,0.2,2' },
    exchange: { type: 'string', default: '0.03,0.1,1,7' },
    /** Milliseconds of a token in which every expert is resident. */
    base: { type: 'string', default: '2.5' },
    tokens: { type: 'string', default: '2500' },
  },
});
const [share, base, tokens] = [Number(args.share), Number(args.base), Number(args.tokens)];
const WINDOWS = [100, 100, 200, 600];
const MADE_UP: readonly RandomRouting[] = [
  {},
  { zipf: 1 },
  { locality: 0.8 },
  { locality: 0.9 },
  { zipf: 1, drift: 0.3 },
  { zipf: 0.8, locality: 0.8, drift: 0.1 },
];

interface Routing {
  name: string;
  layers: readonly { count: number; chosen: number }[];
  /** What tokens choose, [tokens][layers][chosen]. */
  tokens: readonly (readonly (readonly number[])[])[];
}

function recorded(path: string): Routing {
  const reader = new TraceReader(path);
  const calls = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .flatMap((line) => reader.read(line) ?? []);
  const { layers } = reader.model!;
  return { name: 'recorded', layers, tokens: calls.filter((call) => call.tokens === 1).map(({ experts }) => experts) };
}

function madeUp(how: RandomRouting): Routing {
  const layers = Array.from({ length: 12 }, () => ({ count: 128, chosen: 8 }));
  const routers = layers.map(({ count, chosen }, l) => randomRouter(count, chosen, 1000 + l, how));
  const [ids, weights] = [new Int32Array(8), new Float32Array(8)];
  const token = () =>
    routers.map((router) => {
      router.choose(weights, ids, weights);
      return [...ids];
    });
  const name = Object.entries(how).flat().join(' ') || 'even';
  return { name, layers, tokens: Array.from({ length: tokens }, token) };
}

/** By layer, the experts that are used most in hindsight. */
function best({ layers, tokens }: Routing): Set<number>[] {
  return layers.map(({ count }, l) => {
    const counts = new Array<number>(count).fill(0);
    for (const token of tokens) for (const e of token[l]!) counts[e]!++;
    const order = [...counts.keys()].sort((a, b) => counts[b]! - counts[a]!);
    return new Set(order.slice(0, Math.round(share * count)));
  });
}

function numbered({ layers }: Routing): Set<number>[] {
  return layers.map(({ count }) => new Set([...Array(Math.round(share * count)).keys()]));
}

function row(routing: Routing, saved: number, exchange: number): string {
  const first = args.best ? best(routing) : numbered(routing);
  const model = new ExchangedModel(routing.layers, first, { saved, exchange }, base);
  const hits: string[] = [];
  let [at, worst, pays] = [0, 0, 0];
  const all = routing.tokens.length;
  for (const calls of [...WINDOWS, all]) {
    const [begin, uses, found] = [at, model.uses, model.hits];
    for (; at < Math.min(begin + calls, all); at++) {
      model.call((layer) => routing.tokens[at]![layer]!);
      worst = Math.max(worst, model.lost);
      if (model.lost > 0) pays = at + 1;
    }
    hits.push((100 * ((model.hits - found) / (model.uses - uses))).toFixed(0));
  }
  const gained = `${(-model.lost).toFixed(0)} (${((-100 * model.lost) / (model.time - model.lost)).toFixed(1)}%)`;
  const cells = [routing.name, saved, exchange, ...hits, model.exchanges, gained, worst.toFixed(1), pays];
  return `| ${cells.join(' | ')} |\n`;
}

const numbers = (list: string) => list.split(',').map(Number);
const heads =
  'routing | saved | exchange | –100 | –200 | –400 | –1,000 | behind | exchanges | gained | most lost | pays from';
process.stdout.write(`| ${heads} |\n|${' --- |'.repeat(12)}\n`);
for (const routing of args.trace === undefined ? MADE_UP.map(madeUp) : [recorded(args.trace)]) {
  for (const saved of numbers(args.saved)) {
    for (const exchange of numbers(args.exchange)) process.stdout.write(row(routing, saved, exchange));
  }
}

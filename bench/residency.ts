// Replays made-up routing by each rule of which experts are resident: misses a token, copies in brackets, means over seeds.
// A trace that was recorded is replayed by `fiddler simulate --trace`.
import { parseArgs } from 'node:util';
import type { CachePolicy, RoutedLayer, Use } from '#fiddler/experts/caches/cache.js';
import { forecast } from '#fiddler/experts/caches/forecast.js';
import { CACHE_POLICIES } from '#fiddler/experts/caches/index.js';
import { lru } from '#fiddler/experts/caches/lru.js';
import { spread } from '#fiddler/experts/placement.js';
import { type Replayed, replay } from '#fiddler/experts/replay.js';
import { type RandomRouting, randomRouter } from '#fiddler/models/router-random.js';

/** What is routed, and how: the routing of a layer at a token. */
interface Case {
  name: string;
  layers: number;
  experts: number;
  chosen: number;
  routing: (layer: number, token: number) => RandomRouting;
}

const { values: args } = parseArgs({
  options: {
    seeds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '2500' },
    share: { type: 'string', default: '0.25' },
    only: { type: 'string', default: '' },
  },
});
const [seeds, tokens, share] = [Number(args.seeds), Number(args.tokens), Number(args.share)];

const QWEN3 = { layers: 12, experts: 128, chosen: 8 };
const ALIKE: readonly RandomRouting[] = [
  {},
  { zipf: 0.5 },
  { zipf: 0.8 },
  { zipf: 1 },
  { zipf: 1.2 },
  { locality: 0.5 },
  { locality: 0.8 },
  { locality: 0.9 },
  { locality: 0.95 },
  { zipf: 0.6, locality: 0.5 },
  { zipf: 1, locality: 0.9 },
  { zipf: 1, drift: 0.05 },
  { zipf: 1, drift: 0.3 },
  { zipf: 0.8, locality: 0.8, drift: 0.1 },
  { zipf: 1, locality: 0.5, drift: 0.3 },
];
const OTHERS = { zipf: 0.8, locality: 0.7, drift: 0.05 };
const CASES: readonly Case[] = [
  ...ALIKE.map((routing) => ({ ...QWEN3, name: nameOf(routing), routing: () => routing })),
  { ...QWEN3, name: 'layers in turn: zipf 1, locality 0.9', routing: (l) => (l % 2 ? { zipf: 1 } : { locality: 0.9 }) },
  { ...QWEN3, name: 'each 500 tokens in turn', routing: (_, t) => ((t / 500) & 1 ? { locality: 0.9 } : { zipf: 1 }) },
  { name: `${nameOf(OTHERS)}, 4 of 128`, layers: 12, experts: 128, chosen: 4, routing: () => OTHERS },
  { name: `${nameOf(OTHERS)}, 10 of 512`, layers: 6, experts: 512, chosen: 10, routing: () => OTHERS },
  { name: `${nameOf(OTHERS)}, 2 of 8`, layers: 32, experts: 8, chosen: 2, routing: () => OTHERS },
];
/** Rules that the chosen one is compared with, one pool of slots for all layers. */
const PEERS = ['lru', 'lfu', 'lfu-ever', 'class-lru', 'lfru'];

function nameOf(routing: RandomRouting): string {
  const parts = Object.entries(routing).map(([name, value]) => `${name} ${value}`);
  return parts.join(', ') || 'even';
}

/** The experts that tokens use, one after the other. */
function trace({ layers, experts, chosen, routing }: Case, seed: number): Use[] {
  const routers = new Map<string, ReturnType<typeof randomRouter>>();
  const routerOf = (layer: number, token: number) => {
    const how = routing(layer, token);
    const key = `${layer} ${nameOf(how)}`;
    const router = routers.get(key) ?? randomRouter(experts, chosen, seed * 1000 + layer, how);
    routers.set(key, router);
    return router;
  };
  const [ids, weights] = [new Int32Array(chosen), new Float32Array(chosen)];
  const uses: Use[] = [];
  for (let t = 0; t < tokens; t++) {
    for (let l = 0; l < layers; l++) {
      routerOf(l, t).choose(weights, ids, weights);
      for (const e of ids) uses.push({ expert: l * experts + e, time: t + l / layers });
    }
  }
  return uses;
}

/** A rule by which each layer has slots of its own. */
function byLayer(policy: CachePolicy, slots: number, uses: readonly Use[], layers: readonly RoutedLayer[]): number {
  const counts = layers.map(({ count }) => count);
  const [each] = counts as [number];
  const of = spread(slots, counts).map(({ length }, l) => {
    const own = uses.filter(({ expert }) => Math.floor(expert / each) === l);
    return replay(policy, length, own, layers).misses;
  });
  return of.reduce((a, b) => a + b);
}

interface Found {
  replayed: Map<string, Replayed>;
  /** Misses where slots are shared by others than they are by the rule. */
  lruByLayer: number;
  forecastOfPool: number;
}

function follow(each: Case, seed: number): Found {
  const { experts: count, chosen } = each;
  const layers = Array.from({ length: each.layers }, () => ({ count, chosen }));
  const slots = Math.round(share * each.layers * each.experts);
  const uses = trace(each, seed);
  const replayed = new Map(CACHE_POLICIES.map((policy) => [policy.name, replay(policy, slots, uses, layers)]));
  const pool = uses.map(({ expert, time }) => ({ expert, time: Math.floor(time + 1e-9) }));
  return {
    replayed,
    lruByLayer: byLayer(lru, slots, uses, layers),
    forecastOfPool: replay(forecast, slots, pool, [{ count: each.layers * count, chosen: each.layers * chosen }])
      .misses,
  };
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
const figure = (n: number) => (n < 9.995 ? n.toFixed(2) : n.toFixed(1));

/** A row of the table: for each rule, and how the chosen one compares with the best of the others, over the seeds. */
function row({ name }: Case, found: readonly Found[]): string {
  const misses = (policy: string) => mean(found.map(({ replayed }) => replayed.get(policy)!.misses)) / tokens;
  const copies = (policy: string) => mean(found.map(({ replayed }) => replayed.get(policy)!.copies)) / tokens;
  const beside = (policy: string) => {
    const best = Math.min(...PEERS.map(misses));
    return `${misses(policy) <= best ? '−' : '+'}${Math.abs(100 * (misses(policy) / best - 1)).toFixed(1)}%`;
  };
  const chosen = (policy: string) => `${figure(misses(policy))} (${figure(copies(policy))}), ${beside(policy)}`;
  const otherwise = (['lruByLayer', 'forecastOfPool'] as const).map((how) =>
    figure(mean(found.map((each) => each[how])) / tokens),
  );
  const peers = ['static', ...PEERS].map((policy) => figure(misses(policy)));
  const cells = [name, ...peers, ...otherwise, chosen('forecast'), chosen('forecast-few'), figure(misses('belady'))];
  return `| ${cells.join(' | ')} |\n`;
}

const heads = [
  'routing',
  'static',
  ...PEERS,
  'lru by layer',
  'forecast of one pool',
  'forecast',
  'forecast-few',
  'belady',
];
process.stdout.write(`| ${heads.join(' | ')} |\n|${' --- |'.repeat(heads.length)}\n`);
for (const each of CASES.filter(({ name }) => name.includes(args.only))) {
  process.stdout.write(
    row(
      each,
      Array.from({ length: seeds }, (_, i) => follow(each, i + 1)),
    ),
  );
}

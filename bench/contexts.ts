// What a token takes behind contexts of several lengths, of a published shape with few layers and experts and random weights,
// and what of that the indexers' reading of all their keys takes.
import { parseArgs } from 'node:util';
import { loadSource } from '#fiddler/engine/load.js';
import { Machine } from '#fiddler/loading/machine.js';
import { syntheticSource } from '#fiddler/loading/synthetic.js';
import type { JsonObject } from '#fiddler/weights/config.js';
import { indexerAlone, indexerHeads } from './indexer-alone.js';
import { median } from './median.js';

const { values: args } = parseArgs({
  options: {
    synthetic: { type: 'string', default: 'qwen3.8-flash-next' },
    layers: { type: 'string', default: '4' },
    /** Keys of config.json that are other than published: by default so few experts that any machine holds them. */
    config: { type: 'string', default: '{"num_experts":16,"n_routed_experts":16,"vocab_size":4096}' },
    past: { type: 'string', default: '4000,16000,64000' },
    rounds: { type: 'string', default: '9' },
  },
});

const published = syntheticSource(args.synthetic, { layers: Number(args.layers) });
const changed = JSON.parse(args.config) as JsonObject;
const text = published.config.text_config as JsonObject | undefined;
const own = { ...(text ?? published.config), ...changed };
const config = text ? { ...published.config, text_config: own } : own;
const lengths = args.past.split(',').map(Number);
const machine = new Machine('none', { threads: 1 });
const session = loadSource(
  { ...published, config },
  { accelerator: 'none', threads: 1, policy: 'static', ctx: Math.max(...lengths) + 64, chunk: 64, profile: false },
);
const heads = indexerHeads(own);

/** Milliseconds of one core: others may use the machine too. */
function timed(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** The indexers of a token behind so many, layer by layer, by what they choose from. */
function indexersBehind(past: number) {
  const found: { rows: number; kept: number }[] = [];
  session.observeIndexers((_, [scores], kept) => found.push({ rows: scores!.length, kept }));
  session.step([5], past);
  session.observeIndexers(undefined);
  return found.map(({ rows, kept }) => indexerAlone(machine.cpu, heads!, rows, kept));
}

const runs = lengths.map((past) => {
  return { past, indexers: indexersBehind(past), token: [] as number[], alone: [] as number[] };
});
for (let round = 0; round <= Number(args.rounds); round++) {
  for (const { past, indexers, token, alone } of runs) {
    const whole = timed(() => session.step([5], past));
    const part = indexers.reduce((sum, compute) => sum + compute(timed), 0);
    if (round === 0) continue; // the first one maps memory in
    token.push(whole);
    alone.push(part);
  }
}
/** The least, which others on the machine add least to, and the median. */
const shown = (all: readonly number[]) => `${Math.min(...all).toFixed(1)} (${median(all).toFixed(1)})`;
console.log(`${args.synthetic}, ${args.layers} layers: ms of one core, the least (median) of ${args.rounds} in turn`);
for (const { past, indexers, token, alone } of runs) {
  const rest = Math.min(...token) - Math.min(...alone);
  const parts = `${indexers.length} indexer${indexers.length === 1 ? '' : 's'} ${shown(alone)}; without ${rest.toFixed(1)}`;
  console.log(`behind ${past}: ${shown(token)}, of which ${parts}`);
}
session.close();

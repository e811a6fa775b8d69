// What a token takes behind contexts of several lengths, of a published shape with few layers and experts and random weights.
import { parseArgs } from 'node:util';
import { loadSource } from '#fiddler/engine/load.js';
import { syntheticSource } from '#fiddler/loading/synthetic.js';
import type { JsonObject } from '#fiddler/weights/config.js';
import { median } from './median.js';

const { values: args } = parseArgs({
  options: {
    synthetic: { type: 'string', default: 'qwen3.8-flash-next' },
    layers: { type: 'string', default: '4' },
    accelerator: { type: 'string', default: 'none' },
    threads: { type: 'string' },
    /** Keys of config.json that are other than published: by default so few experts that any machine holds them. */
    config: { type: 'string', default: '{"num_experts":16,"n_routed_experts":16,"vocab_size":4096}' },
    past: { type: 'string', default: '1500,4000,16000,64000' },
    steps: { type: 'string', default: '9' },
  },
});

const published = syntheticSource(args.synthetic, { layers: Number(args.layers) });
const changed = JSON.parse(args.config) as JsonObject;
const { text_config: text } = published.config;
const config = text
  ? { ...published.config, text_config: { ...(text as JsonObject), ...changed } }
  : { ...published.config, ...changed };
const lengths = args.past.split(',').map(Number);
const session = loadSource(
  { ...published, config },
  {
    accelerator: args.accelerator as 'none',
    threads: args.threads ? Number(args.threads) : undefined,
    policy: 'static',
    ctx: Math.max(...lengths) + 64,
    chunk: 64,
    profile: false,
  },
);
const timed = (past: number): number => {
  const begin = performance.now();
  session.step([5], past);
  return performance.now() - begin;
};
for (const past of lengths) {
  timed(past);
  const all = Array.from({ length: Number(args.steps) }, () => timed(past));
  console.log(`${args.synthetic}, ${args.layers} layers, behind ${past} tokens: ${median(all).toFixed(1)} ms`);
}
session.close();

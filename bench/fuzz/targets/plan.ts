import { join } from 'node:path';
import { FiddlerError } from '#fiddler/errors.js';
import { syntheticTensors } from '#fiddler/loading/synthetic.js';
import { expertLayersOf } from '#fiddler/models/model.js';
import { PUBLISHED } from '#fiddler/models/published/index.js';
import type { Rates } from '#fiddler/pace/rates.js';
import { planModel } from '#fiddler/planning/plan.js';
import type { JsonObject } from '#fiddler/weights/config.js';
import { openSynthetic } from '#fiddler/weights/synthetic.js';
import { type Json, mutateJson, writeJson } from '../mutate.js';
import type { Target } from '../target.js';

interface Input {
  config: Uint8Array;
  accelerator: 'none' | 'host';
}

const LAYERS = 3;
/** Of all layers: a plan of more may take longer than a hang. */
const MOST_EXPERTS = 1200;

/** Shapes of every family as published, from which a model is planned whose weights' headers agree with its config. */
export function target(folder: string): Target<Input> {
  process.env.FIDDLER_CACHE = join(folder, 'cache');
  const configs = Object.values(PUBLISHED).map(shortened);
  return {
    make(chance) {
      const config = writeJson(mutateJson(chance.of(configs), chance, configs), chance);
      return { config, accelerator: chance.of(['none', 'host'] as const) };
    },
    read({ config, accelerator }) {
      const options = { accelerator, threads: 1, profile: false, prompts: [1, 700], past: 100 } as const;
      planModel(sourceOf(configIn(config)), options, () => RATES);
    },
    show: ({ config }) => config,
  };
}

/** With few layers. */
function shortened(config: JsonObject): Json {
  const counts = ['num_hidden_layers', 'num_layers', 'num_decoder_layers'].filter((key) => key in config);
  const { text_config: text } = config;
  const inner = text ? { text_config: shortened(text as JsonObject) } : {};
  const { num_experts: experts } = config;
  const layers = typeof experts === 'number' ? Math.min(LAYERS, Math.floor(MOST_EXPERTS / experts)) : LAYERS;
  return { ...config, ...inner, ...Object.fromEntries(counts.map((key) => [key, layers])) } as Json;
}

function configIn(bytes: Uint8Array): JsonObject {
  let config: unknown;
  try {
    config = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    // said below
  }
  if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config as JsonObject;
  throw new FiddlerError('file', 'config.json holds no object', 'the target config looks at that');
}

function sourceOf(config: JsonObject): Parameters<typeof planModel>[0] {
  return {
    name: 'changed',
    config,
    inMemory: false,
    tokenizer: true,
    open(spec, declarations) {
      const experts = expertLayersOf(spec).reduce((total, { count }) => total + count, 0);
      if (!(experts <= MOST_EXPERTS)) throw new FiddlerError('file', 'so many experts take long', 'none');
      return openSynthetic('changed', syntheticTensors(spec, declarations), 0);
    },
  };
}

const inContext = [1, 512].flatMap((tokens) => [0, 512].map((past) => ({ tokens, past, ms: tokens + past / 100 })));
const samples = [1, 8, 512].map((tokens) => ({ tokens, ms: 0.1 + tokens / 100 }));

/** What pieces would take. */
const RATES: Rates = {
  experts: {
    calls: { resident: 0.1, streamed: 0.1, cpu: 0.1 },
    cpu: samples,
    accelerator: samples,
    copy: 1,
    overlap: true,
    contention: { cpu: 1.1, copy: 1.1 },
    spread: 0.1,
  },
  sparse: inContext,
  dense: inContext,
  begin: inContext,
  between: inContext,
  first: 1,
  head: 1,
  heads: [],
};

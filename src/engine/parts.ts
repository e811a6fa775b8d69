import type { ProfiledModel } from '../experts/profile.js';
import type { Rebalancer } from '../experts/rebalance.js';
import type { TraceWriter } from '../experts/trace.js';
import type { Layout } from '../loading/layout.js';
import { typesLine } from '../loading/types.js';
import { layersOf } from '../models/model.js';
import type { Rates } from '../pace/rates.js';
import type { ModelInfo } from '../report.js';

/** What a session is made of. */
export interface SessionParts extends Omit<Layout, 'checkpoint' | 'parameters' | 'host'> {
  /** What names the model in its profile. */
  profiled: ProfiledModel;
  rebalancer?: Rebalancer;
  /** What the model's pieces take here, where that is known; `disproved` is told where it is faster. */
  rates?: Rates;
  disproved?: () => void;
  /** Stores which experts were chosen. */
  learn?: () => void;
  /** Writes down what the routers choose. */
  trace?: TraceWriter;
  /** Seconds that loading took. */
  seconds: number;
  ram: Pick<ModelInfo['memory'], 'ram' | 'taken' | 'planned'>;
}

/** What a model says of itself, once it is loaded. */
export function infoOf({
  blueprint,
  machine,
  policy,
  experts,
  sizes,
  profile,
  profiled,
  ...parts
}: SessionParts): ModelInfo {
  return {
    name: profiled.model,
    family: blueprint.family,
    accelerator: machine.kind.name,
    policy: policy.name,
    threads: machine.threads,
    kernels: experts.kernels,
    vocabulary: blueprint.spec.vocabulary,
    context: sizes.context,
    sequences: sizes.sequences,
    architecture: blueprint.spec.encoder ? 'encoder-decoder' : 'decoder',
    layers: layersOf(blueprint.spec).length,
    experts: {
      resident: experts.resident.count,
      total: blueprint.expertLayers.reduce((sum, l) => sum + l.count, 0),
      profiled: profile?.tokens ?? 0,
      types: typesLine(blueprint),
    },
    memory: { accelerator: machine.accelerator === machine.cpu ? 0 : machine.accelerator.bytes, ...parts.ram },
    loadSeconds: parts.seconds,
  };
}

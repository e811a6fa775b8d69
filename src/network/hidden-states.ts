import type { Device } from '../devices/device.js';
import { layersOf, type ModelSpec } from '../models/model.js';
import type { Declarations } from '../models/parameters.js';
import { type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import type { LayerGraphParts } from './layer-graph.js';

interface HiddenParts {
  accelerator: Device;
  spec: ModelSpec;
  declarations: Declarations;
  /** Most tokens of a call. */
  calls: number;
}

/**
 * Hidden states on the accelerator, and where experts' sums go that layers merge.
 * @param width of what experts read
 * @param embedded where the embeddings lie, if the accelerator reads them there
 */
export function hiddenStates(
  { accelerator, spec, declarations: { carried }, calls }: HiddenParts,
  width: number,
  embedded?: Tensor,
): Pick<LayerGraphParts, 'hidden' | 'merging'> {
  const context = new TensorContext(4 + carried.length);
  const tensor = (wide: number) => context.tensor(Type.F32, wide, calls);
  for (const each of carried) each.tensor = tensor(each.width);
  const first = embedded ?? tensor(spec.hidden);
  const hidden = spec.streams ? tensor(spec.hidden * spec.streams.count) : first;
  const merging = mergingOf(spec, width, first, tensor);
  if (context.tensors.length > 0) {
    const buffer = accelerator.allocate(context, 'hidden states');
    if (carried.length > 0 && !accelerator.countsOnly) buffer.clear(); // a layer that is timed alone takes what is there
  }
  return { hidden, merging };
}

function mergingOf(
  spec: ModelSpec,
  width: number,
  embedded: Tensor,
  tensor: (wide: number) => Tensor,
): LayerGraphParts['merging'] {
  if (spec.streams) return { sum: embedded, beside: tensor(spec.streams.weights) };
  const merges = layersOf(spec).flatMap(({ merge }) => merge ?? []);
  if (merges.length === 0) return undefined;
  return { sum: tensor(width), beside: merges.some(({ beside }) => beside) ? tensor(spec.hidden) : undefined };
}

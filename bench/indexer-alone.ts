// What an indexer's operations that read all of its keys take, computed alone: scores of every row, and the best of them.
import { type Device, floats } from '#fiddler/devices/device.js';
import { rectifiedScores } from '#fiddler/models/blocks/indexer.js';
import { indexScores } from '#fiddler/models/blocks/token-indexer.js';
import type { Graph } from '#fiddler/native/ggml/graph.js';
import { type Tensor, TensorContext, Type } from '#fiddler/native/ggml/tensor.js';
import type { JsonObject } from '#fiddler/weights/config.js';

interface Heads {
  heads: number;
  size: number;
  /** Each head has a weight of each token's own. */
  weighed: boolean;
}

/** The heads of a config's indexer; undefined where it has none. */
export function indexerHeads(config: JsonObject): Heads | undefined {
  const { index_n_heads, index_head_dim, indexer_n_heads, indexer_head_dim } = config as Record<string, number>;
  if (index_n_heads) return { heads: index_n_heads, size: index_head_dim!, weighed: true };
  if (indexer_n_heads) return { heads: indexer_n_heads, size: indexer_head_dim!, weighed: false };
  return undefined;
}

/**
 * These operations for one token on the CPU, over random keys.
 * @returns computes them. @param timed measures the work that it is given
 */
export function indexerAlone(
  cpu: Device,
  { heads, size, weighed }: Heads,
  rows: number,
  kept: number,
): (timed: (work: () => void) => number) => number {
  const context = new TensorContext(4);
  const keys = context.tensor(Type.F32, size, rows, 1);
  const query = context.tensor(Type.F32, size, heads, 1, 1);
  const weights = context.tensor(Type.F32, heads, 1, 1);
  const mask = context.tensor(Type.F16, rows, 1, 1, 1);
  cpu.allocate(context, 'an indexer').clear();
  for (const tensor of [keys, query, weights]) fill(floats(tensor));
  const build = (g: Graph) => {
    const supports = (operation: Tensor) => cpu.compute.supports(operation);
    const scores = weighed ? indexScores(g, keys, query, weights, mask, { supports }) : rectifiedScores(g, keys, query);
    g.compute(g.topK(scores, kept));
  };
  return (timed) => {
    const graph = cpu.graph(64, build); // anew each time: others move its memory
    const taken = timed(() => cpu.compute.compute(graph));
    graph.free();
    return taken;
  };
}

function fill(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] = Math.random() - 0.5;
}

import { afterEach, describe, expect, it, vi } from 'vitest';
import { acceleratorKind } from '../../src/devices/accelerators.js';
import { loadEngine } from '../../src/engine/load.js';
import { Graph } from '../../src/native/ggml/graph.js';

const tokens = Array.from({ length: 40 }, (_, i) => ((i * 37) % 200) + 5);
const CHUNK = 64;
/** Of the bundled model's tokens. */
const CHOSEN = 2;

/** Most rows of a product by number of which a graph was built while the model was loaded, and a prompt's logits. */
function load(readsBehind: boolean, quantize?: 'q8_0') {
  const kind = acceleratorKind('host');
  const byNumber = { ...kind.byNumber, readsBehind };
  vi.spyOn(kind, 'byNumber', 'get').mockReturnValue(byNumber);
  const products = vi.spyOn(Graph.prototype, 'matmulById');
  const options = { accelerator: 'host', policy: 'stream', expertsResident: 0.5, profile: false } as const;
  const session = loadEngine('models/mini-mixtral', { ...options, quantize, ctx: 128, chunk: CHUNK, threads: 1 });
  try {
    const rows = Math.max(...products.mock.calls.map(([, , ids]) => ids.ne[0] * ids.ne[1]));
    return { rows, logits: session.step(tokens, 0) };
  } finally {
    session.close();
  }
}

afterEach(() => void vi.restoreAllMocks());

describe('where products by number read behind their rows', () => {
  it('one of more rows than any other is computed at loading, and changes nothing', () => {
    const behind = load(true, 'q8_0');
    vi.restoreAllMocks();
    const others = load(false, 'q8_0');
    expect(others.rows).toBeLessThan(CHUNK * CHOSEN + 128);
    expect(behind.rows).toBeGreaterThanOrEqual(CHUNK * CHOSEN + 128);
    expect(behind.logits).toEqual(others.logits);
  });

  it('none is of matrices that are not in blocks', () => {
    expect(load(true).rows).toBeLessThan(CHUNK * CHOSEN + 128);
  });
});

import { expect, it } from 'vitest';
import { processMemory } from '../../src/devices/process-memory.js';
import { loadSource } from '../../src/engine/load.js';
import { modelRam, sumOf } from '../../src/loading/footprint.js';
import { layOut } from '../../src/loading/layout.js';
import { syntheticSource } from '../../src/loading/synthetic.js';

const [SHORT, LONG] = [1000, 100_000];
/** The last of these has attention: rows of keys and values of 2 heads of 256 numbers, in float32. */
const LAYERS = 4;
const ROW_BYTES = 2 * 2 * 256 * 4;

it.each(['none', 'host'] as const)(
  'a long context takes rows of attention layers and nothing else on %s',
  (accelerator) => {
    const whole = syntheticSource('qwen3-next-80b-a3b', { layers: LAYERS, empty: true });
    const source = { ...whole, config: { ...whole.config, num_experts: 16 } };
    const optionsOf = (ctx: number) =>
      ({ accelerator, ctx, chunk: 8, threads: 1, profile: false, policy: 'static' }) as const;
    const planned = (ctx: number) => {
      const layout = layOut(source, optionsOf(ctx), { countsOnly: true });
      const bytes = sumOf(modelRam(layout));
      layout.close();
      return bytes;
    };
    /** Bytes that the process has more once a call at the context's end was computed. */
    const measured = (ctx: number) => {
      const before = processMemory()!.anonymous;
      const session = loadSource(source, optionsOf(ctx));
      try {
        const tokens = [5, 6, 7, 8, 9, 10, 11, 12];
        session.step(tokens, 0);
        const logits = session.step(tokens, ctx - tokens.length);
        expect(logits.every(Number.isFinite)).toBe(true);
        return processMemory()!.anonymous - before;
      } finally {
        session.close();
      }
    };
    measured(SHORT); // libraries and JavaScript
    const grown = measured(LONG) - measured(SHORT);
    const plan = planned(LONG) - planned(SHORT);
    const rows = ROW_BYTES * (LONG - SHORT);
    expect(Math.abs(plan / rows - 1)).toBeLessThan(0.05);
    expect(Math.abs(grown / plan - 1)).toBeLessThan(0.1);
  },
  600_000,
);

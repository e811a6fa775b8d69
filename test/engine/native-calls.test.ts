import { expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { type Api, api } from '../../src/native/ggml/api.js';

const STEPS = 8;

/** Calls of each of ggml's functions while `run` runs. */
function countCalls(run: () => void): Partial<Record<keyof Api, number>> {
  const functions = api();
  const before = { ...functions };
  const counts: Partial<Record<keyof Api, number>> = {};
  for (const name of Object.keys(before) as (keyof Api)[]) {
    functions[name] = (...args) => {
      counts[name] = (counts[name] ?? 0) + 1;
      return before[name](...args);
    };
  }
  run();
  Object.assign(functions, before);
  return counts;
}

it('decodes a layer with one copy from the accelerator, and no graph for what the CPU computed', () => {
  const session = loadEngine('models/mini-mixtral', {
    accelerator: 'host',
    policy: 'static',
    expertsResident: 0.25,
    ctx: 64,
    threads: 1,
  });
  const step = (past: number) => session.step([past + 5], past);
  for (let past = 0; past < 16; past++) step(past); // the graphs that are kept are built
  session.resetStatistics();
  const counts = countCalls(() => {
    for (let i = 0; i < STEPS; i++) step(16 + i);
  });
  const { resident, cpu } = session.lanes;
  expect(cpu.experts).toBeGreaterThan(0);
  const layers = session.info.layers * STEPS;
  // A layer's graph, one an expert, and what the last layer's CPU lane computed; one a step embeds, one gives logits.
  const onCpu = session.info.kernels === 'ggml' ? cpu.experts : 0;
  expect(counts.computeAsync).toBeLessThanOrEqual(layers + resident.experts + onCpu + 2 * STEPS);
  expect(counts.compute).toBe(STEPS);
  expect(counts.tensorGetAsync).toBe(layers + STEPS);
  // A step's tokens, positions and masks; a layer's routing weights.
  expect(counts.tensorSetAsync).toBeLessThanOrEqual(layers + 6 * STEPS);
  // Graphs are built for embedding and logits, and where a layer for the first time has or lacks an expert on the CPU.
  expect(counts.newGraph).toBeLessThanOrEqual(2 * STEPS + session.info.layers + resident.experts);
  session.close();
});

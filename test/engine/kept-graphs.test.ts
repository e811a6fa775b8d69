import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { EVEN } from '../../bench/even-costs.js';
import { Device } from '../../src/devices/device.js';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { policyNamed } from '../../src/experts/policies/index.js';
import type { LoadOptions } from '../../src/options.js';
import { random } from '../native/weights.js';

const SEQUENCES = 4;
const STEPS = 1000;
/** Behind the first; which experts a token is routed to may differ by machine, and so when each graph was built. */
const RUNS = 3;
/** Prompts are as long, so that a step of the KV cache's rows holds an answer. */
const LONGEST = 30;

/** Calls in which up to four sequences decode, as answers begin and are cancelled. @returns rows of the calls, by their number */
function decode(session: Workbench): Map<number, number> {
  const draw = random(7);
  const below = (n: number) => Math.floor(Math.abs(draw() * 1e6)) % n;
  const rows = new Map<number, number>();
  let [calls, running] = [0, 0];
  while (calls < STEPS) {
    if (running < SEQUENCES && below(4) === 0) {
      const end = calls + 1 + below(LONGEST);
      const question = { prompt: [3 + below(200)], options: { temperature: 0, maxTokens: LONGEST, ignoreEnd: true } };
      running++;
      session.begin({ ...question, onToken: () => false, cancelled: () => calls >= end }, (outcome) => {
        running--;
        expect(outcome).not.toHaveProperty('error');
      });
    }
    if (!session.advance()) continue;
    calls++;
    rows.set(running, (rows.get(running) ?? 0) + 1);
  }
  while (session.advance());
  return rows;
}

/** Graphs that are built, on any device. */
const built = vi.spyOn(Device.prototype, 'graph');
afterAll(() => built.mockRestore());

const CASES: [name: string, options: LoadOptions, policy: string][] = [
  ['none', { accelerator: 'none' }, 'static'],
  ['host, all resident', { accelerator: 'host', expertsResident: 1 }, 'static'],
  ['host, half resident, the rest on the CPU', { accelerator: 'host', expertsResident: 0.5 }, 'static'],
  ['host, half resident, the rest divided over lanes', { accelerator: 'host', expertsResident: 0.5 }, 'lanes'],
];

describe.each(CASES)('sequences that decode side by side on %s', (_, options, policy) => {
  let session: Workbench;
  beforeAll(() => {
    const shared = { dtype: 'f32', ctx: 64, sequences: SEQUENCES, threads: 1, profile: false } as const;
    session = loadEngine('test/golden/mixtral', { ...shared, ...options });
    session.use(policyNamed(policy), EVEN);
  });
  afterAll(() => session.close());

  it(`build no graph in ${STEPS} calls, as they come and go, once each was built`, () => {
    session.forgetSequences();
    built.mockClear();
    const rows = decode(session);
    expect([...rows.keys()].sort()).toEqual(expect.arrayContaining([1, 2, 3, 4]));
    expect(built.mock.calls.length).toBeGreaterThan(20); // it counts what is built
    for (let run = 0; run < RUNS && built.mock.calls.length > 0; run++) {
      session.forgetSequences();
      built.mockClear();
      decode(session);
    }
    expect(built.mock.calls.length).toBe(0);
  });
});

import { afterEach, expect, it, vi } from 'vitest';
import { EVEN } from '../../bench/even-costs.js';
import { loadEngine } from '../../src/engine/load.js';
import { Lanes } from '../../src/experts/lanes/lanes.js';
import { policyNamed } from '../../src/experts/policies/index.js';
import { LayerGraphs } from '../../src/network/layer-graph.js';

const LAYERS = 2;
const prompt = Array.from({ length: 40 }, (_, i) => ((i * 37) % 200) + 5);
const shared = { dtype: 'f32', ctx: 64, threads: 1, profile: false } as const;

afterEach(() => void vi.restoreAllMocks());

function load() {
  const session = loadEngine('test/golden/mixtral', { ...shared, accelerator: 'host', expertsResident: 0.5 });
  session.use(policyNamed('lanes'), EVEN);
  return session;
}

it("builds a prompt's graph of each layer once, while the experts before it are computed", () => {
  const session = load();
  const events: string[] = [];
  const { build } = LayerGraphs.prototype;
  vi.spyOn(LayerGraphs.prototype, 'build').mockImplementation(function (this: LayerGraphs, ...args) {
    events.push(`graph ${args[1]}`);
    build.apply(this, args);
  });
  const { run } = Lanes.prototype;
  vi.spyOn(Lanes.prototype, 'run').mockImplementation(function (this: Lanes, ...args) {
    events.push(`experts ${args[0].layer}`);
    const times = run.apply(this, args);
    events.push('computed');
    return times;
  });
  session.step(prompt, 0);
  session.close();
  const next = (l: number) => (l + 1 < LAYERS ? [`graph ${l + 1}`] : []);
  const layers = Array.from({ length: LAYERS }, (_, l) => [`experts ${l}`, ...next(l), 'computed']);
  expect(events).toEqual(['graph 0', ...layers.flat()]);
});

it('a graph that was built for a call that ended is of no harm to the next', () => {
  const session = load();
  const { run } = Lanes.prototype;
  const failing = vi.spyOn(Lanes.prototype, 'run').mockImplementation(function (this: Lanes, ...args) {
    run.apply(this, args);
    throw new Error('behind the first layer');
  });
  expect(() => session.step(prompt, 0)).toThrow('behind the first layer');
  failing.mockRestore();
  let asked = 0;
  const question = { temperature: 0, maxTokens: 2 };
  session.generate(
    prompt,
    question,
    () => false,
    () => ++asked > 2,
  ); // cancelled between two layers
  const generated: number[] = [];
  session.generate(
    prompt,
    question,
    (t) => generated.push(t) < 0,
    () => false,
  );
  session.close();
  const other = load();
  const expected: number[] = [];
  other.generate(
    prompt,
    question,
    (t) => expected.push(t) < 0,
    () => false,
  );
  other.close();
  expect(generated).toEqual(expected);
});

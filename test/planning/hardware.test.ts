import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { syntheticSource } from '../../src/loading/synthetic.js';
import { FAMILIES, familyOf } from '../../src/models/index.js';
import { PUBLISHED } from '../../src/models/published/index.js';
import { hardwareNamed, parseHardware, publishedFor, ratesOn, standInFor } from '../../src/planning/hardware.js';
import { HARDWARE } from '../../src/planning/machines/index.js';
import type { Hardware } from '../../src/planning/machines/machine.js';
import { type Plan, type PlanOptions, planModel } from '../../src/planning/plan.js';
import { fiddlerError } from '../support/errors.js';

const PLAIN = {
  name: 'a workstation',
  gpu: { memoryGiB: 24, bandwidth: 900, arithmetic: 80 },
  cpu: { cores: 16, bandwidth: 60, arithmetic: 1 },
  link: 25,
  ramGiB: 128,
};

function plan(
  hardware: Hardware,
  model: string,
  { sequential = false, layers, ...options }: Partial<PlanOptions> & { sequential?: boolean; layers?: number } = {},
): Plan {
  const source = syntheticSource(model, { layers, empty: true });
  const asked = { prompts: [512, 1024, 2048, 4096], past: 1000, ctx: 8192, ...options };
  return planModel(source, { ...asked, standIn: standInFor(hardware) }, ({ blueprint }) =>
    ratesOn(hardware, blueprint, sequential),
  );
}

describe("the paper's environments", () => {
  const deviations = (name: string) => {
    const hardware = hardwareNamed(name);
    const [figures] = publishedFor(hardware, 'mixtral-8x7b');
    const { expertsResident, sequential } = figures!;
    const asked = { policy: 'fiddler', expertsResident, sequential } as const;
    const { decode, prefill } = plan(hardware, 'mixtral-8x7b', asked).policies[0]!;
    const ttft = prefill.map(({ tokens, ms }) => ms / 1000 / figures!.ttft.fiddler![tokens]! - 1);
    return { decode: 1000 / decode.ms / figures!.decode.fiddler! - 1, ttft };
  };

  it('give the times to the first token that were published, within 30%', () => {
    for (const name of ['quadro-rtx-6000', 'rtx-6000-ada']) {
      for (const deviation of deviations(name).ttft) expect(Math.abs(deviation)).toBeLessThan(0.3);
    }
  });

  it('give the rate of decoding that was published, within 30%, but where its own figures contradict it', () => {
    expect(Math.abs(deviations('rtx-6000-ada').decode)).toBeLessThan(0.3);
    // docs/hardware.md: 48 experts of at least 11.7 ms each cannot be computed in the 425 ms of a published token.
    const decode = deviations('quadro-rtx-6000').decode;
    expect(decode).toBeGreaterThan(-0.5);
    expect(decode).toBeLessThan(0);
  });

  it('would run `lanes` faster than any other policy', () => {
    for (const name of ['quadro-rtx-6000', 'rtx-6000-ada']) {
      const { policies } = plan(hardwareNamed(name), 'mixtral-8x7b', {
        expertsResident: 0.25,
        prompts: [512],
        layers: 8,
      });
      expect(policies[0]!.policy).toBe('lanes');
      expect(policies[0]!.decode.ms).toBeLessThan(0.9 * policies[1]!.decode.ms);
    }
  });
});

describe('a machine of a file', () => {
  const refused = (change: object) =>
    fiddlerError('file', () => parseHardware(JSON.stringify({ ...PLAIN, ...change }), 'm.json'));

  it('is taken with what is left out at its default', () => {
    const found = parseHardware(JSON.stringify(PLAIN), 'm.json');
    expect(found).toMatchObject({ ...PLAIN, together: { cpu: 1, copy: 1 }, published: [] });
  });

  it.each([
    ['link', { link: undefined }],
    ['link', { link: 0 }],
    ['link', { link: 1e9 }],
    ['link', { link: '25 GB/s' }],
    ['cpu.bandwidth', { cpu: { ...PLAIN.cpu, bandwidth: -60 } }],
    ['cpu.cores', { cpu: { ...PLAIN.cpu, cores: 1.5 } }],
    ['gpu.memoryGiB', { gpu: { bandwidth: 900, arithmetic: 80 } }],
    ['ramGiB', { ramGiB: null }],
    ['together.copy', { together: { cpu: 1, copy: 0.5 } }],
    ['measured.cpu', { measured: { expertBytes: 1e6, cpu: [], gpu: [[1, 1]], copy: 1 } }],
    ['bandwith', { bandwith: 7 }],
  ])('is refused by the name of what is wrong: %s', (key, change) => {
    const message = refused(change);
    expect(message).toContain('m.json');
    expect(message).toContain(key);
  });

  it('is refused where it is no JSON or not there', () => {
    expect(fiddlerError('file', () => parseHardware('{', 'm.json'))).toContain('m.json is not JSON');
    const message = fiddlerError('usage', () => hardwareNamed('no-such-machine'));
    for (const name of Object.keys(HARDWARE)) expect(message).toContain(name);
  });

  it('is planned no slower with a faster link, memory or processor', () => {
    const faster = fc.double({ min: 1, max: 4, noNaN: true });
    fc.assert(
      fc.property(faster, faster, faster, (link, memory, arithmetic) => {
        const hardware = parseHardware(JSON.stringify(PLAIN), '');
        const { cpu } = hardware;
        const better = {
          ...hardware,
          link: hardware.link * link,
          cpu: { ...cpu, bandwidth: cpu.bandwidth * memory, arithmetic: cpu.arithmetic * arithmetic },
        };
        const fastest = (of: Hardware) =>
          plan(of, 'deepseek-v2-lite', { policy: 'lanes', prompts: [512], layers: 8, expertsResident: 0.5 })
            .policies[0]!;
        const [slow, fast] = [fastest(hardware), fastest(better)];
        expect(fast.decode.ms).toBeLessThanOrEqual(slow.decode.ms * 1.001);
        expect(fast.prefill[0]!.ms).toBeLessThanOrEqual(slow.prefill[0]!.ms * 1.001);
      }),
      { numRuns: 3 },
    );
  });
});

describe('a plan', () => {
  const hardware = parseHardware(JSON.stringify(PLAIN), '');
  const budgets = [6, 9, 13, 20].map((gib) => gib * 2 ** 30);

  it('stays within its budget, and is no slower with a larger one', () => {
    for (const model of ['mixtral-8x7b', 'gpt-oss-20b']) {
      let before = Number.POSITIVE_INFINITY;
      for (const gpuMemory of budgets) {
        const { memory, policies } = plan(hardware, model, {
          gpuMemory,
          policy: 'lanes',
          prompts: [512],
          ctx: 2048,
        });
        expect(memory.accelerator.total).toBeLessThanOrEqual(gpuMemory);
        const { ms } = policies[0]!.decode;
        expect(ms).toBeLessThanOrEqual(before * 1.01);
        before = ms;
      }
    }
  });

  it('names a budget that would do, where what must be on the GPU does not fit', () => {
    const asked = { policy: 'lanes', prompts: [512] } as const;
    const tight = plan(hardware, 'mixtral-8x7b', { ...asked, gpuMemory: 2 ** 30 });
    expect(tight.memory.accelerator.total).toBeGreaterThan(2 ** 30);
    expect(tight.shortages).toHaveLength(1);
    const needed = Number(/--gpu-memory (\d+)MiB/.exec(tight.shortages[0]!)![1]) * 2 ** 20;
    const enough = plan(hardware, 'mixtral-8x7b', { ...asked, gpuMemory: needed });
    expect(enough.shortages).toEqual([]);
    expect(enough.memory.accelerator.total).toBeLessThanOrEqual(needed);
  });

  const one = FAMILIES.map((family) => Object.keys(PUBLISHED).find((name) => familyOf(PUBLISHED[name]!) === family)!);
  it.each(one)('is made of a published shape of every family: %s', (model) => {
    const server = parseHardware(JSON.stringify({ ...PLAIN, ramGiB: 4096 }), '');
    const { policies, experts, memory } = plan(server, model, {
      gpuMemory: 40 * 2 ** 30,
      ctx: 2048,
      prompts: [64],
      policy: 'lanes',
      layers: 8,
    });
    expect(memory.ram.total).toBeLessThan(4096 * 2 ** 30);
    expect(experts.resident).toBeGreaterThan(0);
    for (const { decode, prefill } of policies) {
      expect(decode.ms).toBeGreaterThan(0);
      expect(prefill[0]!.ms).toBeGreaterThanOrEqual(decode.ms);
    }
  });
});

describe('a model with tables of which tokens read rows', () => {
  it('is planned with them in the files, beside what is taken of RAM and of the accelerator', () => {
    const { memory } = plan(hardwareNamed('h200'), 'qwen3.8-flash-next', { policy: 'static', layers: 4 });
    expect(memory.tables).toBe(320_001_536 * 160 * 2);
    expect(memory.ram.total).toBeLessThan(30e9);
    expect(memory.accelerator.total).toBeLessThan(60e9);
  });
});

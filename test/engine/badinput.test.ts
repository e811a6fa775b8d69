import { cpSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { FiddlerError } from '../../src/errors.js';
import { FAMILIES } from '../../src/models/index.js';
import type { LoadOptions } from '../../src/options.js';
import type { Report } from '../../src/report.js';
import { runScript } from '../support/command.js';
import { temporaryFolder } from '../support/folder.js';
import { changedModel, changeTensor, SMALL_MODEL, upcast } from '../support/model.js';
import { parseBytes } from '../support/sizes.js';
import { writeModel } from '../support/synthetic.js';

const EXPERT = 'model.layers.1.block_sparse_moe.experts.3.w2.weight';

/** A number that is none, in bfloat16. */
const nan = (data: Uint8Array) => {
  const numbers = new Uint16Array(data.slice().buffer).fill(0x7fc0);
  return new Uint8Array(numbers.buffer);
};

interface Case {
  what: string;
  model: () => string;
  ctx?: number;
  /** What the line must say. */
  says: readonly (string | RegExp)[];
}

const cases: Case[] = [
  {
    what: 'a shard that was cut',
    model: () => changedModel({ file: (bytes) => bytes.subarray(0, bytes.length - 100) }),
    says: ['model.safetensors', 'download'],
  },
  {
    what: 'a header longer than its file',
    model: () =>
      changedModel({
        file: (bytes) => {
          bytes.writeBigUInt64LE(BigInt(bytes.length), 0);
          return bytes;
        },
      }),
    says: ['model.safetensors'],
  },
  {
    what: 'a missing expert',
    model: () => changedModel({ tensors: changeTensor(EXPERT, () => undefined) }),
    says: [EXPERT, 'download'],
  },
  {
    what: 'a missing norm',
    model: () => changedModel({ tensors: changeTensor('model.norm.weight', () => undefined) }),
    says: ['model.norm.weight'],
  },
  {
    what: 'an expert whose shape is not the config’s',
    model: () => changedModel({ tensors: changeTensor(EXPERT, (t) => ({ ...t, shape: [32, 128] })) }),
    says: [EXPERT, '[32,128]', '[64,64]', 'config.json'],
  },
  {
    what: 'a config with other sizes than the weights',
    model: () => changedModel({ config: { hidden_size: 128 } }),
    says: ['shape', 'config.json implies', '128'],
  },
  {
    what: 'a config with fewer experts than a token takes',
    model: () => changedModel({ config: { num_experts_per_tok: 9 } }),
    says: ['chosen for a token is 9', 'only 8'],
  },
  {
    what: 'heads that do not divide the hidden size',
    model: () => changedModel({ config: { num_attention_heads: 7 } }),
    says: ['num_attention_heads'],
  },
  {
    what: 'key and value heads that do not divide the heads',
    model: () => changedModel({ config: { num_key_value_heads: 3 } }),
    says: ['num_key_value_heads'],
  },
  {
    what: 'an architecture that is not supported',
    model: () => changedModel({ config: { model_type: 'llama' } }),
    says: ['llama', ...FAMILIES.map((family) => family.modelType)],
  },
  {
    what: 'no layer with experts',
    model: () => {
      const dir = temporaryFolder();
      cpSync('test/golden/qwen3_moe', dir, { recursive: true });
      const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
      const mlp_only_layers = [...Array(config.num_hidden_layers).keys()];
      writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, mlp_only_layers }));
      return dir;
    },
    says: ['no layer', 'routed experts'],
  },
  {
    what: 'a scaling of positions that is not supported',
    model: () => changedModel({ config: { rope_parameters: undefined, rope_scaling: { type: 'dynamic', factor: 2 } } }),
    says: ['rope_scaling'],
  },
  {
    what: 'an activation that is not supported',
    model: () => changedModel({ config: { hidden_act: 'relu6' } }),
    says: ['hidden_act'],
  },
  {
    what: 'experts of different types',
    model: () => changedModel({ tensors: changeTensor(EXPERT, upcast) }),
    says: ['BF16', 'F32', '--dtype f32'],
  },
  {
    what: 'weights of a type that is not computed with',
    model: () => changedModel({ tensors: changeTensor(EXPERT, (t) => ({ ...t, dtype: 'I16' })) }),
    says: [EXPERT, 'I16', 'BF16'],
  },
  {
    what: 'weights that are not numbers',
    model: () => changedModel({ tensors: changeTensor('model.norm.weight', (t) => ({ ...t, data: nan(t.data) })) }),
    says: ['not numbers', '--dtype f32'],
  },
  {
    what: 'a router whose weights are not numbers',
    model: () =>
      changedModel({
        tensors: changeTensor('model.layers.0.block_sparse_moe.gate.weight', (t) => ({ ...t, data: nan(t.data) })),
      }),
    says: ['not numbers', '--dtype f32'],
  },
  {
    what: 'a prompt longer than the context',
    model: () => SMALL_MODEL,
    ctx: 2,
    says: ['3 tokens', 'context holds 2', '--ctx'],
  },
];

/** Runs the command with three tokens. */
function fiddler(model: string, args: readonly string[]) {
  return runScript('dist/cli/main.js', ['run', '--tokens', '5,6,7', '--max-tokens', '4', '--model', model, ...args]);
}

/** Loads a model in this process and computes three tokens. */
function computed(model: string, options: LoadOptions): Report {
  const session = loadEngine(model, { threads: 1, profile: false, ...options });
  const never = () => false;
  try {
    return session.generate([5, 6, 7], { maxTokens: 4 }, never, never);
  } finally {
    session.close();
  }
}

/** The line of what is thrown there. */
function refusal(model: string, options: LoadOptions): string {
  try {
    computed(model, options);
  } catch (error) {
    expect(error).toBeInstanceOf(FiddlerError);
    const { message } = error as FiddlerError;
    expect(message).not.toContain('\n');
    return message;
  }
  throw new Error('it was taken');
}

async function expectRefusal(model: string, args: readonly string[]): Promise<string> {
  const outcome = await fiddler(model, args);
  expect(outcome).toMatchObject({ code: 1, signal: null, stdout: '' });
  expect(outcome.stderr).toMatch(/^fiddler: [^\n]*\n$/);
  expect(outcome.stderr).not.toContain('internal error');
  return outcome.stderr;
}

describe('one line says what is wrong', () => {
  it.each(cases)('with $what', ({ model, ctx, says }) => {
    const dir = model();
    for (const accelerator of ['host', 'none'] as const) {
      const line = refusal(dir, { accelerator, ctx });
      for (const text of says) expect(line).toMatch(text);
    }
  });

  it.each(cases.filter((_, i) => i % 6 === 5))('of the command too, with $what', async ({ model, ctx, says }) => {
    const context = ctx === undefined ? [] : ['--ctx', `${ctx}`];
    const line = await expectRefusal(model(), ['--accelerator', 'host', ...context]);
    for (const text of says) expect(line).toMatch(text);
  });
});

describe('a model made from the small one and not changed', () => {
  it('runs', async () => {
    const { code, stderr } = await fiddler(changedModel({}), ['--accelerator', 'host']);
    expect(code, stderr).toBe(0);
  });

  it('runs with --dtype f32 where its types are mixed', async () => {
    const dir = changedModel({ tensors: changeTensor(EXPERT, upcast) });
    const { code, stderr } = await fiddler(dir, ['--accelerator', 'host', '--dtype', 'f32']);
    expect(code, stderr).toBe(0);
  });
});

describe('a budget too small for what must be on the accelerator', () => {
  const suffices = (line: string) => line.match(/--gpu-memory (\d+MiB)/)![1]!;

  it.each<{ model: string; options: LoadOptions }>([
    { model: SMALL_MODEL, options: {} },
    { model: SMALL_MODEL, options: { policy: 'static' } },
    { model: SMALL_MODEL, options: { ctx: 300 } },
    { model: 'models/mini-mixtral', options: { ctx: 2048 } },
    { model: 'models/mini-mixtral', options: { policy: 'stream' } },
  ])('is refused with one that suffices: $model $options', ({ model, options }) => {
    const host = { accelerator: 'host', ...options } as const;
    const needed = parseBytes(suffices(refusal(model, { ...host, gpuMemory: 2 ** 20 })));
    expect(computed(model, { ...host, gpuMemory: needed }).memory.accelerator).toBeLessThanOrEqual(needed);
  });

  it('is so by the command, in float32 too', async () => {
    const host = ['--accelerator', 'host', '--policy', 'stream', '--dtype', 'f32'];
    const needed = suffices(await expectRefusal('models/mini-mixtral', [...host, '--gpu-memory', '1MiB']));
    const enough = await fiddler('models/mini-mixtral', [...host, '--gpu-memory', needed, '--json']);
    expect(enough.code, enough.stderr).toBe(0);
    const { report } = JSON.parse(enough.stdout.trim().split('\n').at(-1)!);
    expect(report.memory.accelerator).toBeLessThanOrEqual(parseBytes(needed));
  });

  it('bounds the share of experts asked for too, with a warning', async () => {
    const args = ['--accelerator', 'host', '--gpu-memory', '8MiB', '--experts-resident', '100%', '--ctx', '64'];
    const { code, stdout, stderr } = await fiddler('models/mini-mixtral', [...args, '--json']);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^fiddler: warning: [^\n]*\n$/);
    const { report } = JSON.parse(stdout.trim().split('\n').at(-1)!);
    expect(report.memory.accelerator).toBeLessThanOrEqual(8 * 2 ** 20);
    expect(report.experts.resident).toBeGreaterThan(0);
    expect(report.experts.resident).toBeLessThan(48);
  });
});

describe('a model larger than RAM', () => {
  it.each(['none', 'host'])('is refused before anything of it is loaded, on %s', async (accelerator) => {
    const dir = temporaryFolder();
    const expert = 3 * 2 * 8192 * 32_768;
    const layers = Math.ceil(totalmem() / expert / 8) + 1;
    writeModel(dir, { layers, hidden: 8192, width: 32_768, experts: 8, vocabulary: 512 }, 'none');
    const file = join(dir, 'model.safetensors');
    expect(statSync(file).size).toBeGreaterThan(totalmem());
    const begin = performance.now();
    const line = await expectRefusal(dir, ['--accelerator', accelerator]);
    expect(line).toMatch(/takes .* of RAM/);
    expect(performance.now() - begin).toBeLessThan(10_000);
    rmSync(file);
  });
});

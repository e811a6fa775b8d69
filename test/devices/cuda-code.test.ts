import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { acceleratorRows } from '../../src/cli/doctor.js';
import { acceleratorKind } from '../../src/devices/accelerators.js';
import { chooseAccelerator } from '../../src/devices/choice.js';
import { lackOfCode } from '../../src/devices/cuda-code.js';
import { probeInChild } from '../../src/devices/probe.js';
import { computeCapabilities } from '../../src/native/cuda-driver.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';

const cuda = acceleratorKind('cuda');
const ERROR = 'CUDA error: the provided PTX was compiled with an unsupported toolchain.';

afterEach(() => vi.unstubAllEnvs());

/** What is found out about a GPU that is not here. */
function madeUpGpu(capability: string, works: boolean) {
  const device = {
    name: 'CUDA0',
    description: 'NVIDIA X',
    kind: 'gpu',
    software: false,
    capability,
    free: 1e9,
    total: 2e9,
  };
  const end = works ? "console.log('{}')" : `console.error('${ERROR}'); process.exit(1)`;
  const script = join(temporaryFolder(), 'child.cjs');
  writeFileSync(script, `console.log('${JSON.stringify({ devices: [device] })}'); ${end};`);
  return probeInChild(cuda, { script });
}

/** The lines of `fiddler doctor` for it. */
function examined(capability: string, works: boolean): string {
  const { devices } = madeUpGpu(capability, works);
  const rows = acceleratorRows({ name: 'cuda', summary: cuda.summary, works, devices });
  expect(rows).toHaveLength(1);
  return rows[0]![1];
}

describe('the packaged CUDA library', () => {
  it.each(['8.6', '8.9', '12.0', '12.1'])('has code for %s', (capability) => {
    expect(lackOfCode(capability, true)).toBeUndefined();
    expect(examined(capability, true)).toBe('works; CUDA0, NVIDIA X, 1.0 GB free of 2.0 GB');
    expect(examined(capability, false)).toBe(`does not work: ${ERROR}; CUDA0, NVIDIA X, 1.0 GB free of 2.0 GB`);
  });

  it('has none for other GPUs, which doctor says with what to do', () => {
    const hopper = examined('9.0', false);
    expect(hopper).toContain(`does not work: ${ERROR}; CUDA0, NVIDIA X,`);
    expect(hopper).toMatch(/code for sm_86, sm_89, sm_120, sm_121 and none for sm_90: update the driver .* CUDA 13\.1/);
    expect(hopper).toMatch(/FIDDLER_GGML_CUDA, or use --accelerator vulkan$/);
    const pascal = examined('6.1', false);
    expect(pascal).toMatch(/none for sm_61: name another library by FIDDLER_GGML_CUDA, or use --accelerator vulkan$/);
    expect(examined('9.0', true)).toMatch(/^works; .* none for sm_90: the driver compiles its PTX$/);
  });

  it('is told of where such a GPU is asked for', () => {
    const choose = () => chooseAccelerator('cuda', () => madeUpGpu('8.0', false));
    expect(fiddlerError('device', choose)).toContain('none for sm_80');
  });

  it('is no matter where another one is named', () => {
    vi.stubEnv('FIDDLER_GGML_CUDA', '/a/library.so');
    expect(lackOfCode('9.0', true)).toBeUndefined();
  });
});

describe('compute capabilities', () => {
  it('are none without a driver', () => expect(computeCapabilities('libthere-is-none.so')).toEqual([]));
});

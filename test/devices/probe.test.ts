import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { acceleratorKind } from '../../src/devices/accelerators.js';
import { cacheFolder } from '../../src/devices/cache.js';
import { chooseAccelerator } from '../../src/devices/choice.js';
import { complaint, probeAccelerator, probeInChild } from '../../src/devices/probe.js';
import { recall, remember } from '../../src/devices/probe-cache.js';
import type { Probe } from '../../src/devices/probe-result.js';
import { findLibraries } from '../../src/native/ggml/libraries.js';
import { temporaryFolder } from '../support/folder.js';

const cuda = acceleratorKind('cuda');
const vulkan = acceleratorKind('vulkan');
const DEVICE = { name: 'A0', description: 'a GPU', kind: 'gpu', software: false, free: 1, total: 2 };
const DAY = 24 * 3600 * 1000;

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

/** A script in place of the probe's own. */
function script(body: string): string {
  const file = join(folder, 'child.cjs');
  writeFileSync(file, body);
  return file;
}

const list = (...devices: object[]) => `console.log('${JSON.stringify({ devices })}');`;
const abort = 'process.kill(process.pid, "SIGABRT"); setInterval(() => {}, 1000);';

describe('probe in a child process', () => {
  it('gives the devices that computed what they should', () => {
    const child = script(
      `${list(DEVICE, { ...DEVICE, name: 'A1' })} console.log('{}'); console.log('{"fault":"wrong"}');`,
    );
    const probe = probeInChild(cuda, { script: child });
    expect(probe).toEqual({ devices: [DEVICE, { ...DEVICE, name: 'A1', fault: 'wrong' }], absent: false });
  });

  it('makes one line of an abort, and keeps what worked before it', () => {
    const says =
      'console.error("loading\\nCUDA error: the provided PTX was compiled with\\tan unsupported toolchain.\\nmore");';
    const child = script(`${says}${list(DEVICE, { ...DEVICE, name: 'A1' })} console.log('{}'); ${abort}`);
    const { devices } = probeInChild(cuda, { script: child });
    expect(devices.map((d) => d.fault)).toEqual([
      undefined,
      'CUDA error: the provided PTX was compiled with an unsupported toolchain.',
    ]);
  });

  it('names the signal of a silent death', () => {
    expect(probeInChild(cuda, { script: script(abort) })).toEqual({
      devices: [],
      fault: 'its check ended by SIGABRT',
      absent: false,
    });
  });

  it('does not wait for ever', () => {
    const child = script(`${list(DEVICE)} Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`);
    const { devices } = probeInChild(cuda, { script: child, timeout: 3000 });
    expect(devices[0]!.fault).toBe('it did not answer within 3 s');
  });

  it('tells nothing there from something wrong', () => {
    expect(probeInChild(cuda, { script: script(list()) }).absent).toBe(true);
    const child = script(`console.error('ggml_cuda_init: failed to initialize CUDA: driver too old'); ${list()}`);
    const fault = 'ggml_cuda_init: failed to initialize CUDA: driver too old';
    expect(probeInChild(cuda, { script: child })).toEqual({ devices: [], fault, absent: false });
  });

  it('survives a library that does not load', () => {
    const library = join(folder, 'libbroken.so');
    writeFileSync(library, 'this is no library');
    vi.stubEnv('FIDDLER_GGML_CUDA', library);
    const { devices, fault, absent } = probeInChild(cuda);
    expect({ devices, absent }).toEqual({ devices: [], absent: false });
    expect(fault).toContain(`failed to load ${library}`);
    expect(fault).not.toContain('\n');
  });

  it('gives the assertion at which ggml ends the process', () => {
    const load = (name: string) =>
      `import(${JSON.stringify(pathToFileURL(createRequire(import.meta.url).resolve(`#fiddler/native/ggml/${name}.js`)))})`;
    const child =
      script(`Promise.all([${load('graph')}, ${load('tensor')}]).then(([{ Graph }, { TensorContext, Type }]) => {
      const context = new TensorContext(2);
      new Graph(8).matmul(context.tensor(Type.F32, 4, 4), context.tensor(Type.F32, 5, 5));
    });`);
    expect(probeInChild(cuda, { script: child }).fault).toMatch(/GGML_ASSERT\(.*\) failed/);
  });

  it('shortens what it was told', () => {
    expect(complaint(`fine\nerror ${'x'.repeat(1000)}`)!.length).toBeLessThanOrEqual(200);
    expect(complaint('all is well')).toBeUndefined();
  });
});

describe('remembered probes', () => {
  const probe: Probe = { devices: [{ ...DEVICE, kind: 'gpu' }], absent: false };
  const faulty: Probe = { devices: [], fault: 'busy', absent: false };
  const entry = () => join(folder, 'probes', readdirSync(join(folder, 'probes'))[0]!);

  it('gives back what was remembered for this key only', () => {
    remember('a', probe, folder);
    expect(recall('a', folder)).toEqual(probe);
    expect(recall('b', folder)).toBeUndefined();
    expect(readdirSync(join(folder, 'probes'))).toHaveLength(1);
  });

  it.each(['', '{', '[]', '{"key":"a","time":0,"probe":{"devices":[{"name":1}],"absent":false}}'])(
    'ignores a broken entry: %s',
    (content) => {
      remember('a', probe, folder);
      writeFileSync(entry(), content);
      expect(recall('a', folder)).toBeUndefined();
    },
  );

  it('ignores an entry of another key in its place', () => {
    remember('a', probe, folder);
    writeFileSync(entry(), readFileSync(entry(), 'utf8').replace('"key":"a"', '"key":"b"'));
    expect(recall('a', folder)).toBeUndefined();
  });

  it('does without a folder that cannot be written', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    remember('a', probe, file);
    expect(recall('a', file)).toBeUndefined();
  });

  it('tries what failed again after a day', () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    remember('good', probe, folder);
    remember('bad', faulty, folder);
    vi.setSystemTime(Date.now() + DAY - 1);
    expect(recall('bad', folder)).toEqual(faulty);
    vi.setSystemTime(Date.now() + 1);
    expect(recall('bad', folder)).toBeUndefined();
    expect(recall('good', folder)).toEqual(probe);
  });

  it('lies where the platform keeps such things', () => {
    expect(cacheFolder('linux', { XDG_CACHE_HOME: '/x' })).toBe(join('/x', 'fiddler'));
    expect(cacheFolder('linux', {})).toMatch(/\.cache.fiddler$/);
    expect(cacheFolder('darwin', { XDG_CACHE_HOME: '/x' })).toMatch(/Library.Caches.fiddler$/);
    expect(cacheFolder('win32', { LOCALAPPDATA: '/l' })).toBe(join('/l', 'fiddler'));
  });

  it.skipIf(!findLibraries().gpu.vulkan)('starts one child for the same machine, another for a changed one', () => {
    const runs = join(folder, 'runs');
    const child = script(`require('fs').appendFileSync('${runs}', '.'); ${list(DEVICE)} console.log('{}');`);
    const driver = join(folder, 'driver.json');
    writeFileSync(driver, '{}');
    vi.stubEnv('VK_DRIVER_FILES', driver);
    vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '0');
    const probed = (refresh?: boolean) => {
      const found = probeAccelerator(vulkan, { script: child, folder, refresh });
      expect(found).toEqual({ devices: [DEVICE], absent: false });
      return readFileSync(runs, 'utf8').length;
    };
    expect([probed(), probed(), probed(true), probed()]).toEqual([1, 1, 2, 2]);
    vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '1');
    expect([probed(), probed()]).toEqual([3, 3]);
    writeFileSync(driver, '{ }'); // another driver
    expect(probed()).toBe(4);
    for (const file of readdirSync(join(folder, 'probes'))) writeFileSync(join(folder, 'probes', file), 'broken');
    expect([probed(), probed()]).toEqual([5, 5]);
  });
});

const MESA = ['/usr/share/vulkan/icd.d/lvp_icd.x86_64.json', '/usr/share/vulkan/icd.d/lvp_icd.json'];

describe.skipIf(!findLibraries().gpu.vulkan || !MESA.some(existsSync))('software Vulkan', () => {
  it('works by name with a warning, and is nothing for auto', () => {
    vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '0');
    vi.stubEnv('VK_DRIVER_FILES', MESA.find(existsSync)!);
    const probe = probeAccelerator(vulkan, { folder });
    expect(probe.devices).toEqual([expect.objectContaining({ name: 'Vulkan0', software: true, kind: 'gpu' })]);
    expect(probe.devices[0]!.fault).toBeUndefined();
    const warnings: string[] = [];
    const none: Probe = { devices: [], absent: true };
    const choose = (name: string) =>
      chooseAccelerator(
        name,
        (k) => (k === vulkan ? probe : none),
        (line) => warnings.push(line),
      ).kind.name;
    expect(choose('auto')).toBe('none');
    expect(warnings).toEqual([]);
    expect(choose('vulkan')).toBe('vulkan');
    expect(warnings).toEqual([expect.stringContaining('software device')]);
  });

  it('has no such device where nothing names it', () => {
    vi.stubEnv('GGML_VK_VISIBLE_DEVICES', undefined);
    vi.stubEnv('VK_DRIVER_FILES', MESA.find(existsSync)!);
    expect(probeInChild(vulkan)).toMatchObject({ devices: [], absent: true });
  });
});

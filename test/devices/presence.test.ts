import { describe, expect, it } from 'vitest';
import { acceleratorKind } from '../../src/devices/accelerators.js';
import { type Surroundings, vulkanDrivers, whyAbsent } from '../../src/devices/probe-presence.js';

const cuda = acceleratorKind('cuda');
const vulkan = acceleratorKind('vulkan');
const DRIVER = '/usr/share/vulkan/icd.d/lvp.json';

/** A machine with just these files. */
function machine(files: string[], env: NodeJS.ProcessEnv = {}, platform: NodeJS.Platform = 'linux'): Surroundings {
  return {
    platform,
    env: { HOME: '/home/user', ...env },
    exists: (path) => files.includes(path),
    list: (folder) => files.filter((f) => f.startsWith(`${folder}/`)).map((f) => f.slice(folder.length + 1)),
  };
}

describe('GPUs that are certainly not there', () => {
  it('has no CUDA without the driver', () => {
    expect(whyAbsent(cuda, machine([]))).toContain('/dev/nvidiactl');
    expect(whyAbsent(cuda, machine(['/dev/nvidiactl']))).toBeUndefined();
    expect(whyAbsent(cuda, machine(['/dev/dxg']))).toBeUndefined();
  });

  it('has no Vulkan without a driver, or without a GPU', () => {
    expect(whyAbsent(vulkan, machine(['/dev/dri']))).toBe('no Vulkan driver is installed');
    expect(whyAbsent(vulkan, machine([DRIVER]))).toMatch(/^no GPU/);
    expect(whyAbsent(vulkan, machine([DRIVER, '/dev/dri']))).toBeUndefined();
    expect(whyAbsent(vulkan, machine([DRIVER, '/dev/nvidiactl']))).toBeUndefined();
  });

  it('may have a software device where one is named', () => {
    expect(whyAbsent(vulkan, machine([DRIVER], { GGML_VK_VISIBLE_DEVICES: '0' }))).toBeUndefined();
    expect(whyAbsent(vulkan, machine([], { GGML_VK_VISIBLE_DEVICES: '0' }))).toBe('no Vulkan driver is installed');
  });

  it('is certain on Linux only', () => {
    for (const kind of [cuda, vulkan]) expect(whyAbsent(kind, machine([], {}, 'win32'))).toBeUndefined();
  });

  it('finds drivers where the Vulkan loader does', () => {
    const own = '/home/user/.local/share/vulkan/icd.d/own.json';
    const other = '/opt/driver.json';
    const files = [DRIVER, own, other, '/usr/share/vulkan/icd.d/readme.txt'];
    expect(vulkanDrivers(machine(files))).toEqual([own, DRIVER]);
    expect(vulkanDrivers(machine(files, { VK_ADD_DRIVER_FILES: other }))).toEqual([other, own, DRIVER]);
    expect(vulkanDrivers(machine(files, { VK_ICD_FILENAMES: `${other}:/opt/none.json` }))).toEqual([other]);
    expect(vulkanDrivers(machine(files, { VK_DRIVER_FILES: '/usr/share/vulkan/icd.d' }))).toEqual([DRIVER]);
    expect(vulkanDrivers(machine(files, { XDG_DATA_DIRS: '/nowhere' }))).toEqual([own]);
  });
});

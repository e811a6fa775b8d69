import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { homeFolder } from '../native/os/home.js';
import type { AcceleratorKind } from './accelerators.js';

/** What decides, beside the library, whether a kind of GPU is there; replaced in tests. */
export interface Surroundings {
  platform: NodeJS.Platform;
  env: NodeJS.ProcessEnv;
  exists(path: string): boolean;
  /** Names in a folder; none where it cannot be read. */
  list(folder: string): string[];
}

export const SURROUNDINGS: Surroundings = {
  platform: process.platform,
  env: process.env,
  exists: existsSync,
  list: (folder) => {
    try {
      return readdirSync(folder).sort();
    } catch {
      return [];
    }
  },
};

/** /dev/dxg is the GPU of a Linux under Windows (WSL 2). */
const NVIDIA_NODES = ['/dev/nvidiactl', '/dev/dxg'];
const GPU_NODES = [...NVIDIA_NODES, '/dev/dri'];

/** Why this machine certainly has no such GPU, in one line; undefined where only trying tells. Files are all it looks at. */
export function whyAbsent({ name }: AcceleratorKind, at: Surroundings = SURROUNDINGS): string | undefined {
  if (at.platform !== 'linux') return undefined;
  if (name === 'cuda' && !NVIDIA_NODES.some(at.exists)) return 'no NVIDIA GPU or driver (there is no /dev/nvidiactl)';
  if (name !== 'vulkan') return undefined;
  if (vulkanDrivers(at).length === 0) return 'no Vulkan driver is installed';
  // ggml takes a software device only where this variable names it.
  const named = at.env.GGML_VK_VISIBLE_DEVICES !== undefined;
  return named || GPU_NODES.some(at.exists) ? undefined : 'no GPU (there is neither /dev/dri nor /dev/nvidiactl)';
}

/** Manifests of the installed Vulkan drivers, by the loader's own search path (Vulkan-Loader, LoaderDriverInterface.md). */
export function vulkanDrivers({ env, exists, list }: Surroundings = SURROUNDINGS): string[] {
  const split = (paths: string) => paths.split(':').filter((path) => path !== '');
  const manifests = (folder: string) =>
    list(folder).flatMap((name) => (name.endsWith('.json') ? [join(folder, name)] : []));
  const named = (paths: string) =>
    split(paths).flatMap((path) => (path.endsWith('.json') ? [path].filter(exists) : manifests(path)));
  const only = env.VK_DRIVER_FILES ?? env.VK_ICD_FILENAMES;
  if (only) return named(only);
  const home = homeFolder(env);
  const roots = [
    env.XDG_CONFIG_HOME || join(home, '.config'),
    ...split(env.XDG_CONFIG_DIRS || '/etc/xdg'),
    '/usr/local/etc',
    '/etc',
    env.XDG_DATA_HOME || join(home, '.local/share'),
    ...split(env.XDG_DATA_DIRS || '/usr/local/share:/usr/share'),
  ];
  const added = named(env.VK_ADD_DRIVER_FILES ?? '');
  return [...added, ...roots.flatMap((root) => manifests(join(root, 'vulkan/icd.d')))];
}

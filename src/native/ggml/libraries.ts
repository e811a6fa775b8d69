import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi from 'koffi';
import { FiddlerError } from '../../errors.js';
import { mapLargeAllocations } from '../os/malloc.js';

type Library = ReturnType<typeof koffi.load>;

/** Environment variable that names another CUDA library than the packaged one. */
export const CUDA_LIBRARY_VARIABLE = 'FIDDLER_GGML_CUDA';

/** Which packages hold ggml for a platform: the CPU first, then what each accelerator adds. */
const PACKAGES: Readonly<Record<string, { cpu: string; gpu: Readonly<Record<string, string>> }>> = {
  'linux-x64': { cpu: 'linux-x64', gpu: { cuda: 'linux-x64-cuda', vulkan: 'linux-x64-vulkan' } },
  'linux-arm64': { cpu: 'linux-arm64', gpu: {} },
  'darwin-arm64': { cpu: 'mac-arm64-metal', gpu: {} },
  'win32-x64': { cpu: 'win-x64', gpu: { cuda: 'win-x64-cuda', vulkan: 'win-x64-vulkan' } },
};

const EXTENSION = process.platform === 'win32' ? 'dll' : process.platform === 'darwin' ? 'dylib' : 'so';
const PREFIX = process.platform === 'win32' ? '' : 'lib';

/** Folder with the libraries of an installed package, or undefined. */
function packageFolder(name: string): string | undefined {
  try {
    const entry = createRequire(import.meta.url).resolve(`@node-llama-cpp/${name}`);
    const folder = join(dirname(entry), '..', 'bins', name);
    return existsSync(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
}

function libraryIn(folder: string, name: string): string {
  return join(folder, `${PREFIX}${name}.${EXTENSION}`);
}

/** The library that holds the registry of backends; its name carries the release (libggml.v0.5.0.so). */
function registryIn(folder: string): string {
  const pattern = new RegExp(`^${PREFIX}ggml(\\.v[\\d.]+)?\\.${EXTENSION}$`);
  const name = readdirSync(folder).find((file) => pattern.test(file));
  if (!name) throw notInstalled(`no ggml registry library in ${folder}`);
  return join(folder, name);
}

function notInstalled(problem: string): FiddlerError {
  return new FiddlerError(
    'device',
    problem,
    `install the optional dependency for ${process.platform}-${process.arch} (npm install --include=optional)`,
  );
}

/** Paths of ggml's libraries on this machine; nothing is loaded yet. */
export interface LibraryPaths {
  folder: string;
  base: string;
  registry: string;
  /** Accelerator libraries by name (`cuda`, `vulkan`), where installed or named by the environment. */
  gpu: Readonly<Record<string, string>>;
}

/** Finds the packaged libraries. @throws FiddlerError `device` where the platform has none or they are not installed. */
export function findLibraries(): LibraryPaths {
  const platform = `${process.platform}-${process.arch}`;
  const packages = PACKAGES[platform];
  if (!packages) {
    const known = Object.keys(PACKAGES).join(', ');
    throw new FiddlerError('device', `no ggml libraries for ${platform}`, `use one of: ${known}`);
  }
  const folder = packageFolder(packages.cpu);
  if (!folder) throw notInstalled(`the package @node-llama-cpp/${packages.cpu} is not installed`);
  const gpu: Record<string, string> = {};
  for (const [name, packageName] of Object.entries(packages.gpu)) {
    const at = packageFolder(packageName);
    if (at && existsSync(libraryIn(at, `ggml-${name}`))) gpu[name] = libraryIn(at, `ggml-${name}`);
  }
  const cuda = process.env[CUDA_LIBRARY_VARIABLE];
  if (cuda) {
    if (!existsSync(cuda)) {
      const remedy = 'name an existing library or unset it';
      throw new FiddlerError('device', `${CUDA_LIBRARY_VARIABLE} names ${cuda}, which does not exist`, remedy);
    }
    gpu.cuda = cuda;
  }
  return { folder, base: libraryIn(folder, 'ggml-base'), registry: registryIn(folder), gpu };
}

interface Loaded {
  paths: LibraryPaths;
  base: Library;
  registry: Library;
}

let loaded: Loaded | undefined;

/** Loads the base and registry libraries once; both must be global, since every backend resolves its symbols in them. */
export function loadLibraries(): Loaded {
  if (!loaded) {
    const paths = findLibraries();
    mapLargeAllocations();
    const base = koffi.load(paths.base, { global: true });
    const registry = koffi.load(paths.registry, { global: true });
    loaded = { paths, base, registry };
  }
  return loaded;
}

import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import koffi from 'koffi';
import { findLibraries } from '../../src/native/ggml/libraries.js';

/** Lets ggml take a Vulkan device in software, which it otherwise leaves out. */
export const SOFTWARE_VULKAN = { GGML_VK_VISIBLE_DEVICES: '0' };

/** Why this machine cannot test Vulkan; undefined where it can. */
export function vulkanMissing(): string | undefined {
  if (!findLibraries().gpu.vulkan) return "ggml's Vulkan library is not installed (npm ci)";
  if (!hasLoader()) return 'the library libvulkan.so.1 is not installed (apt install libvulkan1)';
  if (!hasDriver()) return 'there is no Vulkan driver (apt install mesa-vulkan-drivers)';
  return undefined;
}

function hasLoader(): boolean {
  try {
    koffi.load('libvulkan.so.1');
    return true;
  } catch {
    return false;
  }
}

/** The loader's search path for drivers; see "Driver Discovery on Linux" in the Vulkan loader's documentation. */
function hasDriver(): boolean {
  const named = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  if (named) return named.split(delimiter).some((file) => existsSync(file));
  const roots = ['/etc', '/usr/local/etc', '/usr/local/share', '/usr/share', join(homedir(), '.local', 'share')];
  const folders = roots.map((root) => join(root, 'vulkan', 'icd.d')).filter((folder) => existsSync(folder));
  return folders.some((folder) => readdirSync(folder).some((file) => file.endsWith('.json')));
}

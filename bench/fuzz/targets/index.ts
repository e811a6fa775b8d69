import type { MakeTarget } from '../target.js';

/** Every target: its name, and the module whose `target` makes it. */
export const TARGETS: Readonly<Record<string, () => Promise<{ target: MakeTarget }>>> = {
  config: () => import('./config.js'),
  'generation-config': () => import('./generation-config.js'),
  gguf: () => import('./gguf.js'),
  'gguf-tokenizer': () => import('./gguf-tokenizer.js'),
  hub: () => import('./hub.js'),
  plan: () => import('./plan.js'),
  safetensors: () => import('./safetensors.js'),
  template: () => import('./template.js'),
  tokenizer: () => import('./tokenizer.js'),
  'tokenizer-config': () => import('./tokenizer-config.js'),
};

/** @param name of a target, or the URL of a module like those */
export async function targetNamed(name: string): Promise<MakeTarget> {
  const load = TARGETS[name] ?? (() => import(name) as Promise<{ target: MakeTarget }>);
  return (await load()).target;
}

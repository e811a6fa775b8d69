import { deepseek } from './deepseek.js';
import type { ToolFormat } from './format.js';
import { gemma4 } from './gemma4.js';
import { glm } from './glm.js';
import { harmony } from './harmony.js';
import { hermes } from './hermes.js';
import { dsml, minimax } from './invoke.js';
import { kimi } from './kimi.js';
import { lfm2 } from './lfm2.js';
import { mistral } from './mistral.js';
import { qwenCoder } from './qwen-coder.js';

/** Every format that is known; the first that fits is taken, so that those with more of their own stand first. */
const FORMATS: readonly ToolFormat[] = [
  ...[harmony, dsml, deepseek, kimi, minimax, gemma4, lfm2, mistral],
  ...[glm, qwenCoder, hermes], // all of them write <tool_call>
];

/** The format in which a model with this chat template writes calls of tools. */
export function toolFormat(template: string): ToolFormat | undefined {
  return FORMATS.find((format) => format.fits(template));
}

/** A format by its name. */
export function namedFormat(name: string): ToolFormat {
  return FORMATS.find((format) => format.name === name)!;
}

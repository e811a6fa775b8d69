import { anyText, json, optional, sequence, tag, text } from '../grammar/outline.js';
import type { ToolFormat } from './format.js';
import { Malformed } from './reading.js';

const before = optional(
  sequence(tag('<|channel|>analysis<|message|>', anyText, '<|end|>'), text('<|start|>assistant')),
);

/**
 * Calls of gpt-oss are messages to a recipient, `<|channel|>commentary to=functions.name<|message|>{…}<|call|>`: who reads
 * the channels (reasoning/harmony.ts) tells them apart already.
 */
export const harmony: ToolFormat = {
  name: 'harmony',
  fits: (template) => template.includes('<|channel|>commentary'),
  begins: [],
  marks: ['<|start|>', '<|channel|>', '<|constrain|>', '<|message|>', '<|end|>', '<|call|>'],
  written: () => ({
    begin: '',
    end: '',
    call: (name, parameters) =>
      tag(`<|channel|>commentary to=functions.${name} <|constrain|>json<|message|>`, json(parameters), ''),
    whole: { before, answer: '<|channel|>final<|message|>' },
  }),
  // biome-ignore lint/correctness/useYield: nothing is read here
  *read() {
    throw new Malformed();
  },
};

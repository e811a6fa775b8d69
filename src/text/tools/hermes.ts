import { json, tag } from '../grammar/outline.js';
import type { ToolFormat } from './format.js';
import { jsonCall } from './json.js';

/** `<tool_call>{"name": …, "arguments": {…}}</tool_call>`: Hermes 2 and 3, Qwen2.5, Qwen3. */
export const hermes: ToolFormat = {
  name: 'hermes',
  fits: (template) => template.includes('<tool_call>'),
  begins: ['<tool_call>'],
  marks: ['</tool_call>'],
  written: () => ({
    begin: '<tool_call>\n',
    between: '\n</tool_call>\n<tool_call>\n',
    end: '\n</tool_call>',
    call: (name, parameters) => tag(`{"name": ${JSON.stringify(name)}, "arguments": `, json(parameters), '}'),
  }),
  *read(scanner, sink) {
    yield* jsonCall(scanner, sink);
    yield* scanner.text('</tool_call>');
  },
};

import { json, tag } from '../grammar/outline.js';
import type { ToolFormat } from './format.js';
import { jsonArguments, jsonCall } from './json.js';

/** `[TOOL_CALLS]name[ARGS]{…}` for each call, or `[TOOL_CALLS][{"name": …, "arguments": {…}}]` for all: Mistral. */
export const mistral: ToolFormat = {
  name: 'mistral',
  fits: (template) => template.includes('[TOOL_CALLS]'),
  begins: ['[TOOL_CALLS]'],
  marks: ['[ARGS]', '[CALL_ID]'],
  written: (template) =>
    template.includes('[ARGS]')
      ? {
          begin: '[TOOL_CALLS]',
          between: '[TOOL_CALLS]',
          end: '',
          call: (name, parameters) => tag(`${name}[ARGS]`, json(parameters), ''),
        }
      : {
          begin: '[TOOL_CALLS][',
          between: ', ',
          end: ']',
          call: (name, parameters) => tag(`{"name": ${JSON.stringify(name)}, "arguments": `, json(parameters), '}'),
        },
  *read(scanner, sink) {
    yield* scanner.space();
    if (yield* scanner.take('[')) {
      for (;;) {
        yield* scanner.space();
        if (yield* scanner.take(']')) return;
        if (!(yield* scanner.take(','))) yield* jsonCall(scanner, sink);
      }
    }
    const { text: name, mark } = yield* scanner.text('[ARGS]', '[CALL_ID]');
    const id = mark === '[CALL_ID]' ? (yield* scanner.text('[ARGS]')).text.trim() : undefined;
    sink.begin(name.trim(), id);
    yield* jsonArguments(scanner, sink);
  },
};

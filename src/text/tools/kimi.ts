import { json, sequence, tag, text } from '../grammar/outline.js';
import type { ToolFormat } from './format.js';
import { jsonArguments } from './json.js';

const [BEGIN, END] = ['<|tool_calls_section_begin|>', '<|tool_calls_section_end|>'];
const [CALL, ARGUMENTS, CALL_END] = ['<|tool_call_begin|>', '<|tool_call_argument_begin|>', '<|tool_call_end|>'];

/** Kimi K2, whose calls have ids such as `functions.search:0`, by which their answers are told apart. */
export const kimi: ToolFormat = {
  name: 'kimi',
  fits: (template) => template.includes(ARGUMENTS),
  begins: [BEGIN],
  marks: [END, CALL, ARGUMENTS, CALL_END],
  written: () => ({
    begin: BEGIN + CALL,
    between: CALL_END + CALL,
    end: CALL_END + END,
    call: (name, parameters) => {
      const number = { type: 'regex', pattern: '[0-9]|[1-9][0-9]' } as const;
      return tag(`functions.${name}:`, sequence(number, text(ARGUMENTS), json(parameters)), '');
    },
  }),
  *read(scanner, sink) {
    while ((yield* scanner.text(CALL, END)).mark === CALL) {
      const id = (yield* scanner.text(ARGUMENTS)).text.trim();
      sink.begin(id.replace(/^functions\./, '').replace(/:\d+$/, ''), id);
      yield* jsonArguments(scanner, sink);
      yield* scanner.text(CALL_END);
    }
  },
};

import { sequence, tag, text } from '../grammar/outline.js';
import type { ToolFormat } from './format.js';
import { Parameters } from './parameters.js';
import { type Argument, inOrder, plain } from './written.js';

const END = '</tool_call>';
const KEY = '<arg_key>';

/** `<tool_call>name<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>`: GLM-4.5 and later, Laguna. */
export const glm: ToolFormat = {
  name: 'glm',
  fits: (template) => template.includes(KEY),
  begins: ['<tool_call>'],
  marks: [END, KEY, '</arg_key>', '<arg_value>', '</arg_value>'],
  written: () => ({
    begin: '<tool_call>',
    between: '</tool_call>\n<tool_call>',
    end: '</tool_call>',
    call: (name, parameters) => {
      const parameter = (of: Argument) =>
        sequence(tag(`<arg_key>${of.name}</arg_key>\n<arg_value>`, plain(of), '</arg_value>'), text('\n'));
      return tag(`${name}\n`, inOrder(parameters, parameter), '');
    },
  }),
  *read(scanner, sink) {
    let { text, mark } = yield* scanner.text(KEY, END);
    sink.begin(text.trim());
    const parameters = new Parameters(sink);
    while (mark === KEY) {
      const { text: name } = yield* scanner.text('</arg_key>');
      yield* scanner.text('<arg_value>');
      yield* parameters.value(scanner, name.trim(), ['</arg_value>']);
      ({ mark } = yield* scanner.text(KEY, END));
    }
    parameters.end();
  },
};

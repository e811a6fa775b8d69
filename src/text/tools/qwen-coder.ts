import { sequence, tag, text } from '../grammar/outline.js';
import type { ToolFormat } from './format.js';
import { Parameters } from './parameters.js';
import { Malformed } from './reading.js';
import { type Argument, inOrder, plain } from './written.js';

const END = '</tool_call>';

/** `<tool_call><function=name><parameter=key>\nvalue\n</parameter></function></tool_call>`: Qwen3-Coder, Qwen3.5, Nemotron 3. */
export const qwenCoder: ToolFormat = {
  name: 'qwen-coder',
  fits: (template) => template.includes('<function='),
  begins: ['<tool_call>'],
  marks: [END],
  written: () => ({
    begin: '<tool_call>\n',
    between: '\n</tool_call>\n<tool_call>\n',
    end: '\n</tool_call>',
    call: (name, parameters) => {
      const parameter = (of: Argument) =>
        sequence(tag(`<parameter=${of.name}>\n`, plain(of), of.isText ? '</parameter>' : '\n</parameter>'), text('\n'));
      return tag(`<function=${name}>\n`, inOrder(parameters, parameter), '</function>');
    },
  }),
  *read(scanner, sink) {
    yield* scanner.space();
    if (!(yield* scanner.take('<function='))) throw new Malformed();
    sink.begin((yield* scanner.text('>')).text);
    const parameters = new Parameters(sink);
    while ((yield* scanner.text('<parameter=', END)).mark !== END) {
      const { text: name } = yield* scanner.text('>');
      yield* scanner.take('\n');
      yield* parameters.value(scanner, name, ['\n</parameter>', '</parameter>']);
    }
    parameters.end();
  },
};

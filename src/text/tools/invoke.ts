import { sequence, tag, text } from '../grammar/outline.js';
import type { CallForm, CallSink, ToolFormat } from './format.js';
import { Parameters } from './parameters.js';
import type { Reading } from './reading.js';
import type { Scanner } from './scanner.js';
import { type Argument, inOrder, plain } from './written.js';

/** Tags of `<invoke name="…"><parameter name="…">value</parameter></invoke>`, of which one closes all calls. */
interface Tags {
  invoke: string;
  endInvoke: string;
  parameter: string;
  endParameter: string;
}

const tags = (mark: string): Tags => ({
  invoke: `<${mark}invoke name="`,
  endInvoke: `</${mark}invoke>`,
  parameter: `<${mark}parameter name="`,
  endParameter: `</${mark}parameter>`,
});

function* calls(
  scanner: Scanner,
  sink: CallSink,
  { invoke, endInvoke, parameter, endParameter }: Tags,
  ends: string[],
): Reading {
  while ((yield* scanner.text(invoke, ...ends)).mark === invoke) {
    sink.begin((yield* scanner.text('"')).text);
    yield* scanner.text('>');
    const parameters = new Parameters(sink);
    while ((yield* scanner.text(parameter, endInvoke)).mark === parameter) {
      const { text: name } = yield* scanner.text('"');
      const { text: attributes } = yield* scanner.text('>');
      const told = /string="(true|false)"/.exec(attributes)?.[1];
      yield* parameters.value(scanner, name, [endParameter], told === undefined ? undefined : told === 'true');
    }
    parameters.end();
  }
}

function written({ invoke, endInvoke, parameter, endParameter }: Tags, around: string, telling: boolean): CallForm {
  const argument = (of: Argument) => {
    const told = telling ? ` string="${of.isText}"` : '';
    return sequence(tag(`${parameter}${of.name}"${told}>`, plain(of), endParameter), text('\n'));
  };
  return {
    begin: `<${around}>\n`,
    between: '\n',
    end: `\n</${around}>`,
    call: (name, parameters) => tag(`${invoke}${name}">\n`, inOrder(parameters, argument), endInvoke),
  };
}

/** MiniMax-M2. */
export const minimax: ToolFormat = {
  name: 'minimax',
  fits: (template) => template.includes('<minimax:tool_call>'),
  begins: ['<minimax:tool_call>'],
  marks: ['</minimax:tool_call>'],
  written: () => written(tags(''), 'minimax:tool_call', false),
  read: (scanner, sink) => calls(scanner, sink, tags(''), ['</minimax:tool_call>']),
};

const DSML = '｜DSML｜';

/** DeepSeek-V3.2 and V4, whose parameters say whether they are texts. */
export const dsml: ToolFormat = {
  name: 'dsml',
  fits: (template) => template.includes(DSML),
  begins: [`<${DSML}function_calls>`, `<${DSML}tool_calls>`],
  marks: [DSML],
  written: (template) => {
    const around = template.includes('function_calls') ? 'function_calls' : 'tool_calls';
    return written(tags(DSML), DSML + around, true);
  },
  read: (scanner, sink) => calls(scanner, sink, tags(DSML), [`</${DSML}function_calls>`, `</${DSML}tool_calls>`]),
};

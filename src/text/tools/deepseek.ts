import { json, tag } from '../grammar/outline.js';
import type { ToolFormat } from './format.js';
import { jsonArguments } from './json.js';

const [BEGIN, END] = ['<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>'];
const [CALL, SEPARATOR, CALL_END] = ['<｜tool▁call▁begin｜>', '<｜tool▁sep｜>', '<｜tool▁call▁end｜>'];

/** DeepSeek-V3 and R1 (the word `function`, the name, and arguments in a block of code) and V3.1 (name and arguments). */
export const deepseek: ToolFormat = {
  name: 'deepseek',
  fits: (template) => template.includes(BEGIN),
  begins: [BEGIN],
  marks: [END, CALL, SEPARATOR, CALL_END],
  written: (template) => {
    const isBlock = template.includes('```json');
    return {
      begin: BEGIN + CALL,
      between: `${CALL_END}\n${CALL}`,
      end: CALL_END + END,
      call: (name, parameters) =>
        isBlock
          ? tag(`function${SEPARATOR}${name}\n\`\`\`json\n`, json(parameters), '\n```')
          : tag(`${name}${SEPARATOR}`, json(parameters), ''),
    };
  },
  *read(scanner, sink) {
    while ((yield* scanner.text(CALL, END)).mark === CALL) {
      const { text } = yield* scanner.text(SEPARATOR);
      yield* scanner.space();
      if ((yield* scanner.peek()) === '{') sink.begin(text.trim());
      else {
        sink.begin((yield* scanner.text('\n')).text.trim());
        yield* scanner.take('```json');
      }
      yield* jsonArguments(scanner, sink);
      yield* scanner.text(CALL_END);
    }
  },
};

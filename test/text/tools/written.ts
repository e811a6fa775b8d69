/** A call as a model means it. */
export interface Call {
  name: string;
  arguments: Record<string, unknown>;
}

const json = JSON.stringify;
const pairs = (call: Call) => Object.entries(call.arguments);
/** As templates write a value among tags: texts as they are. */
const plain = (value: unknown) => (typeof value === 'string' ? value : json(value));

function gemma(value: unknown): string {
  if (typeof value === 'string') return `<|"|>${value}<|"|>`;
  if (Array.isArray(value)) return `[${value.map(gemma).join(',')}]`;
  if (typeof value !== 'object' || value === null) return json(value);
  return `{${Object.entries(value)
    .map(([key, inner]) => `${key}:${gemma(inner)}`)
    .join(',')}}`;
}

function python(value: unknown): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`;
  if (typeof value === 'object') {
    return `{${Object.entries(value)
      .map(([key, inner]) => `${python(key)}: ${python(inner)}`)
      .join(', ')}}`;
  }
  if (typeof value !== 'string') return json(value);
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
}

const DSML = '｜DSML｜';

/** How each format's templates write calls. */
export const WRITTEN: Readonly<Record<string, (calls: readonly Call[]) => string>> = {
  hermes: (calls) => calls.map((call) => `<tool_call>\n${json(call)}\n</tool_call>`).join('\n'),
  'qwen-coder': (calls) =>
    calls
      .map((call) => {
        const parameters = pairs(call).map(([key, value]) => `<parameter=${key}>\n${plain(value)}\n</parameter>\n`);
        return `<tool_call>\n<function=${call.name}>\n${parameters.join('')}</function>\n</tool_call>`;
      })
      .join('\n'),
  glm: (calls) =>
    calls
      .map((call) => {
        const parameters = pairs(call).map(
          ([key, value]) => `<arg_key>${key}</arg_key>\n<arg_value>${plain(value)}</arg_value>\n`,
        );
        return `<tool_call>${call.name}\n${parameters.join('')}</tool_call>`;
      })
      .join('\n'),
  mistral: (calls) => calls.map((call) => `[TOOL_CALLS]${call.name}[ARGS]${json(call.arguments)}`).join(''),
  deepseek: (calls) =>
    `<｜tool▁calls▁begin｜>${calls.map((call) => `<｜tool▁call▁begin｜>${call.name}<｜tool▁sep｜>${json(call.arguments)}<｜tool▁call▁end｜>`).join('')}<｜tool▁calls▁end｜>`,
  kimi: (calls) =>
    `<|tool_calls_section_begin|>${calls.map((call, i) => `<|tool_call_begin|>functions.${call.name}:${i}<|tool_call_argument_begin|>${json(call.arguments)}<|tool_call_end|>`).join('')}<|tool_calls_section_end|>`,
  minimax: (calls) => {
    const invoked = calls.map((call) => {
      const parameters = pairs(call).map(([key, value]) => `<parameter name="${key}">${plain(value)}</parameter>\n`);
      return `<invoke name="${call.name}">${parameters.join('')}</invoke>\n`;
    });
    return `<minimax:tool_call>\n${invoked.join('')}</minimax:tool_call>`;
  },
  dsml: (calls) => {
    const invoked = calls.map((call) => {
      const parameters = pairs(call).map(
        ([key, value]) =>
          `<${DSML}parameter name="${key}" string="${typeof value === 'string'}">${plain(value)}</${DSML}parameter>\n`,
      );
      return `<${DSML}invoke name="${call.name}">\n${parameters.join('')}</${DSML}invoke>\n`;
    });
    return `<${DSML}function_calls>\n${invoked.join('')}</${DSML}function_calls>`;
  },
  gemma4: (calls) => calls.map((call) => `<|tool_call>call:${call.name}${gemma(call.arguments)}<tool_call|>`).join(''),
  lfm2: (calls) =>
    `<|tool_call_start|>[${calls
      .map(
        (call) =>
          `${call.name}(${pairs(call)
            .map(([key, value]) => `${key}=${python(value)}`)
            .join(', ')})`,
      )
      .join(', ')}]<|tool_call_end|>`,
};

import { describe, expect, it } from 'vitest';
import { fiddlerRejection } from '../support/errors.js';
import { assistant, openTemplates, system, template, turns, user } from './template-folder.js';
import { CHATML, DEEPSEEK, DEEPSEEK_R1, GEMMA, GPT_OSS, MIXTRAL, QWEN3 } from './templates.js';

openTemplates();

describe('published templates', () => {
  it('Mixtral-Instruct', async () => {
    const mixtral = await template(MIXTRAL, { bos_token: '<s>', eos_token: { content: '</s>', special: true } });
    expect(await mixtral.render(turns)).toBe('<s>[INST] Hi [/INST]Hello.</s>[INST] Why? [/INST]');
    expect(await fiddlerRejection('unsupported', mixtral.render([user, user]))).toContain('roles must alternate');
    expect(await fiddlerRejection('unsupported', mixtral.render([system, user]))).toContain('roles must alternate');
  });

  it('Qwen (ChatML)', async () => {
    const qwen = await template(CHATML, { eos_token: '<|im_end|>', bos_token: null });
    expect(await qwen.render([user])).toBe(
      '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    );
    expect(await qwen.render([system, user, assistant], { addGenerationPrompt: false })).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n',
    );
  });

  it('DeepSeek', async () => {
    const deepseek = await template(DEEPSEEK, { bos_token: { content: '<BOS>' }, eos_token: { content: '<EOS>' } });
    expect(await deepseek.render([system, ...turns])).toBe(
      '<BOS>Be brief.\n\nUser: Hi\n\nAssistant: Hello.<EOS>User: Why?\n\nAssistant:',
    );
  });

  it('Gemma, which takes no system message', async () => {
    const gemma = await template(GEMMA, { bos_token: '<bos>' });
    expect(await gemma.render([user, assistant])).toBe(
      '<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>model\n',
    );
    expect(await fiddlerRejection('unsupported', gemma.render([system, user]))).toContain('System role not supported');
  });
});

describe('published templates of models that reason', () => {
  const sums = { role: 'user', content: 'What is 2 + 2?' };
  const four = { role: 'assistant', content: '2 + 2 = 4.', reasoning: 'Simple arithmetic.' };
  const conversation = [sums, four, { role: 'user', content: 'What about 9 / 2?' }];
  const call = {
    role: 'assistant',
    content: '',
    reasoning: 'Need to use function get_weather.',
    tool_calls: [{ type: 'function', function: { name: 'get_weather', arguments: { location: 'Zürich', days: 2 } } }],
  };
  const calling = [sums, call, { role: 'tool', content: '{"sunny": true}' }];
  const get_weather = {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'Gets the current weather.',
      parameters: {
        type: 'object',
        properties: {
          location: { type: 'string', description: 'The city' },
          format: { type: 'string', enum: ['celsius', 'fahrenheit'], default: 'celsius' },
          days: { type: 'array', items: { type: 'integer' } },
        },
        required: ['location'],
      },
    },
  };

  describe('gpt-oss (docs/format.md of openai/harmony)', () => {
    const gptOss = () => template(GPT_OSS);
    const [year, month, day] = new Date().toLocaleDateString('en-CA').split('-');
    const system = (more = '') =>
      '<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n' +
      `Knowledge cutoff: 2024-06\nCurrent date: ${year}-${month}-${day}\n\nReasoning: medium\n\n` +
      `# Valid channels: analysis, commentary, final. Channel must be included for every message.${more}<|end|>`;

    it('drops the reasoning of earlier turns', async () => {
      expect(await (await gptOss()).render(conversation)).toBe(
        `${system()}<|start|>user<|message|>What is 2 + 2?<|end|>` +
          '<|start|>assistant<|channel|>final<|message|>2 + 2 = 4.<|end|>' +
          '<|start|>user<|message|>What about 9 / 2?<|end|><|start|>assistant',
      );
    });

    it('writes the reasoning of the last turn where nothing is to be generated', async () => {
      expect(await (await gptOss()).render(conversation.slice(0, 2), { addGenerationPrompt: false })).toBe(
        `${system()}<|start|>user<|message|>What is 2 + 2?<|end|>` +
          '<|start|>assistant<|channel|>analysis<|message|>Simple arithmetic.<|end|>' +
          '<|start|>assistant<|channel|>final<|message|>2 + 2 = 4.<|return|>',
      );
    });

    it('makes a developer message of the system message, and has macros for tools', async () => {
      const tools = "\nCalls to these tools must go to the commentary channel: 'functions'.";
      const options = { variables: { tools: [get_weather] } };
      const developer = { role: 'system', content: 'Use a friendly tone.' };
      expect(await (await gptOss()).render([developer, ...calling], options)).toBe(
        `${system(tools)}<|start|>developer<|message|># Instructions\n\nUse a friendly tone.\n\n# Tools\n\n` +
          '## functions\n\nnamespace functions {\n\n// Gets the current weather.\ntype get_weather = (_: {\n' +
          '// The city\nlocation: string,\nformat?: "celsius" | "fahrenheit", // default: celsius,\ndays?: number[],\n' +
          '}) => any;\n\n} // namespace functions<|end|><|start|>user<|message|>What is 2 + 2?<|end|>' +
          '<|start|>assistant<|channel|>analysis<|message|>Need to use function get_weather.<|end|>' +
          '<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>' +
          '{"location": "Zürich", "days": 2}<|call|>' +
          '<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>"{\\"sunny\\": true}"<|end|>' +
          '<|start|>assistant',
      );
    });

    it('refuses tags in an answer', async () => {
      const wrong = { role: 'assistant', content: '<|channel|>final<|message|>4' };
      expect(await fiddlerRejection('unsupported', (await gptOss()).render([sums, wrong, sums]))).toContain(
        '<|channel|> tags',
      );
    });
  });

  describe('Qwen3', () => {
    const qwen3 = () => template(QWEN3, { eos_token: '<|im_end|>' });
    const asked = '<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n';

    it('drops the reasoning of earlier turns', async () => {
      const before = `${asked}2 + 2 = 4.<|im_end|>\n<|im_start|>user\nWhat about 9 / 2?<|im_end|>\n`;
      expect(await (await qwen3()).render(conversation)).toBe(`${before}<|im_start|>assistant\n`);
      expect(await (await qwen3()).render(conversation, { variables: { enable_thinking: false } })).toBe(
        `${before}<|im_start|>assistant\n<think>\n\n</think>\n\n`,
      );
      const written = { role: 'assistant', content: '<think>\nSimple.\n</think>\n\n2 + 2 = 4.' };
      expect(await (await qwen3()).render([sums, written, ...conversation.slice(2)])).toBe(
        `${before}<|im_start|>assistant\n`,
      );
    });

    it('keeps the reasoning of the steps since the last question, the answers of tools between them', async () => {
      expect(await (await qwen3()).render(calling)).toBe(
        `${asked}<think>\nNeed to use function get_weather.\n</think>\n\n` +
          '<tool_call>\n{"name": "get_weather", "arguments": {"location": "Zürich", "days": 2}}\n</tool_call><|im_end|>\n' +
          '<|im_start|>user\n<tool_response>\n{"sunny": true}\n</tool_response><|im_end|>\n<|im_start|>assistant\n',
      );
    });

    it('lists tools as JSON', async () => {
      expect(await (await qwen3()).render([sums], { variables: { tools: [get_weather] } })).toContain(
        '<tools>\n{"type": "function", "function": {"name": "get_weather", "description": "Gets the current weather."',
      );
    });

    it('strips newlines, and no other space', async () => {
      const indented = { role: 'assistant', content: '\n  4', reasoning: '\n  Simple.\n' };
      expect(await (await qwen3()).render([sums, indented], { addGenerationPrompt: false })).toBe(
        `${asked}<think>\n  Simple.\n</think>\n\n  4<|im_end|>\n`,
      );
    });
  });

  it('DeepSeek-R1, which begins the reasoning in the prompt', async () => {
    const r1 = await template(DEEPSEEK_R1, { bos_token: { content: '<｜begin▁of▁sentence｜>' } });
    expect(await r1.render([system, ...conversation])).toBe(
      '<｜begin▁of▁sentence｜>Be brief.<｜User｜>What is 2 + 2?<｜Assistant｜>2 + 2 = 4.<｜end▁of▁sentence｜>' +
        '<｜User｜>What about 9 / 2?<｜Assistant｜><think>\n',
    );
  });
});

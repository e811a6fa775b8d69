/** A request, and what is answered to it. */
export interface Case {
  name: string;
  path: string;
  /** Without one it is a GET. */
  body?: unknown;
  headers?: Record<string, string>;
  status: number;
  /** Of an error. */
  code?: string;
  param?: string | null;
}

const CHAT = '/v1/chat/completions';
const TEXT = '/v1/completions';
const RESPONSES = '/v1/responses';
const MESSAGES = '/v1/messages';
const hello = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 2 };
const unkept = { type: 'json_schema', schema: { not: {} }, json_schema: { schema: { not: {} } } };
const once = { prompt: 'Once', max_tokens: 2 };

const wrong = (name: string, path: string, body: unknown, param: string | null, code = 'invalid_value'): Case => ({
  name,
  path,
  body,
  status: 400,
  code,
  param,
});
const right = (name: string, path: string, body: unknown): Case => ({ name, path, body, status: 200 });

/** What every route answers. */
export const CASES: readonly Case[] = [
  { name: 'health', path: '/health', status: 200 },
  { name: 'models', path: '/v1/models', status: 200 },
  { name: 'an unknown path', path: '/v1/nothing', status: 404, code: 'not_found' },
  { name: 'a GET of what is asked by POST', path: CHAT, status: 404, code: 'not_found' },
  { name: 'oddities in a path', path: '/v1/%2e%2e/%00models', status: 404, code: 'not_found' },
  { name: 'a broken path', path: '/v1/%E0%A4%A', status: 400 },
  {
    name: 'another media type',
    path: CHAT,
    body: 'x',
    headers: { 'content-type': 'text/plain' },
    status: 415,
    code: 'unsupported_media_type',
  },
  {
    name: 'another model',
    path: CHAT,
    body: { ...hello, model: 'gpt-5' },
    status: 404,
    code: 'model_not_found',
    param: 'model',
  },
  { name: 'another host', path: '/v1/models', headers: { host: 'evil.example' }, status: 403, code: 'host_refused' },
  {
    name: 'another origin',
    path: '/v1/models',
    headers: { origin: 'http://evil.example' },
    status: 403,
    code: 'origin_refused',
  },
  { name: 'a hidden origin', path: '/v1/models', headers: { origin: 'null' }, status: 403, code: 'origin_refused' },
  wrong('a body that is no JSON', CHAT, '{"messages":', null, 'invalid_json'),
  wrong('a body that is too deep', CHAT, '['.repeat(101), null, 'invalid_json'),
  wrong('a body that is no object', CHAT, '[]', null),
  wrong('no messages', CHAT, {}, 'messages'),
  wrong('messages of no one', CHAT, { messages: [] }, 'messages'),
  wrong('a message of another role', CHAT, { messages: [{ role: 'king', content: '' }] }, 'messages.0.role'),
  wrong(
    'an image',
    CHAT,
    { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
    'messages.0.content.0.type',
  ),
  wrong(
    'an image in a response',
    RESPONSES,
    { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'data:,' }] }] },
    'input.0.content.0.type',
  ),
  {
    name: 'an image in messages of Anthropic',
    path: MESSAGES,
    body: { ...hello, messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] },
    status: 400,
  },
  wrong('a temperature below 0', CHAT, { ...hello, temperature: -1 }, 'temperature'),
  wrong('a top_p of 0', TEXT, { ...once, top_p: 0 }, 'top_p'),
  wrong('a penalty above 2', TEXT, { ...once, presence_penalty: 3 }, 'presence_penalty'),
  wrong('a bias of a word', TEXT, { ...once, logit_bias: { Hello: 1 } }, 'logit_bias.Hello'),
  wrong('no tokens', TEXT, { ...once, max_tokens: 0 }, 'max_tokens'),
  wrong('no prompt', TEXT, {}, 'prompt'),
  wrong('ids and texts in one prompt', TEXT, { prompt: [1, 'a'] }, 'prompt'),
  wrong('an id outside the vocabulary', TEXT, { ...once, prompt: [1_000_000] }, null),
  wrong('more answers than there are places', TEXT, { ...once, n: 1000 }, 'n'),
  wrong('a prompt beyond the context', TEXT, { prompt: Array(5000).fill(5) }, null, 'context_length_exceeded'),
  wrong('functions', CHAT, { ...hello, functions: [] }, 'functions'),
  wrong('speech', CHAT, { ...hello, modalities: ['audio'] }, 'modalities'),
  wrong('the best of several', TEXT, { ...once, best_of: 3 }, 'best_of'),
  right('the best of one', TEXT, { ...once, best_of: 1 }),
  right('a seed of 64 bits', TEXT, { ...once, seed: 2 ** 63 }),
  right('the largest seed of several answers', TEXT, { ...once, seed: Number.MAX_SAFE_INTEGER, n: 2 }),
  wrong('a seed that is no integer', TEXT, { ...once, seed: 0.5 }, 'seed'),
  wrong('a bias of a word in a response', RESPONSES, { input: 'x', logit_bias: { Hello: 1 } }, 'logit_bias.Hello'),
  wrong('log-probabilities of a response', RESPONSES, { input: 'x', top_logprobs: 2 }, 'top_logprobs'),
  wrong('the same, included', RESPONSES, { input: 'x', include: ['message.output_text.logprobs'] }, 'include'),
  right('what else is included', RESPONSES, {
    input: 'x',
    max_output_tokens: 2,
    include: ['reasoning.encrypted_content'],
  }),
  wrong('tools that are no functions', CHAT, { ...hello, tools: [{ type: 'mcp' }] }, 'tools.0.type'),
  wrong('a call of no tool', CHAT, { ...hello, tool_choice: 'required' }, 'tool_choice'),
  wrong('two forms at once', CHAT, { ...hello, guided_regex: 'a', guided_choice: ['b'] }, null),
  wrong('a regular expression that is none', CHAT, { ...hello, structured_outputs: { regex: '(a' } }, null),
  wrong('a grammar that is none', CHAT, { ...hello, guided_grammar: 'root ::= b', stream: true }, null),
  wrong('a schema that is no JSON', CHAT, { ...hello, guided_json: '{' }, null, 'invalid_json'),
  wrong('a form of a text', TEXT, { ...once, guided_regex: 'a' }, 'guided_regex'),
  wrong(
    'tools of a model that knows none',
    CHAT,
    { ...hello, tools: [{ type: 'function', function: { name: 'f' } }] },
    null,
    'unsupported',
  ),
  right('arguments that were cut off', CHAT, {
    messages: [
      { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{"a' } }] },
    ],
    max_tokens: 2,
  }),
  wrong(
    'an answer that was not kept',
    RESPONSES,
    { input: 'x', previous_response_id: 'resp_1' },
    'previous_response_id',
  ),
  wrong('an input of another kind', RESPONSES, { input: [{ type: 'item_reference', id: 'x' }] }, 'input.0.type'),
  { name: 'no messages of Anthropic', path: MESSAGES, body: {}, status: 400 },
  wrong('two things to tokenize', '/tokenize', { content: 'a', prompt: 'b' }, null),
  wrong('what is no token', '/detokenize', { tokens: ['a'] }, 'tokens'),
  wrong('a schema that would not be kept', CHAT, { ...hello, response_format: unkept }, null, 'unsupported'),
  wrong('such a schema, streamed', CHAT, { ...hello, response_format: unkept, stream: true }, null, 'unsupported'),
  wrong(
    'such a schema, in a response',
    RESPONSES,
    { input: 'Hello', text: { format: unkept }, stream: true },
    null,
    'unsupported',
  ),
  {
    name: 'such a schema, in messages',
    path: MESSAGES,
    body: { ...hello, output_config: { format: unkept }, stream: true },
    status: 400,
  },
  wrong('text to continue beyond the vocabulary, streamed', TEXT, { prompt: [1e6], stream: true }, null),
  wrong('another form', CHAT, { ...hello, response_format: { type: 'xml' } }, 'response_format.type'),
  right('text as the form', CHAT, { ...hello, response_format: { type: 'text' } }),
  right('a response', RESPONSES, { input: 'Hello', max_output_tokens: 2 }),
  right('a response to messages', RESPONSES, { input: hello.messages, max_output_tokens: 2 }),
  right('messages of Anthropic', MESSAGES, hello),
  right('a count of tokens', `${MESSAGES}/count_tokens`, hello),
  right('text to tokens', '/tokenize', { content: 'Once' }),
  right('messages to tokens', '/tokenize', { messages: hello.messages }),
  right('tokens to text', '/detokenize', { tokens: [1, 5, 300] }),
  { name: 'properties', path: '/props', status: 200 },
  right('a chat', CHAT, hello),
  right('a text', TEXT, once),
  right('several texts', TEXT, { ...once, prompt: ['Once', [1, 5, 6]], n: 2 }),
  right('fields that are not known', CHAT, { ...hello, user: 'me', metadata: {}, x: 1 }),
  right('fields that say nothing', CHAT, {
    ...hello,
    temperature: null,
    stop: null,
    n: null,
    logprobs: null,
    tools: null,
  }),
  right('every option', TEXT, {
    ...once,
    temperature: 0.5,
    top_p: 0.5,
    top_k: -1,
    min_p: 0.1,
    presence_penalty: 1,
    frequency_penalty: -1,
    repetition_penalty: 1.1,
    logit_bias: { 5: -100 },
    seed: -1,
    stop: ['x', 'y'],
    ignore_eos: true,
  }),
];

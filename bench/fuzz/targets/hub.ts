import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, drawBlueprint } from '#fiddler/loading/blueprint.js';
import { fetchHub } from '#fiddler/weights/hub/hub.js';
import type { Chance } from '../chance.js';
import { type Json, mutateBytes, mutateJson, mutateText, writeJson } from '../mutate.js';
import { MODELS, type Seed } from '../seeds.js';
import type { Target } from '../target.js';

interface Answer {
  status: number;
  headers: [string, string][];
  body: Uint8Array;
}

/** Answers by the last part of the address that is asked for. */
type Input = Readonly<Record<string, Answer>>;

const ID = 'org/model';
const WEIGHTS = 'model.safetensors';

/** Answers of a hub, from which a model is planned. */
export function target(folder: string): Target<Input> {
  const env = { HF_ENDPOINT: 'http://hub.test', HF_HOME: folder };
  const seeds = MODELS.map(answersOf);
  let input: Input;
  globalThis.fetch = async (url) => {
    const { status, headers, body } = input[String(url).split('/').at(-1)!] ?? { status: 404, headers: [], body: null };
    return new Response(status === 204 ? null : (body as Uint8Array<ArrayBuffer> | null), { status, headers });
  };
  return {
    make: (chance) => change(chance.of(seeds), chance),
    async read(answers) {
      input = answers;
      const { config, generationConfig, open } = await fetchHub(ID, { env, attempts: 1, timeout: 1000 });
      const checkpoint = open();
      try {
        const source = { name: ID, config, generationConfig, inMemory: false, tokenizer: true, open };
        drawBlueprint(describe(source), checkpoint, 'auto');
      } finally {
        checkpoint.close();
      }
    },
    show: (answers) => JSON.stringify(answers, (_, value) => (value instanceof Uint8Array ? `${value}` : value)),
  };
}

function answersOf({ folder, config }: Seed): Input {
  const file = readFileSync(join(folder, WEIGHTS));
  const head = file.subarray(0, 256 << 10);
  const json = (value: Json) => ({ status: 200, headers: [], body: Buffer.from(JSON.stringify(value)) });
  const siblings = ['config.json', 'generation_config.json', WEIGHTS].map((rfilename) => ({ rfilename }));
  return {
    main: json({ id: ID, sha: '0123456789abcdef', siblings }),
    'config.json': json(config),
    'generation_config.json': json({ eos_token_id: 2 }),
    [WEIGHTS]: {
      status: 206,
      headers: [['Content-Range', `bytes 0-${head.length - 1}/${file.length}`]],
      body: head,
    },
  };
}

function change(answers: Input, chance: Chance): Input {
  const changed: Record<string, Answer> = { ...answers };
  const name = chance.of(Object.keys(answers));
  const { status, headers, body } = answers[name]!;
  changed[name] = {
    status: chance.happens(0.8) ? status : chance.of([200, 204, 206, 301, 400, 401, 403, 404, 416, 429, 500, 503]),
    headers: chance.happens(0.8) ? headers : oddHeaders(headers, chance),
    body: name === WEIGHTS ? mutateHead(body, chance) : changeJson(body, chance),
  };
  return changed;
}

function oddHeaders(headers: readonly [string, string][], chance: Chance): [string, string][] {
  const codes = ['GatedRepo', 'RepoNotFound', 'RevisionNotFound', 'EntryNotFound', 'x'];
  const further: [string, string][] = [
    ['X-Error-Code', chance.of(codes)],
    ['X-Error-Message', 'one\u00a0message'],
    ['Retry-After', chance.of(['1e9', '-1', '99999999999999999999', 'Fri, 31 Dec 9999 23:59:59 GMT', ''])],
  ];
  const ranges = headers.map(([name, value]): [string, string] => [name, mutateText(value, chance)]);
  return [...ranges, chance.of(further)].map(([name, value]) => [name, value.replaceAll(/[^\x20-\x7e]/g, '?')]);
}

function changeJson(body: Uint8Array, chance: Chance): Uint8Array {
  if (chance.happens(0.3)) return body;
  return writeJson(mutateJson(JSON.parse(Buffer.from(body).toString()) as Json, chance), chance);
}

/** Damage to the header's first bytes is more telling than behind it. */
function mutateHead(body: Uint8Array, chance: Chance): Uint8Array {
  if (chance.happens(0.3)) return mutateBytes(body, chance);
  return Buffer.concat([mutateBytes(body.subarray(0, 4096), chance), body.subarray(4096)]);
}

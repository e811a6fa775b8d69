import { z } from 'zod';
import { FiddlerError } from '../../errors.js';
import { type JsonObject, parseObject, validate } from '../config.js';
import type { RepositoryId } from './id.js';
import { atMost } from './limit.js';
import { refusal } from './refusals.js';
import { type Patience, type Request, request } from './request.js';
import type { HubSettings } from './settings.js';

/** Requests under way at once. */
const CONCURRENT = 8;

/** Bytes of the longest JSON file that is read; the index of a model of 10⁶ tensors has about as many. */
const LONGEST_JSON = 100_000_000;

/** Part of a file. */
export interface Range {
  bytes: Uint8Array;
  /** Bytes of the whole file. */
  size: number;
}

/** A model's repository at one commit. All reading is by HTTP and may be refused: FiddlerError `file` or `network`. */
export interface Repository {
  readonly id: string;
  /** Paths of all files. */
  readonly files: ReadonlySet<string>;
  readJson(file: string): Promise<JsonObject>;
  /** Bytes [begin, end) of a file, or to its end where that is earlier. Never more is transferred. */
  read(file: string, begin: number, end: number): Promise<Range>;
}

export interface RepositoryOptions {
  settings: HubSettings;
  patience: Patience;
  signal: AbortSignal;
}

const listing = z.object({ sha: z.string().nullish(), siblings: z.array(z.object({ rfilename: z.string() })) });

/** Asks the hub which files a repository has. @throws FiddlerError `file` or `network`; or the reason of the signal */
export async function openRepository(name: RepositoryId, options: RepositoryOptions): Promise<Repository> {
  const { settings, patience, signal } = options;
  const { id, revision } = name;
  const { endpoint, token } = settings;
  const headers: Record<string, string> = { 'User-Agent': 'fiddler' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const limited = atMost(CONCURRENT);
  const ask = (what: Request) => limited(() => request(what, patience, signal));

  async function json(url: string, file?: string): Promise<JsonObject> {
    const accept = (response: Response) => {
      if (!response.ok) throw refusal(response, name, settings, file);
      return LONGEST_JSON;
    };
    return parseObject(url, new TextDecoder().decode(await ask({ url, headers, accept })));
  }

  const list = `${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
  const { sha, siblings } = validate(listing, await json(list), list);
  const address = (file: string) => {
    const path = file.split('/').map(encodeURIComponent).join('/');
    return `${endpoint}/${id}/resolve/${encodeURIComponent(sha ?? revision)}/${path}`; // a branch may move meanwhile
  };
  return {
    id,
    files: new Set(siblings.map(({ rfilename }) => rfilename)),
    readJson: (file) => json(address(file), file),
    async read(file, begin, end) {
      const url = address(file);
      let size = 0;
      const accept = (response: Response) => {
        if (response.status !== 206 && response.status !== 200) throw refuseRange(response, file);
        const range = acceptRange(response, url, begin, end);
        size = range.size;
        return range.bytes;
      };
      const bytes = await ask({ url, headers: { ...headers, Range: `bytes=${begin}-${end - 1}` }, accept });
      const expected = Math.min(end, size) - begin;
      if (bytes.length < expected) throw wrong(url, `${bytes.length} bytes instead of ${expected}`);
      return { bytes, size };
    },
  };

  function refuseRange(response: Response, file: string): FiddlerError {
    if (response.status !== 416) return refusal(response, name, settings, file);
    return new FiddlerError('file', `${id}/${file} is empty`, 'the repository is damaged; use another revision');
  }
}

/** The size of a file and the bytes of a part of it, from an answer's headers (RFC 9110, section 14.4). */
function acceptRange({ status, headers }: Response, url: string, begin: number, end: number) {
  if (status !== 206) throw wrong(url, 'the whole file, which is not downloaded, instead of the part asked for');
  const range = headers.get('Content-Range') ?? '';
  const [first, last, size] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? []).slice(1).map(Number);
  if (first !== begin || !Number.isSafeInteger(size) || last! >= end || last! >= size!) {
    throw wrong(url, `another part than was asked for (Content-Range: ${range})`);
  }
  return { size: size!, bytes: last! - begin + 1 };
}

function wrong(url: string, answer: string): FiddlerError {
  return new FiddlerError('network', `${url} gives ${answer}`, 'set HF_ENDPOINT to a server that reads HTTP ranges');
}

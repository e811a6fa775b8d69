import { z } from 'zod';
import { FiddlerError } from '../../errors.js';
import { type JsonObject, parseObject, validate } from '../config.js';
import type { RepositoryId } from './id.js';
import { atMost } from './limit.js';
import { type FileEntry, listEntries } from './listing.js';
import { refusal } from './refusals.js';
import { type Patience, type Request, request, type Take } from './request.js';
import type { HubSettings } from './settings.js';
import { acceptRange, transfer, wrong } from './transfer.js';

/** Requests under way at once. */
const CONCURRENT = 8;

/** Bytes of the longest JSON file that is read; the index of a model of 10⁶ tensors has about as many. */
const LONGEST_JSON = 100_000_000;

/** Bytes of all answers together; a model of 10⁶ tensors in 160 files takes a third of them. */
const MOST_BYTES = 512 << 20;

/** Part of a file. */
export interface Range {
  bytes: Uint8Array;
  /** Bytes of the whole file. */
  size: number;
}

/** A model's repository at one commit. All reading is by HTTP and may be refused: FiddlerError `file` or `network`. */
export interface Repository {
  readonly id: string;
  /** Which of several files of a model is meant, where the name says that. */
  readonly variant?: string;
  /** Paths of all files. */
  readonly files: ReadonlySet<string>;
  readJson(file: string): Promise<JsonObject>;
  /** Bytes [begin, end) of a file, or to its end where that is earlier. Never more is transferred. */
  read(file: string, begin: number, end: number): Promise<Range>;
}

/** A repository from which files can be downloaded. */
export interface Downloadable extends Repository {
  readonly revision: string;
  /** The commit that the revision stands for; everything is read at it. */
  readonly commit: string;
  /** Every file with its size and checksum. */
  list(): Promise<FileEntry[]>;
  /**
   * Transfers a file from byte `begin()` to its end, and goes on behind what `take` took where a connection breaks off.
   * @throws FiddlerError also what `take` throws, and the reason of `stop`
   */
  transfer(file: FileEntry, begin: () => number, take: Take, stop: AbortSignal): Promise<void>;
}

export interface RepositoryOptions {
  settings: HubSettings;
  patience: Patience;
  signal: AbortSignal;
}

/** A part of an address: half a surrogate pair cannot be. */
const name = z.string().regex(/^\P{Cs}*$/u, 'not a name');
/** A folder of the cache is called by it. */
const commitName = z.string().regex(/^\w[\w.-]*$/, 'not a commit');
const listing = z.object({ sha: commitName.nullish(), siblings: z.array(z.object({ rfilename: name })) });

/** Asks the hub which files a repository has. @throws FiddlerError `file` or `network`; or the reason of the signal */
export async function openRepository(name: RepositoryId, options: RepositoryOptions): Promise<Downloadable> {
  const { settings, patience, signal } = options;
  const { id, revision, variant } = name;
  const { endpoint, token } = settings;
  const headers: Record<string, string> = { 'User-Agent': 'fiddler' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const limited = atMost(CONCURRENT);
  const ask = (what: Request) => limited(() => request(what, patience, signal));
  let left = MOST_BYTES;
  /** So many bytes are answered, or may be. */
  const take = (bytes: number) => {
    left -= bytes;
    if (left >= 0) return;
    const problem = `the configs and headers of ${id} have more than ${MOST_BYTES} bytes in all`;
    throw new FiddlerError('network', problem, 'use the repository of the original model');
  };

  async function json(url: string, file?: string): Promise<JsonObject> {
    const accept = (response: Response) => {
      if (!response.ok) throw refusal(response, name, settings, file);
      return LONGEST_JSON;
    };
    const bytes = await ask({ url, headers, accept });
    take(bytes.length);
    return parseObject(url, new TextDecoder().decode(bytes));
  }

  const list = `${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
  const { sha, siblings } = validate(listing, await json(list), list);
  const commit = sha ?? revision; // a branch may move meanwhile
  const address = (file: string) => {
    const path = file.split('/').map(encodeURIComponent).join('/');
    return `${endpoint}/${id}/resolve/${encodeURIComponent(commit)}/${path}`;
  };
  return {
    id,
    revision,
    commit,
    ...(variant !== undefined && { variant }),
    files: new Set(siblings.map(({ rfilename }) => rfilename)),
    readJson: async (file) => json(address(file), file),
    async read(file, begin, end) {
      const url = address(file);
      let size = 0;
      const accept = (response: Response) => {
        if (response.status !== 206 && response.status !== 200) throw refuseRange(response, file);
        const range = acceptRange(response, url, begin, end);
        size = range.size;
        take(range.bytes);
        return range.bytes;
      };
      const bytes = await ask({ url, headers: { ...headers, Range: `bytes=${begin}-${end - 1}` }, accept });
      const expected = Math.min(end, size) - begin;
      if (bytes.length < expected) throw wrong(url, `${bytes.length} bytes instead of ${expected}`);
      return { bytes, size };
    },
    list: () =>
      listEntries(id, commit, endpoint, async (url) => {
        let link = '';
        const accept = (response: Response) => {
          if (!response.ok) throw refusal(response, name, settings);
          link = response.headers.get('Link') ?? '';
          return LONGEST_JSON;
        };
        const body = await ask({ url, headers: sameOrigin(url, endpoint) ? headers : {}, accept });
        return { body, link };
      }),
    transfer: (file, begin, take, stop) => {
      const refuse = (response: Response) => refuseRange(response, file.path);
      const what = { url: address(file.path), headers, size: file.size, refuse };
      return limited(() => transfer(what, patience, AbortSignal.any([signal, stop]), begin, take));
    },
  };

  function refuseRange(response: Response, file: string): FiddlerError {
    if (response.status !== 416) return refusal(response, name, settings, file);
    return new FiddlerError('file', `${id}/${file} is empty`, 'the repository is damaged; use another revision');
  }
}

function sameOrigin(url: string, endpoint: string): boolean {
  return new URL(url).origin === new URL(endpoint).origin;
}

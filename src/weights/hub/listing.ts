import { z } from 'zod';
import { FiddlerError } from '../../errors.js';
import { validate } from '../config.js';

/** A file of a repository. */
export interface FileEntry {
  /** Within the repository, with forward slashes; it cannot lead out of a folder that it is joined to. */
  readonly path: string;
  readonly size: number;
  /** By what its content is known: SHA-256 where it lies in large-file storage, else git's SHA-1 of a blob. */
  readonly checksum: { readonly algorithm: 'sha256' | 'git'; readonly value: string };
}

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), 'not a checksum');
const size = z.int().nonnegative();

const entrySchema = z
  .object({ path: z.string().min(1), size, oid: hex(40), lfs: z.object({ oid: hex(64), size }).nullish() })
  .transform(({ path, size, oid, lfs }): FileEntry => {
    if (lfs) return { path, size: lfs.size, checksum: { algorithm: 'sha256', value: lfs.oid } };
    return { path, size, checksum: { algorithm: 'git', value: oid } };
  });

/** More than any model's repository has; a listing may be endless, and its pages empty. */
const MOST_FILES = 100_000;
const MOST_PAGES = 1_000;

/** A page of a listing as JSON, and where the next one is. */
export interface Page {
  body: Uint8Array;
  /** The `Link` header (RFC 8288). */
  link: string;
}

/**
 * Every file of a repository at a commit, by the hub's tree.
 * @param ask answers a request
 * @throws FiddlerError `network`: no listing, or one without end; `file`: an entry that makes no sense, or whose name leads out of its folder;
 *   what `ask` throws
 */
export async function listEntries(
  id: string,
  commit: string,
  endpoint: string,
  ask: (url: string) => Promise<Page>,
): Promise<FileEntry[]> {
  const entries: FileEntry[] = [];
  const first = `${endpoint}/api/models/${id}/tree/${encodeURIComponent(commit)}?recursive=true`;
  let url: string | undefined = first;
  for (let pages = 0; url !== undefined; pages++) {
    if (pages === MOST_PAGES || entries.length > MOST_FILES) {
      const problem = `${endpoint} lists more than ${MOST_FILES} files or ${MOST_PAGES} pages of ${id}`;
      throw new FiddlerError('network', problem, 'check HF_ENDPOINT, or use another repository');
    }
    const { body, link }: Page = await ask(url);
    for (const entry of parsePage(url, body)) {
      if (entry.type === 'file') entries.push(checked(entry, `the listing of ${id}`));
    }
    const next: string = /<([^>]+)>;\s*rel="next"/.exec(link)?.[1] ?? '';
    url = next !== '' && URL.canParse(next, url) ? new URL(next, url).href : undefined;
  }
  return entries;
}

const pageSchema = z.array(z.looseObject({ type: z.string() }));

function parsePage(url: string, body: Uint8Array): z.infer<typeof pageSchema> {
  try {
    return pageSchema.parse(JSON.parse(new TextDecoder().decode(body)));
  } catch (error) {
    throw new FiddlerError('network', `${url} is no listing of files`, 'check HF_ENDPOINT, or try again later', {
      cause: error,
    });
  }
}

function checked(entry: unknown, place: string): FileEntry {
  const file = validate(entrySchema, entry, place);
  const safe = file.path
    .split('/')
    .every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\:\0]/.test(part));
  if (safe) return file;
  throw new FiddlerError('file', `${place} names a file ${JSON.stringify(file.path)}`, 'do not use this repository');
}

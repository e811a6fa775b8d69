import { FiddlerError } from '../../errors.js';
import type { RepositoryId } from './id.js';
import type { HubSettings } from './settings.js';

/**
 * What it means that the hub refuses a request, by its status and headers as in huggingface_hub's hf_raise_for_status.
 * @param file undefined when the repository itself was asked for
 */
export function refusal(
  { status, statusText, headers }: Response,
  { id, revision }: RepositoryId,
  { endpoint, token }: HubSettings,
  file?: string,
): FiddlerError {
  const code = headers.get('X-Error-Code');
  const gives = (kind: 'file' | 'network', problem: string, remedy: string) => new FiddlerError(kind, problem, remedy);
  if (code === 'GatedRepo') {
    const remedy = token
      ? `ask for access at ${endpoint}/${id} with the account of your token`
      : `accept its conditions at ${endpoint}/${id}, then set HF_TOKEN`;
    return gives('network', `${id} is given only to those who have access`, remedy);
  }
  if (code === 'RevisionNotFound') return gives('file', `${id} has no revision ${revision}`, 'check the revision');
  if (status === 401 && token && code !== 'RepoNotFound') {
    return gives('network', `${endpoint} does not accept your token`, 'set HF_TOKEN to one that is valid, or to none');
  }
  if (code === 'RepoNotFound' || status === 401 || (status === 404 && file === undefined)) {
    const remedy = token
      ? 'check its name and what your token may read'
      : 'check its name, or give the path of a folder; a private one needs HF_TOKEN';
    return gives('file', `there is no repository ${id} at ${endpoint}`, remedy);
  }
  if (status === 404) return gives('file', `${id} has no file ${file}`, 'check that it is the repository of a model');
  const said = headers.get('X-Error-Message') ?? `${status} ${statusText}`.trim();
  return gives('network', `${endpoint} refuses ${id}: ${said}`, 'check HF_TOKEN and HF_ENDPOINT, or try again later');
}

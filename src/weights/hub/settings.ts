import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FiddlerError } from '../../errors.js';
import { expandPath, homeFolder } from '../../native/os/home.js';

/** What a user has set for the hub, with the variables and files of huggingface_hub. */
export interface HubSettings {
  /** Where the hub is, without a slash at the end. */
  readonly endpoint: string;
  /** Proves who asks. */
  readonly token: string | undefined;
}

const DEFAULT_ENDPOINT = 'https://huggingface.co';

/** @throws FiddlerError `usage`: an endpoint that is no address, or a token that is none; `network`: the user wants none */
export function hubSettings(env: NodeJS.ProcessEnv): HubSettings {
  if (/^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? '')) {
    throw new FiddlerError(
      'network',
      'HF_HUB_OFFLINE forbids to ask the hub',
      'unset it, or give the folder of a model',
    );
  }
  return { endpoint: checkEndpoint(env.HF_ENDPOINT || DEFAULT_ENDPOINT), token: readToken(env) };
}

/** The folder in which huggingface_hub keeps what it downloaded. */
export function hubCache(env: NodeJS.ProcessEnv): string {
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE; // the second is its older name
  return named ? expandPath(named, env) : join(hubHome(env), 'hub');
}

function hubHome(env: NodeJS.ProcessEnv): string {
  return expandPath(env.HF_HOME || join(env.XDG_CACHE_HOME || join(homeFolder(env), '.cache'), 'huggingface'), env);
}

function checkEndpoint(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.username === '') return value.replace(/\/+$/, '');
  throw new FiddlerError('usage', `HF_ENDPOINT is no address: ${value}`, `give one such as ${DEFAULT_ENDPOINT}`);
}

function readToken(env: NodeJS.ProcessEnv): string | undefined {
  const token = (
    env.HF_TOKEN || storedToken(env.HF_TOKEN_PATH ? expandPath(env.HF_TOKEN_PATH, env) : join(hubHome(env), 'token'))
  ).trim();
  if (/[^\x21-\x7e]/.test(token)) {
    throw new FiddlerError('usage', 'the token for the hub has characters that no token has', 'set HF_TOKEN anew');
  }
  return token || undefined;
}

/** The token that `hf auth login` stored, or nothing. */
function storedToken(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    const problem = `cannot read the token in ${file}: ${(error as Error).message}`;
    throw new FiddlerError('file', problem, 'correct its permissions, or set HF_TOKEN', { cause: error });
  }
}

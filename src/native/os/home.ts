import { tmpdir, userInfo } from 'node:os';
import { isAbsolute } from 'node:path';

/** The user's home folder: HOME (USERPROFILE on Windows), or where that is no absolute path, what the system says. */
export function homeFolder(env: NodeJS.ProcessEnv = process.env): string {
  const named = (process.platform === 'win32' ? env.USERPROFILE : env.HOME) ?? '';
  return isAbsolute(named) ? named : accountHome();
}

/** In a container a user may have no account. */
function accountHome(): string {
  try {
    return userInfo().homedir || tmpdir();
  } catch {
    return tmpdir();
  }
}

/** A path from a variable with `~`, `$NAME` and `${NAME}` replaced, as a shell and huggingface_hub do; unknown names stay. */
export function expandPath(path: string, env: NodeJS.ProcessEnv = process.env): string {
  const value = (name: string) => (name === 'HOME' ? homeFolder(env) : env[name]);
  return path
    .replace(/^~(?=$|[/\\])/, () => homeFolder(env))
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, plain, braced) => value(plain ?? braced) ?? whole);
}

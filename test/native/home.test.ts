import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cacheFolder } from '../../src/devices/cache.js';
import { expandPath, homeFolder } from '../../src/native/os/home.js';
import { hubCache } from '../../src/weights/hub/settings.js';

describe('the home folder', () => {
  it('is what HOME says, or the account’s where that is empty or relative', () => {
    expect(homeFolder({ HOME: '/home/a' })).toBe('/home/a');
    for (const HOME of ['', '.', undefined]) expect(homeFolder({ HOME })).toBe(userInfo().homedir);
    expect(homeFolder()).toBe(homedir());
  });

  it('is where caches lie: never in the working folder', () => {
    for (const HOME of ['', '.', undefined]) {
      expect(isAbsolute(cacheFolder('linux', { HOME }))).toBe(true);
      expect(isAbsolute(hubCache({ HOME }))).toBe(true);
    }
  });
});

it('paths from variables are expanded as in a shell', () => {
  const env = { HOME: '/h', DISK: '/disk' };
  const cases = { '~': '/h', '~/x': '/h/x', '$HOME/x': '/h/x', '${DISK}/y': '/disk/y', '/a/~/b': '/a/~/b' };
  for (const [path, expected] of Object.entries({ ...cases, '~other/x': '~other/x', $NONE: '$NONE' })) {
    expect(expandPath(path, env), path).toBe(expected);
  }
  expect(expandPath('$HOME/x', { HOME: '' })).toBe(join(userInfo().homedir, 'x'));
});

it('the cache of huggingface_hub is where its variables say', () => {
  const env = { HOME: '/h', DISK: '/disk' };
  expect(hubCache(env)).toBe('/h/.cache/huggingface/hub');
  expect(hubCache({ ...env, HF_HOME: '~/hf' })).toBe('/h/hf/hub');
  expect(hubCache({ ...env, HUGGINGFACE_HUB_CACHE: '$DISK/hub' })).toBe('/disk/hub');
  expect(hubCache({ ...env, HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '$HOME/new' })).toBe('/h/new');
  expect(cacheFolder('linux', { ...env, FIDDLER_CACHE: '~/f' })).toBe('/h/f');
  expect(cacheFolder('linux', { ...env, XDG_CACHE_HOME: '$DISK/c' })).toBe('/disk/c/fiddler');
});

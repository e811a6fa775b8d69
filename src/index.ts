export type {
  CacheReport,
  Channel,
  Expected,
  Figure,
  GeneratedToken,
  GenerateOptions,
  LaneReport,
  Limit,
  LoadOptions,
  ModelInfo,
  Report,
  ScoredToken,
  TokenLogprob,
} from './engine/options.js';
export { type ErrorCode, FiddlerError } from './errors.js';
export type { Profile } from './experts/profile.js';
export type { ChatMessage } from './text/template.js';
export type { ChatOptions, Conversation } from './thread/conversation.js';
export type { Generation, Scoring } from './thread/generation.js';
export { load, type Model } from './thread/model.js';
export type { Prompt, ScoredText } from './thread/protocol.js';

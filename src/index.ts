export { type ErrorCode, FiddlerError } from './errors.js';
export type { Profile } from './experts/profile.js';
export type {
  Activity,
  BeamOptions,
  CacheReport,
  CallPiece,
  Channel,
  Choice,
  Choices,
  ChoicesOptions,
  Expected,
  Figure,
  GeneratedToken,
  GenerateOptions,
  LaneActivity,
  LaneReport,
  Limit,
  LoadOptions,
  ModelInfo,
  Report,
  ScoredToken,
  TokenLogprob,
} from './options.js';
export type { ChatMessage, ToolCall } from './text/template.js';
export type { Tool } from './text/tools/format.js';
export type { ChatOptions, Conversation } from './thread/conversation.js';
export type { AnswerOptions, Generation, Scoring } from './thread/generation.js';
export { load, type Model } from './thread/model.js';
export type { Prompt, ScoredText } from './thread/protocol.js';

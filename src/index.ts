export { type ErrorCode, FiddlerError } from './errors.js';
export type { Profile } from './experts/profile.js';
export type { BeamOptions, ChoicesOptions, GenerateOptions, LoadOptions } from './options.js';
export type {
  Activity,
  CacheReport,
  CallPiece,
  Channel,
  Choice,
  Choices,
  Expected,
  Figure,
  GeneratedToken,
  LaneActivity,
  LaneReport,
  Limit,
  ModelInfo,
  Report,
  ScoredToken,
  TokenLogprob,
} from './report.js';
export type { ChatMessage, ToolCall } from './text/template.js';
export type { Tool } from './text/tools/format.js';
export type { ChatOptions, Conversation } from './thread/conversation.js';
export type { AnswerOptions, Generation, Scoring } from './thread/generation.js';
export { load, type Model } from './thread/model.js';
export type { Prompt, ScoredText } from './thread/protocol.js';

import { workerData } from 'node:worker_threads';
import { type CrewMemory, help } from './crew.js';

/** Milliseconds without work after which a helper ends. */
const PATIENCE = 3000;

help(workerData as CrewMemory, PATIENCE);

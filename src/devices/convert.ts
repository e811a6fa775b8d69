import { convertTogether } from '../weights/conversions/crew.js';
import { usableCpus } from './cores.js';

/** Converts weights on all cores. */
export const convert = convertTogether(usableCpus);

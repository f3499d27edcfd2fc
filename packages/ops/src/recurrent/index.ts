import type { Operator } from '@tenon/plugin';
import { operators as gru } from './gru.ts';
import { operators as lstm } from './lstm.ts';
import { operators as rnn } from './rnn.ts';

/** Recurrent layers over whole sequences. */
export const operators: readonly Operator[] = [...lstm, ...gru, ...rnn];

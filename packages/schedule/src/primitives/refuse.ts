import { TenonError } from '@tenon/plugin';

/**
 * Refuses a primitive. `code` becomes `schedule/<code>`; the message names what forbids it: blocks, the buffer of the
 * dependence, the loop.
 */
export function refuse(primitive: string, code: string, message: string, hint: string | null = null): never {
  throw new TenonError({ code: `schedule/${code}`, message: `${primitive}: ${message}`, hint });
}

/** Reads models in the format of acme. */
import { definePlugin } from '@tenon/plugin';
import { importModel } from './import.ts';
import { firstLine } from './parse.ts';

const start = new TextEncoder().encode(firstLine);

export default definePlugin({ name: 'tenon-frontend-acme', namespace: 'acme' }, () => ({
  frontends: [{
    name: 'acme',
    extensions: ['.acme'],
    detect: (head) => start.every((byte, i) => head[i] === byte),
    import: importModel,
  }],
}));

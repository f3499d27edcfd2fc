/** The library acme. */
import { definePlugin } from '@tenon/plugin';
import { library } from './library.ts';

export default definePlugin({ name: 'tenon-library-acme', namespace: 'acme' }, () => ({ libraries: [library] }));

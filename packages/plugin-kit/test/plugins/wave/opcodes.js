/** What the vector unit computes. Both halves agree on it. */
export const opcodes = ['add', 'sub', 'mul', 'neg', 'relu', 'leaky', 'sigmoid', 'silu'];

export const format = 'wave-bytecode';
export const formatVersion = 3;
/** "WAVE" */
export const magic = [0x57, 0x41, 0x56, 0x45];
export const lanes = 4;

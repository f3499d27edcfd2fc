/** A loop that becomes a C function of its own. */
export const outlined = 'outlined';

/** A loop whose iterations are not written out, even where buffers could live in registers then: they are many enough to overlap. */
export const rolled = 'rolled';

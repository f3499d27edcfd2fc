import { comment } from '../codegen/index.ts';
import { elements, type StandaloneModel } from './describe.ts';

/** The text of `main.c`: an example, and a tool to try the model with. */
export function exampleText(model: StandaloneModel): string {
  const { name, upper, inputs } = model;
  // An input whose elements are dims must say what the dims say.
  const contents = inputs.flatMap((input) => (input.contents ?? []).flatMap((value, element) => {
    const dim = value?.length === 1 ? model.dims.find((d) => `$${d.name}` === value[0]) : undefined;
    return dim === undefined ? [] : [`  if (i == ${input.index}) ((${elements[input.dtype]![1]}*)data)[${element}] = (${elements[input.dtype]![1]})dims[${dim.index}];`];
  }));
  return `${comment(`An example that runs ${name} on files, or on random numbers.`)}
#if !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE 1
#endif
#include "${name}.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int usage(void) {
  fprintf(stderr,
          "usage: ./main [--weights FILE] [--threads N] [--repeat N] [--dim NAME=N]... [--in NAME=FILE]... [--out NAME=FILE]...\\n"
          "Files hold elements as they lie in memory. Inputs without a file are random numbers.\\n");
  return 2;
}

static int fail(const char* what, ${name}_status status) {
  fprintf(stderr, "%s: %s\\n", what, ${name}_message(status));
  return 1;
}

/* The part after NAME= where the argument names this one. */
static const char* value_for(const char* argument, const char* tensor) {
  const size_t length = strlen(tensor);
  return strncmp(argument, tensor, length) == 0 && argument[length] == '=' ? argument + length + 1 : 0;
}

static void fill(int i, void* data, size_t bytes, const int64_t* dims) {
  static uint32_t state = 1;
  const ${name}_dtype dtype = ${name}_inputs[i].dtype;
  const size_t width = ${name}_dtype_bytes(dtype), count = width ? bytes / width : 0;
  memset(data, 0, bytes);
  for (size_t k = 0; k < count; k++) {
    state = state * 1664525u + 1013904223u;
    const double number = (double)(state >> 8) / 8388608.0 - 1.0;
    if (dtype == ${upper}_F32) ((float*)data)[k] = (float)number;
    else if (dtype == ${upper}_F64) ((double*)data)[k] = number;
    else if (dtype != ${upper}_F16 && dtype != ${upper}_BF16) ((unsigned char*)data)[k * width] = number > 0;
  }
${contents.join('\n')}
  (void)dims;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char** argv) {
  const char* weights = "${name}.weights";
  int threads = 0, repeat = 1;
  int64_t dims[${upper}_DIMS + 1];
  void* inputs[${upper}_INPUTS + 1];
  void* outputs[${upper}_OUTPUTS + 1];
  const char* files[${upper}_INPUTS + 1] = {0};
  const char* targets[${upper}_OUTPUTS + 1] = {0};

  for (int i = 0; i < ${upper}_DIMS; i++) {
    const ${name}_dim* d = &${name}_dims[i];
    const int64_t least = d->min > 1 ? d->min : 1;
    dims[i] = (least + d->multiple_of - 1) / d->multiple_of * d->multiple_of;
  }
  for (int a = 1; a < argc; a += 2) {
    const char* value = a + 1 < argc ? argv[a + 1] : 0;
    int known = value != 0;
    if (!known) return usage();
    if (!strcmp(argv[a], "--weights")) weights = value;
    else if (!strcmp(argv[a], "--threads")) threads = atoi(value);
    else if (!strcmp(argv[a], "--repeat")) repeat = atoi(value);
    else {
      known = 0;
      const char* rest;
      if (!strcmp(argv[a], "--dim"))
        for (int i = 0; i < ${upper}_DIMS; i++) if ((rest = value_for(value, ${name}_dims[i].name))) dims[i] = atoll(rest), known = 1;
      if (!strcmp(argv[a], "--in"))
        for (int i = 0; i < ${upper}_INPUTS; i++) if ((rest = value_for(value, ${name}_inputs[i].name))) files[i] = rest, known = 1;
      if (!strcmp(argv[a], "--out"))
        for (int i = 0; i < ${upper}_OUTPUTS; i++) if ((rest = value_for(value, ${name}_outputs[i].name))) targets[i] = rest, known = 1;
    }
    if (!known) return usage();
  }

  ${name}* model;
  ${name}_status status = ${name}_create(weights, threads, &model);
  if (status) return fail(weights, status);
  int64_t shape[${upper}_MAX_RANK];
  for (int i = 0; i < ${upper}_INPUTS; i++) {
    if ((status = ${name}_input_shape(i, dims, shape))) return fail(${name}_inputs[i].name, status);
    const size_t bytes = ${name}_input_bytes(i, dims);
    if (!(inputs[i] = malloc(bytes + 1))) return fail("inputs", ${upper}_ERROR_MEMORY);
    if (!files[i]) fill(i, inputs[i], bytes, dims);
    else {
      FILE* file = fopen(files[i], "rb");
      const size_t read = file ? fread(inputs[i], 1, bytes + 1, file) : 0;
      if (file) fclose(file);
      if (!file || read != bytes) {
        fprintf(stderr, "%s: the file has not the %zu bytes of %s\\n", files[i], bytes, ${name}_inputs[i].name);
        return 1;
      }
    }
  }
  for (int i = 0; i < ${upper}_OUTPUTS; i++) {
    if ((status = ${name}_output_shape(i, dims, shape))) return fail(${name}_outputs[i].name, status);
    if (!(outputs[i] = malloc(${name}_output_bytes(i, dims) + 1))) return fail("outputs", ${upper}_ERROR_MEMORY);
  }

  double best = 0;
  for (int i = 0; i < repeat; i++) {
    const double begin = seconds();
    if ((status = ${name}_run(model, dims, (const void* const*)inputs, outputs))) return fail("run", status);
    const double took = seconds() - begin;
    if (i == 0 || took < best) best = took;
  }
  printf("%.3f ms (best of %d)\\n", 1e3 * best, repeat);

  for (int i = 0; i < ${upper}_OUTPUTS; i++) {
    const ${name}_tensor* t = &${name}_outputs[i];
    const size_t bytes = ${name}_output_bytes(i, dims);
    if ((status = ${name}_output_shape(i, dims, shape))) return fail(t->name, status);
    printf("%s [", t->name);
    for (int axis = 0; axis < t->rank; axis++) printf("%s%lld", axis ? ", " : "", (long long)shape[axis]);
    printf("]");
    for (size_t k = 0; k < 4 && t->dtype == ${upper}_F32 && k < bytes / sizeof(float); k++) printf(" %g", (double)((float*)outputs[i])[k]);
    printf("\\n");
    if (targets[i]) {
      FILE* file = fopen(targets[i], "wb");
      const size_t written = file ? fwrite(outputs[i], 1, bytes, file) : 0;
      if (!file || fclose(file) || written != bytes) {
        fprintf(stderr, "%s: cannot be written\\n", targets[i]);
        return 1;
      }
    }
    free(outputs[i]);
  }
  for (int i = 0; i < ${upper}_INPUTS; i++) free(inputs[i]);
  ${name}_destroy(model);
  return 0;
}
`;
}

/* One sample, from C, and the model's file: consumer_c MODEL */
#include <stdio.h>

#include "onestep.h"

int main(int argc, char** argv) {
  onestep_model* model = NULL;
  onestep_samples* samples = NULL;
  onestep_model_info info = {0};
  int failed;
  if (argc != 2) return 2;
  info.size = sizeof info;
  failed = onestep_load(argv[1], NULL, &model) != ONESTEP_OK || onestep_describe(model, &info) != ONESTEP_OK ||
           onestep_generate(model, "{\"count\": 1}", NULL, &samples) != ONESTEP_OK || onestep_count(samples) != 1;
  puts(failed ? onestep_error() : info.file);
  onestep_free_samples(samples);
  onestep_free_model(model);
  return failed;
}

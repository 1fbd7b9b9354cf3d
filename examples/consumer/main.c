/* One sample, from C: consumer_c MODEL */
#include <stdio.h>

#include "onestep.h"

int main(int argc, char** argv) {
  onestep_model* model = NULL;
  onestep_samples* samples = NULL;
  int failed;
  if (argc != 2) return 2;
  failed = onestep_load(argv[1], NULL, &model) != ONESTEP_OK ||
           onestep_generate(model, "{\"count\": 1}", NULL, &samples) != ONESTEP_OK || onestep_count(samples) != 1;
  puts(failed ? onestep_error() : onestep_version());
  onestep_free_samples(samples);
  onestep_free_model(model);
  return failed;
}

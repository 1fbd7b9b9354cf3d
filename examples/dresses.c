/* Sixteen dresses as one picture, in C: dresses MODEL LABEL PICTURE */
#include <stdio.h>

#include "onestep.h"

static int show(const onestep_progress* progress, void* user) {
  (void)user;
  printf("%d of %d samples\n", (int)progress->samples_done, (int)progress->samples);
  return 0; /* anything else stops */
}

int main(int argc, char** argv) {
  onestep_model* model = NULL;
  onestep_samples* samples = NULL;
  onestep_extras extras = ONESTEP_EXTRAS_DEFAULTS;
  char request[200];
  int failed;

  if (argc != 4) return 2;
  extras.on_progress = show;
  snprintf(request, sizeof request, "{\"count\": 16, \"labels\": [\"%s\"]}", argv[2]);
  failed = onestep_load(argv[1], NULL, &model) != ONESTEP_OK ||
           onestep_generate(model, request, &extras, &samples) != ONESTEP_OK ||
           onestep_save(argv[3], samples, 4) != ONESTEP_OK;
  if (failed) fprintf(stderr, "%s\n", onestep_error());
  onestep_free_samples(samples);
  onestep_free_model(model);
  return failed;
}

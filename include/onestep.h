/** \file
 * onestep's C interface: models, samples and canvases for programs in C99, and in any language that calls C.
 *
 * What it does is said at the C++ functions that it is made of (onestep/generator.hpp, canvas.hpp, save.hpp); here is
 * what differs. A request is JSON, as a picture made by onestep carries it and as the server takes it:
 *
 *     onestep_model* model;
 *     onestep_samples* samples;
 *     if (onestep_load("fashion", NULL, &model) != ONESTEP_OK) { puts(onestep_error()); return 1; }
 *     onestep_generate(model, "{\"count\": 16, \"labels\": [\"dress\"]}", NULL, &samples);
 *     onestep_save("dresses.png", samples, 0);
 *     onestep_free_samples(samples);
 *     onestep_free_model(model);
 *
 * Every function that can fail returns a status, and leaves a text for onestep_error(). Whatever is handed out is NULL
 * then. Pointers to texts and numbers live as long as the handle they come from. A struct begins with its size, so that
 * a program goes on to work with a later library: set it to sizeof, or fill the struct from ONESTEP_..._DEFAULTS. What
 * a program leaves 0 is the default. Handles are as the C++ objects: several threads may use one at once, and none
 * while it is freed.
 *
 * Symbols and structs stay what they are for as long as the library's SOVERSION stays; docs/c.md says what may be
 * added. */
#ifndef ONESTEP_H
#define ONESTEP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
/** Of all that the library shows. */
#define ONESTEP_API __attribute__((visibility("default")))
#else
#define ONESTEP_API
#endif

/* --- errors */

/** What a call came to: as the exit codes of the command line. */
typedef enum onestep_status {
  ONESTEP_OK = 0,        /**< All was done. */
  ONESTEP_FAULT = 1,     /**< A fault of onestep's own. */
  ONESTEP_USAGE = 2,     /**< A request that can't be met, an argument that is NULL. */
  ONESTEP_MODEL = 3,     /**< The model: missing, not a model, broken, fails. */
  ONESTEP_FILE = 4,      /**< Another file. */
  ONESTEP_NUMERICAL = 5, /**< NaN or infinity in a result. */
  ONESTEP_MEMORY = 6,    /**< Too little memory. */
  ONESTEP_STOPPED = 130  /**< A callback asked to stop. What was finished is handed out. */
} onestep_status;

/** What went wrong in this thread's last call that failed: the thing, its value, the rule and the way out, in UTF-8. It
 * lives until the next call of this thread that fails. "" before the first. */
ONESTEP_API const char* onestep_error(void);

/** Such as "0.1.0". */
ONESTEP_API const char* onestep_version(void);

/* --- the process */

/** CPU threads of all network calls, in [1, 1024]. */
ONESTEP_API onestep_status onestep_set_threads(int threads);

/** What networks print, and libtorch warns of: by default nobody hears it. Called from any thread, from several at
 * once. NULL: nobody again. */
typedef void (*onestep_message)(const char* network, const char* text, void* user);
/** Takes what they say, in place of the handler before; user is handed on to it. */
ONESTEP_API onestep_status onestep_set_message_handler(onestep_message handler, void* user);

/* --- models */

/** A model, ready to draw samples. */
typedef struct onestep_model onestep_model;

/** Of the network's products. */
typedef enum onestep_precision {
  ONESTEP_AUTOMATIC = 0, /**< bf16 where this machine is fast at it and the model's samples stay the same, else fp32. */
  ONESTEP_FP32 = 1,      /**< float32. */
  ONESTEP_BF16 = 2,      /**< bfloat16. */
  ONESTEP_FP16 = 3       /**< float16, on a GPU. */
} onestep_precision;

/** How a model is loaded. */
typedef struct onestep_load_options {
  size_t size;                 /**< sizeof(onestep_load_options). */
  const char* device;          /**< "cpu", "cuda" or "cuda:1". NULL: "cpu". */
  int no_engine;               /**< Not 0: libtorch runs the network as it is. */
  onestep_precision precision; /**< Of the network's products. */
} onestep_load_options;
/** For a program that sets some of them. */
#define ONESTEP_LOAD_OPTIONS_DEFAULTS \
  { sizeof(onestep_load_options), NULL, 0, ONESTEP_AUTOMATIC }

/** model: a file, a model folder, or the name of a shipped model. options: NULL for the defaults. */
ONESTEP_API onestep_status onestep_load(const char* model, const onestep_load_options* options, onestep_model** loaded);
/** NULL: nothing. Canvases and samples of the model live on. */
ONESTEP_API void onestep_free_model(onestep_model* model);

/** What a model says of itself. */
typedef struct onestep_model_info {
  size_t size;                /**< sizeof(onestep_model_info). */
  const char* name;           /**< Such as "fashion". */
  const char* license;        /**< An SPDX identifier, or what the file says. */
  const char* file;           /**< From which it was loaded. */
  const char* role;           /**< "consistency", "diffusion" or "flow_map". */
  const char* modality;       /**< "image", "audio", "video" or "music". */
  const int64_t* shape;       /**< Of one sample's values: [C, H, W], [C, L], [C, T, H, W] or [4, pitches, sixteenths]. */
  size_t rank;                /**< How many sizes that shape has. */
  const int64_t* noise_shape; /**< Of one draw of a sample's noise. */
  size_t noise_rank;          /**< How many sizes that shape has. */
  double range_low;           /**< Of the values, nominally. */
  double range_high;          /**< The same. */
  double rate;                /**< Hz, frames a second, or quarter notes a minute; 0 for images. */
  double sigma_min;           /**< The lowest noise level, in units of the data. */
  double sigma_max;           /**< The highest. */
  int64_t label_count;        /**< 0: none. */
  const char* precision;      /**< Of the network's products: "fp32", "bf16" or "fp16". */
} onestep_model_info;
/** What a model says of itself. info->size is to be set. */
ONESTEP_API onestep_status onestep_describe(const onestep_model* model, onestep_model_info* info);

/** The name of a label, "" where it has none; NULL unless label is in [0, label_count). */
ONESTEP_API const char* onestep_label_name(const onestep_model* model, int64_t label);
/** The label of a name, whatever the case, or of a number in digits. */
ONESTEP_API onestep_status onestep_find_label(const onestep_model* model, const char* name, int64_t* label);

/* --- samples */

/** Samples that were drawn, and the report of it. */
typedef struct onestep_samples onestep_samples;

/** How far a call is. */
typedef struct onestep_progress {
  size_t size;          /**< sizeof(onestep_progress). */
  int64_t calls_done;   /**< Network calls made so far. */
  int64_t calls;        /**< In all. */
  int64_t samples_done; /**< Samples finished so far. */
  int64_t samples;      /**< In all. */
} onestep_progress;
/** Called after every network call, from the thread that called. Not 0: stop. */
typedef int (*onestep_on_progress)(const onestep_progress* progress, void* user);

/** A sample. */
typedef struct onestep_sample {
  size_t size;          /**< sizeof(onestep_sample). */
  uint64_t seed;        /**< From which its noise was made. */
  int64_t label;        /**< -1: the model has none. */
  const float* values;  /**< In C order, nominally in the model's range, not clamped. */
  size_t count;         /**< Of the values. */
  const int64_t* shape; /**< Of the values: that of the model, at the sizes asked for. */
  size_t rank;          /**< How many sizes that shape has. */
} onestep_sample;
/** Takes each sample as it is finished; what it points to lives until it returns. Not 0: stop. */
typedef int (*onestep_on_sample)(const onestep_sample* sample, void* user);

/** Editing without training: onestep/generator.hpp says what each is. Arrays are float32 in C order. */
typedef enum onestep_edit {
  ONESTEP_NO_EDIT = 0,  /**< Samples from noise alone. */
  ONESTEP_INPAINT = 1,  /**< input: a sample, mask: 1 where it is known and 0 where it is to be drawn. */
  ONESTEP_COLORIZE = 2, /**< input: the luma. */
  ONESTEP_UPSCALE = 3,  /**< input: the means of squares of factor x factor pixels. */
  ONESTEP_STROKE = 4,   /**< input: a rough picture. */
  ONESTEP_DENOISE = 5   /**< input: a noisy sample. */
} onestep_edit;

/** What a request has beside its JSON. Arrays are copied. */
typedef struct onestep_extras {
  size_t size;                     /**< sizeof(onestep_extras). */
  onestep_on_progress on_progress; /**< NULL: nobody is told. */
  void* progress_user;             /**< Handed on to it. */
  const float* noise;              /**< [draws, seeds, ...noise_shape] in place of the seeds' own. */
  size_t noise_count;              /**< Of its values. */
  onestep_edit edit;               /**< With the sampler consistency alone. */
  const float* input;              /**< Of the edit; NULL: none. */
  size_t input_count;              /**< Of its values. */
  const float* mask;               /**< Of inpaint, of the sample's shape; NULL: none. */
  size_t mask_count;               /**< Of its values. */
  int factor;                      /**< Of upscale, 2 or more, a divisor of H and W. */
} onestep_extras;
/** None; for a program that sets some of them. */
#define ONESTEP_EXTRAS_DEFAULTS \
  { sizeof(onestep_extras), NULL, NULL, NULL, 0, ONESTEP_NO_EDIT, NULL, 0, NULL, 0, 0 }

/** request: JSON, of which "seeds" or "count" is required; onestep/request_json.hpp has the fields. extras: NULL for
 * none. */
ONESTEP_API onestep_status onestep_generate(const onestep_model* model, const char* request,
                                            const onestep_extras* extras, onestep_samples** samples);
/** The same, handing over each sample as its batch ends: memory does not grow with their number. */
ONESTEP_API onestep_status onestep_generate_each(const onestep_model* model, const char* request,
                                                 const onestep_extras* extras, onestep_on_sample on_sample, void* user);
/** NULL: nothing. */
ONESTEP_API void onestep_free_samples(onestep_samples* samples);

/** How many there are. NULL: 0. */
ONESTEP_API size_t onestep_count(const onestep_samples* samples);
/** One of them: index in [0, count). sample->size is to be set. */
ONESTEP_API onestep_status onestep_get(const onestep_samples* samples, size_t index, onestep_sample* sample);

/** What was done, or would be. */
typedef struct onestep_report {
  size_t size;          /**< sizeof(onestep_report). */
  const char* sampler;  /**< Its name. */
  const double* levels; /**< The noise levels, falling. */
  size_t level_count;   /**< How many there are. */
  int64_t nfe;          /**< Network calls a sample. */
  double seconds;       /**< Spent sampling. */
  int stopped;          /**< 1: on request, before all were done. */
} onestep_report;
/** What was done for these samples. report->size is to be set. */
ONESTEP_API onestep_status onestep_report_of(const onestep_samples* samples, onestep_report* report);
/** What a request would do, without a network call: samples that are none, with a report. */
ONESTEP_API onestep_status onestep_plan(const onestep_model* model, const char* request, const onestep_extras* extras,
                                        onestep_samples** samples);

/** Writes .png, .jpg, .webp, .wav, .mid, .npy or .npz, whole or not at all. columns: of a grid; 0: about as many as
 * rows. */
ONESTEP_API onestep_status onestep_save(const char* file, const onestep_samples* samples, int columns);

/** Noise for extras.noise: [draws, frames, ...noise_shape] from the noise of one seed to another's, count values in
 * all. values: NULL to be told count alone. */
ONESTEP_API onestep_status onestep_interpolate_seeds(const onestep_model* model, uint64_t first, uint64_t last,
                                                     int frames, int draws, float* values, size_t* count);

/* --- canvases */

/** An endless plane, or line, of one model, seed, label and sampler. */
typedef struct onestep_canvas onestep_canvas;

/** How a plane is kept and cut. */
typedef struct onestep_canvas_options {
  size_t size;           /**< sizeof(onestep_canvas_options). */
  int64_t period_width;  /**< Pixels after which the plane begins anew; 0: endless. */
  int64_t period_height; /**< The same, downwards. */
  size_t cache_bytes;    /**< Of finished tiles that are kept; 0: 256 MiB. */
  int64_t tile;          /**< Side of a tile; 0: as the model likes. */
  const int64_t* labels; /**< [labels_height, labels_width] in C order, spread over the rectangle below; NULL: none. */
  int64_t labels_width;  /**< 1 or more. */
  int64_t labels_height; /**< 1 or more. */
  int64_t x;             /**< Of the rectangle's upper left corner. */
  int64_t y;             /**< The same. */
  int64_t width;         /**< Of the rectangle, 1 or more. */
  int64_t height;        /**< The same. */
} onestep_canvas_options;
/** For a program that sets some of them. */
#define ONESTEP_CANVAS_OPTIONS_DEFAULTS \
  { sizeof(onestep_canvas_options), 0, 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0 }

/** A plane of a model, which may be freed before it. request: one seed, and one label or none. */
ONESTEP_API onestep_status onestep_new_canvas(const onestep_model* model, const char* request,
                                              const onestep_canvas_options* options, onestep_canvas** canvas);
/** NULL: nothing. */
ONESTEP_API void onestep_free_canvas(onestep_canvas* canvas);

/** What a canvas does. */
typedef struct onestep_canvas_report {
  size_t size;             /**< sizeof(onestep_canvas_report). */
  const char* sampler;     /**< Its name. */
  int64_t nfe;             /**< Network calls a tile. */
  int exact;               /**< 1: tiles with a margin; 0: overlapping windows. */
  int64_t tile_width;      /**< Of what one network call draws. */
  int64_t tile_height;     /**< The same. */
  int64_t margin;          /**< Of a call's sample, cut off at each side. */
  int64_t multiple_width;  /**< What a period must be a multiple of. */
  int64_t multiple_height; /**< The same. */
} onestep_canvas_report;
/** How the plane is drawn; nothing is drawn to say it. report->size is to be set. */
ONESTEP_API onestep_status onestep_canvas_report_of(const onestep_canvas* canvas, onestep_canvas_report* report);

/** A part of the plane: values [C, height, width], or [C, T, height, width], or [C, width] where y is 0 and height 1;
 * count is how many the program has room for, which must be as many as there are. When stopped, values are left as they
 * are. */
ONESTEP_API onestep_status onestep_region(const onestep_canvas* canvas, int64_t x, int64_t y, int64_t width,
                                          int64_t height, float* values, size_t count, onestep_on_progress on_progress,
                                          void* user);
/** Writes a part of the plane to .png, .jpg, .webp or .npy, band by band, whole or not at all. */
ONESTEP_API onestep_status onestep_save_region(const char* file, const onestep_canvas* canvas, int64_t x, int64_t y,
                                               int64_t width, int64_t height, onestep_on_progress on_progress,
                                               void* user);

#ifdef __cplusplus
}
#endif

#endif

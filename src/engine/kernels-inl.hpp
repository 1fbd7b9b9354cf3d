// What the kernels of one instruction set share. Included once for each, so its guard is Highway's.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "kernels.hpp"

#if defined(ONESTEP_ENGINE_KERNELS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ONESTEP_ENGINE_KERNELS_INL
#undef ONESTEP_ENGINE_KERNELS_INL
#else
#define ONESTEP_ENGINE_KERNELS_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace onestep::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_MAX_BYTES >= 64
using D = hn::FixedTag<float, 16>;
#elif HWY_MAX_BYTES >= 32
using D = hn::FixedTag<float, 8>;
#elif HWY_MAX_BYTES >= 16
using D = hn::FixedTag<float, 4>;
#else
using D = hn::FixedTag<float, 1>;
#endif
using V = hn::Vec<D>;
constexpr D d;
constexpr std::int64_t lanes = static_cast<std::int64_t>(hn::MaxLanes(d));

HWY_INLINE V silu(V x) {
  // Highway's Exp is for arguments up to 104, where it is infinity, which makes the quotient 0.
  const V exponent = hn::Min(hn::Neg(x), hn::Set(d, 104.0f));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), hn::Exp(d, exponent)));
}

/// Stores the first `count` lanes; what lies behind them may be another's.
HWY_INLINE void store_some(V value, float* to, std::int64_t count) {
  if (count >= lanes) {
    hn::StoreU(value, d, to);
    return;
  }
  HWY_ALIGN float part[lanes];
  hn::Store(value, d, part);
  for (std::int64_t i = 0; i < count; ++i) to[i] = part[i];
}

/// The epilogue of one vector at column c of a row.
HWY_INLINE V finish(V sum, const Epilogue& epilogue, std::int64_t row, std::int64_t c) {
  if (epilogue.addends) sum = hn::Add(sum, hn::LoadU(d, epilogue.addends[row] + c));
  if (epilogue.residuals) {
    sum = hn::MulAdd(hn::Set(d, epilogue.residual_scale), hn::LoadU(d, epilogue.residuals[row] + c), sum);
  }
  return epilogue.activation == Activation::silu ? silu(sum) : sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace onestep::kernels
HWY_AFTER_NAMESPACE();

#endif  // ONESTEP_ENGINE_KERNELS_INL

// What the kernels of one instruction set share. Included once for each, so its guard is Highway's.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "kernels/kernels.hpp"

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

/// A NaN stays one, whatever an instruction makes of it.
HWY_INLINE V unless_nan(V x, V y) { return hn::IfThenElse(hn::IsNaN(x), x, y); }

/// 0 in place of NaN, of which Highway's functions must not be asked where they are emulated.
HWY_INLINE V number_of(V x) { return hn::IfThenZeroElse(hn::IsNaN(x), x); }

// Highway's Exp is for arguments up to 104, where it is infinity. At -104 it is as good as 0.
HWY_INLINE V exp_of(V x) { return hn::Exp(d, hn::Clamp(x, hn::Set(d, -104.0f), hn::Set(d, 104.0f))); }

/// Of what is at most 0, or NaN.
HWY_INLINE V exp_of_difference(V x) { return unless_nan(x, hn::Exp(d, number_of(x))); }

/// x sigmoid(t)
HWY_INLINE V gated(V x, V t) { return hn::Div(x, hn::Add(hn::Set(d, 1.0f), exp_of(hn::Neg(t)))); }

/// x Phi(x), with the complementary error function of Abramowitz & Stegun 1964, 7.1.26: to 1.5e-7 of x/2.
HWY_INLINE V gelu(V x) {
  const V size = hn::Abs(x);
  const V t = hn::Div(hn::Set(d, 1.0f), hn::MulAdd(hn::Set(d, 0.3275911f * 0.70710678f), size, hn::Set(d, 1.0f)));
  V sum = hn::Set(d, 1.061405429f);
  for (const float a : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f}) {
    sum = hn::MulAdd(sum, t, hn::Set(d, a));
  }
  const V half = hn::Mul(hn::Set(d, 0.5f), size);
  const V tail = hn::Mul(hn::Mul(sum, t), exp_of(hn::Neg(hn::Mul(half, size))));
  return hn::NegMulAdd(half, tail, hn::Max(x, hn::Zero(d)));
}

/// x tanh(log(1 + u)) with u = exp(x): (1 + u)^2 is 1 + t with t = u (u + 2), and tanh t / (t + 2). It is 1 long
/// before x = 20.
HWY_INLINE V mish(V x) {
  const V two = hn::Set(d, 2.0f), u = exp_of(hn::Min(x, hn::Set(d, 20.0f))), t = hn::Mul(u, hn::Add(u, two));
  return hn::Mul(x, hn::Div(t, hn::Add(t, two)));
}

template <Activation::Kind kind>
struct Activate {
  float low, high, slope;

  HWY_INLINE V operator()(V x) const {
    switch (kind) {
      case Activation::none:
        break;
      case Activation::silu:
        return gated(x, x);
      case Activation::gelu:
        return gelu(x);
      case Activation::gelu_tanh: {
        // (1 + tanh(t)) / 2 is sigmoid(2 t); the factor is 2 sqrt(2 / pi).
        const V inner = hn::MulAdd(hn::Set(d, 0.044715f), hn::Mul(x, x), hn::Set(d, 1.0f));
        return gated(x, hn::Mul(hn::Mul(hn::Set(d, 1.5957691216f), x), inner));
      }
      case Activation::mish:
        return mish(x);
      case Activation::sigmoid:
        return unless_nan(x, gated(hn::Set(d, 1.0f), x));
      case Activation::tanh:
        return unless_nan(x, hn::Tanh(d, number_of(x)));
      case Activation::leaky_relu:
        return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(hn::Set(d, slope), x), x);
      case Activation::clamp:
        return unless_nan(x, hn::Min(hn::Max(x, hn::Set(d, low)), hn::Set(d, high)));
    }
    return x;
  }
};

/// Calls work with the activation as a type of its own, which costs nothing where there is none.
template <typename Work>
HWY_INLINE auto with(const Activation& activation, Work work) {
  const auto [kind, low, high, slope] = activation;
  switch (kind) {
    case Activation::none:
      break;
    case Activation::silu:
      return work(Activate<Activation::silu>{low, high, slope});
    case Activation::gelu:
      return work(Activate<Activation::gelu>{low, high, slope});
    case Activation::gelu_tanh:
      return work(Activate<Activation::gelu_tanh>{low, high, slope});
    case Activation::mish:
      return work(Activate<Activation::mish>{low, high, slope});
    case Activation::sigmoid:
      return work(Activate<Activation::sigmoid>{low, high, slope});
    case Activation::tanh:
      return work(Activate<Activation::tanh>{low, high, slope});
    case Activation::leaky_relu:
      return work(Activate<Activation::leaky_relu>{low, high, slope});
    case Activation::clamp:
      return work(Activate<Activation::clamp>{low, high, slope});
  }
  return work(Activate<Activation::none>{low, high, slope});
}

HWY_INLINE V activated(const Activation& activation, V x) {
  // The vector would go through memory to a function of its own.
  return with(
      activation, [x](auto activate) __attribute__((always_inline)) { return activate(x); });
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
  return activated(epilogue.activation, sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace onestep::kernels
HWY_AFTER_NAMESPACE();

#endif  // ONESTEP_ENGINE_KERNELS_INL

/**
 * Numbers of 16 bits by integer instructions: WebAssembly's own are still a proposal. Conversions as in
 * F. Giesen, "Float to half" (fast3_rtne, fast5); scalar reference: src/stream/half.ts.
 */

/** Four float32 to four halves in the low 16 bits of each lane; the nearest, within +-65504. */
@inline
export function half4(x: v128): v128 {
  const sign = v128.and(x, i32x4.splat(0x80000000))
  const size = v128.xor(x, sign)
  const bounded = f32x4.pmin(size, f32x4.splat(65504)) // lets NaN through
  // below 2^-14: adding 1/2 leaves the digits that there are
  const coarse = f32x4.splat(0.5)
  const small = i32x4.sub(f32x4.add(bounded, coarse), coarse)
  const odd = v128.and(i32x4.shr_u(bounded, 13), i32x4.splat(1))
  const rounded = i32x4.add(i32x4.add(bounded, i32x4.splat(0xfff - 0x38000000)), odd)
  const isSmall = i32x4.lt_s(bounded, i32x4.splat(0x38800000))
  const value = v128.bitselect(small, i32x4.shr_u(rounded, 13), isSmall)
  const number = v128.bitselect(value, i32x4.splat(0x7e00), f32x4.eq(x, x))
  return v128.or(number, i32x4.shr_u(sign, 16))
}

/** Four halves from memory to float32, exactly. */
@inline
export function loadHalf4(from: usize): v128 {
  // the sign comes as four copies, of which the first stays
  const bits = v128.and(i32x4.shl(v128.load16x4_s(from), 13), i32x4.splat(0x8fffe000))
  const x = f32x4.mul(bits, f32x4.splat(5.192296858534828e33)) // 2^112, the exponents' offset
  const isNumber = f32x4.lt(f32x4.abs(x), f32x4.splat(65536))
  return v128.or(x, v128.andnot(i32x4.splat(0x7f800000), isNumber))
}

/** `n` numbers to halves; any `n`. */
export function toHalves(x: usize, n: u32, y: usize): void {
  let i: u32 = 0
  for (; i + 4 <= n; i += 4) {
    const four = half4(v128.load(x + (<usize>i << 2)))
    v128.store64_lane(y + (<usize>i << 1), i8x16.shuffle(four, four, 0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13), 0)
  }
  for (; i < n; i++) {
    const one = half4(f32x4.splat(load<f32>(x + (<usize>i << 2))))
    store<u16>(y + (<usize>i << 1), <u16>i32x4.extract_lane(one, 0))
  }
}

/** `n` halves to numbers, `n` a multiple of 8. */
export function fromHalves(x: usize, n: u32, y: usize): void {
  const end = x + (<usize>n << 1)
  for (; x < end; x += 16, y += 32) {
    v128.store(y, loadHalf4(x))
    v128.store(y, loadHalf4(x + 8), 16)
  }
}

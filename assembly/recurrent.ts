/** What a recurrent cell does number by number; its products are those of every other layer. */
import { loadSome, storeSome } from './elementwise'
import { sigmoid4, tanh4 } from './math'

/**
 * A gated recurrent unit, its state kept less `first`, so that zeros are where it begins:
 *
 *   r = sigmoid(x_r + u_r), z = sigmoid(x_z + u_z), c = tanh(x_n + r u_n)
 *   h = (1 - z) (c - first) + z h
 *
 * @param x what the input gives, [3 n], @param u what the last state gives, [3 n], both for r, z and c
 */
export function recur(x: usize, u: usize, first: usize, n: u32, h: usize): void {
  const part = <usize>n << 2
  for (let i: u32 = 0; i < n; i += 4) {
    const at = <usize>i << 2
    const rest = n - i
    const xr = x + at
    const ur = u + at
    const r = sigmoid4(f32x4.add(loadSome(xr, rest), loadSome(ur, rest)))
    const z = sigmoid4(f32x4.add(loadSome(xr + part, rest), loadSome(ur + part, rest)))
    const un = loadSome(ur + 2 * part, rest)
    const c = tanh4(f32x4.add(loadSome(xr + 2 * part, rest), f32x4.mul(r, un)))
    const to = f32x4.sub(c, loadSome(first + at, rest))
    const y = f32x4.add(to, f32x4.mul(z, f32x4.sub(loadSome(h + at, rest), to)))
    storeSome(h + at, y, rest)
  }
}

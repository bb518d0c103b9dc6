package ring

import "math/bits"

// fracBits is the number of fractional bits of negLog2.
const fracBits = 48

// log2eHalf is log2(e)/2 in units of 2^-64.
const log2eHalf = 0xb8aa3b295c17f0bc

// negLog2 returns -log2(u) for u = (2h+1)/2^33, in units of 2^-48.
//
// It is strictly decreasing in h, off by less than 2^-46, and exact to a
// relative 2^-15 where it is smallest (u close to 1, where the best scores of a
// large fleet are). It is integer arithmetic only: members on different
// architectures must agree on every bit, and floating point does not give that
// (math.Log has assembly on some architectures, and the compiler may fuse
// x*y + z into one rounding on others).
//
// Method: u = 2^e * M with M in [1, 2). The first eight fraction bits of M pick
// i and so r = 256/(257+i), which makes M*r = 1-d with 0 <= d < 2^-8; then
// -log2(M) = log2(r) + (d + d²/2 + d³/3 + d⁴/4 + d⁵/5) * log2(e), the rest being
// below 2^-50. Just under u = 1, r is exactly 1/2 and d exactly 1-u.
func negLog2(h uint32) uint64 {
	x := uint64(h)<<1 | 1
	shift := bits.LeadingZeros64(x)
	m := x << shift // M in units of 2^-63
	i := m >> 55 & 0xff
	z, _ := bits.Mul64(m, recipTable[i])
	d := (1<<63 - z) << 1 // in units of 2^-64

	q := mulHi(d, ^uint64(0)/5) + ^uint64(0)/4
	q = mulHi(d, q) + ^uint64(0)/3
	q = mulHi(d, q) + ^uint64(0)/2
	s := mulHi(d, mulHi(d, q)) + d
	return uint64(shift-30)<<fracBits - log2Table[i] + mulHi(s, log2eHalf)>>(63-fracBits)
}

// mulHi returns x*y / 2^64.
func mulHi(x, y uint64) uint64 {
	hi, _ := bits.Mul64(x, y)
	return hi
}

// recipTable[i] is 256/(257+i) in units of 2^-64; log2Table[i] is
// log2((257+i)/256) in units of 2^-48. Written once, before main.
var recipTable, log2Table = logTables()

func logTables() (recip, log [256]uint64) {
	for i := range recip {
		recip[i], _ = bits.Div64(256, 0, uint64(257+i))
		log[i] = log2(uint64(257 + i))
	}
	return recip, log
}

// log2 returns log2(n/256) for n in 256..512, in units of 2^-48, digit by digit:
// squaring x doubles its logarithm, and whether the square reaches 2 is the next
// binary digit.
func log2(n uint64) uint64 {
	if n == 512 {
		return 1 << fracBits
	}
	var digits uint64
	x := n << 55 // in units of 2^-63, in [1, 2)
	for range fracBits {
		hi, lo := bits.Mul64(x, x) // in units of 2^-126
		digits <<= 1
		if hi>>63 == 1 {
			digits |= 1
			x = hi
		} else {
			x = hi<<1 | lo>>63
		}
	}
	return digits
}

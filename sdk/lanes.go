package sdk

import "math/bits"

// Scanning is most of what a policy does, and a compiled loop costs so much in WebAssembly that a
// byte at a time is several times slower than the arithmetic below, which looks at eight: a word of
// text is eight lanes of one byte, the first byte lowest, and a set of lanes is a word with the top
// bit of each member's byte.

const (
	lanes    = 8
	ones     = 0x0101010101010101
	allLanes = 0x80 * ones
	topLane  = 1 << 63
	lowLane  = 0x80
)

// fullWord returns the eight bytes at text[at:], which must be there. It is small enough to be
// inlined, and that is half of the gain: a loop reads all words but the last with it.
func fullWord(text string, at int) uint64 {
	b := text[at : at+lanes] // the compiler makes one load of these
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// lastWord returns the fewer than eight bytes at text[at:], and zeros behind them.
func lastWord(text string, at int) (w uint64) {
	for i := len(text) - 1; i >= at; i-- {
		w = w<<lanes | uint64(text[i])
	}
	return w
}

// equal returns the lanes of w that hold b.
func equal(w uint64, b byte) uint64 {
	different := w ^ ones*uint64(b)
	// Adding to the low seven bits of a lane carries into its top bit, and no further, unless they
	// are zero.
	return ^(different&^allLanes + ^uint64(allLanes) | different) & allLanes
}

// firstLane returns the index of the lowest lane of a set that is not empty.
func firstLane(set uint64) int { return bits.TrailingZeros64(set) / lanes }

// escapedLanes returns the lanes that the backslashes before them escape. carry, in and out, is the
// low lane when the word before ended in a backslash that escapes the first byte of the next.
func escapedLanes(backslashes, carry uint64) (escaped, carryOut uint64) {
	escaped = carry
	backslashes &^= carry
	for backslashes != 0 {
		first := backslashes & -backslashes
		escaped |= first << lanes
		backslashes &^= first | first<<lanes
		carryOut = first & topLane >> (63 - 7)
	}
	return escaped, carryOut
}

// between returns the lanes from each first quote to before its second, with everything before the
// first quote as long as open says: all lanes when a string was open there, none otherwise.
func between(quotes, open uint64) uint64 {
	quotes ^= quotes << 8
	quotes ^= quotes << 16
	quotes ^= quotes << 32
	return quotes ^ open
}

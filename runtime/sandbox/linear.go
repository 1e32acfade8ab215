package sandbox

import (
	"bytes"
	"errors"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
)

// linear is the memory of one instance: what wazero calls a LinearMemory, able to return to an
// image.
type linear struct {
	store      store
	limit      uint64 // bytes; wazero knows of a page more
	start      uint64 // bytes that its instance starts with; only what is beyond is asked for
	owner      *Instance
	b          []byte // what the instance has now
	installing bool
}

// store is where a memory's bytes lie.
type store interface {
	// grow returns the memory with size bytes, those added being zero, or nil if it cannot. The
	// memory may move.
	grow(size uint64) []byte
	// rewind returns the memory with the image's content and size. It may move.
	rewind() ([]byte, error)
	// own is how many bytes of its own it has after a rewind, those shared with others apart.
	own() int64
	// free gives the bytes back. It may be called again.
	free()
}

// Reallocate implements wazero's LinearMemory.
func (l *linear) Reallocate(size uint64) []byte {
	if l.installing {
		return l.b
	}
	if size > l.limit {
		return nil
	}
	beyond := int64(max(size, l.start) - max(uint64(len(l.b)), l.start))
	turn := l.owner.call.Turn
	if turn != nil && beyond > 0 && !turn.Grow(beyond) {
		return nil
	}
	b := l.store.grow(size)
	if b != nil {
		l.b = b
	} else if turn != nil && beyond > 0 {
		turn.Grow(-beyond)
	}
	return b
}

// Free implements wazero's LinearMemory.
func (l *linear) Free() {
	l.store.free()
	l.b = nil
}

// adopt moves the memory to s, which has an image, and brings it to that. The bytes it had are free
// then.
func (l *linear) adopt(s store, mem api.Memory) error {
	l.store = s
	return l.rewind(mem)
}

var errMaximum = errors.New("memory has grown to all that 32 bits address, from which it cannot shrink")

// rewind brings content and size back to the image's; mem is how wazero knows the memory. After an
// error the memory must not be used again.
func (l *linear) rewind(mem api.Memory) error {
	b, err := l.store.rewind()
	if err != nil {
		return err
	}
	if len(b) == len(l.b) && unsafe.SliceData(b) == unsafe.SliceData(l.b) {
		return nil
	}
	l.b = b
	// wazero's memories only grow, but to whatever Reallocate returns, and compiled code is told
	// address and length anew after that. It refuses to go beyond the maximum before it asks: hence
	// the page more than the limit.
	l.installing = true
	_, ok := mem.Grow(1)
	l.installing = false
	if !ok {
		return errMaximum
	}
	return nil
}

// heapStore keeps a memory on Go's heap, and copies the whole image at each rewind. It works on
// every system. A memory that becomes large goes to a region of its own, where there can be such:
// the heap would keep its bytes for minutes after it, and those it was copied out of as it grew.
type heapStore struct {
	b     []byte
	image []byte
	limit uint64       // bytes it may grow to
	spent func([]byte) // takes b when it is freed, its content being for nobody; nil: the collector does

	large   region // in use when it has anything reserved
	touched int    // bytes of it from the beginning that may not be zeros
}

// newHeap returns an empty memory on the heap.
func (e *Engine) newHeap() *heapStore {
	return &heapStore{b: e.takeScratch(), spent: e.giveScratch}
}

// keptSpare is how much a memory on the heap may hold beyond its image for the next call, after one
// that needed more. Up to there zeroing it again is cheaper than what allocating it again costs the
// collector.
const keptSpare = 1 << 20

func (s *heapStore) grow(size uint64) []byte {
	have := uint64(len(s.b))
	switch {
	case s.isLarge():
		if s.large.reach(int(size)) != nil {
			return nil
		}
		s.b = s.large.reserved[:size]
		clearInPieces(s.b[have:min(max(int(have), s.touched), int(size))])
		s.touched = max(s.touched, int(size))
		return s.b
	case size > maxScratch && s.becomeLarge(size):
		return s.b
	case size > uint64(cap(s.b)):
		// A quarter more than asked for keeps the copying linear in the final size.
		grown := make([]byte, size, size+have/4)
		copyInPieces(grown, s.b)
		s.b = grown
		return s.b
	}
	s.b = s.b[:size]
	clearInPieces(s.b[have:]) // where an earlier call may have written
	return s.b
}

func (s *heapStore) isLarge() bool { return s.large.reserved != nil }

// becomeLarge moves the memory to a region, with size bytes, and reports whether it could. Where it
// was is the collector's: a host function may still look at it.
func (s *heapStore) becomeLarge(size uint64) bool {
	space, err := reserve(max(s.limit, size))
	if err != nil {
		return false
	}
	if space.reach(int(size)) != nil {
		space.free()
		return false
	}
	copyInPieces(space.reserved, s.b)
	s.large, s.touched, s.b = space, int(size), space.reserved[:size]
	return true
}

func (s *heapStore) rewind() ([]byte, error) {
	size := len(s.image)
	if s.isLarge() {
		return s.rewindLarge(size)
	}
	if cap(s.b) < size || cap(s.b) > size+keptSpare {
		s.b = make([]byte, size)
	}
	s.b = s.b[:size]
	copyInPieces(s.b, s.image)
	return s.b, nil
}

func (s *heapStore) rewindLarge(size int) ([]byte, error) {
	if err := s.large.reach(size); err != nil {
		return nil, err
	}
	if kept := size + keptSpare; s.touched > kept {
		if err := drop(s.large.reserved[kept:s.touched]); err != nil {
			return nil, err
		}
		s.touched = kept
	}
	s.b = s.large.reserved[:size]
	copyInPieces(s.b, s.image)
	return s.b, nil
}

func (s *heapStore) own() int64 {
	if s.isLarge() {
		return int64(s.touched)
	}
	return int64(cap(s.b))
}

func (s *heapStore) free() {
	if s.isLarge() {
		s.large.free()
	} else if s.b != nil && s.spent != nil {
		s.spent(s.b)
	}
	s.b, s.image = nil, nil
}

// pieceLength is how many bytes of a memory are copied or zeroed at once: the collector waits for
// the goroutine that does, which with a hundred megabytes would be for ten milliseconds and more.
const pieceLength = 1 << 20

// copyInPieces copies src to dst, which is no shorter.
func copyInPieces(dst, src []byte) {
	for len(src) > 0 {
		n := copy(dst, src[:min(len(src), pieceLength)])
		dst, src = dst[n:], src[n:]
	}
}

func clearInPieces(b []byte) {
	for len(b) > 0 {
		n := min(len(b), pieceLength)
		clear(b[:n])
		b = b[n:]
	}
}

// zeros are compared with: that is several times as fast as to look at each byte.
var zeros [PageSize]byte

func isZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

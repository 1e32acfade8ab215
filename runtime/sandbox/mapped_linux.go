//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mappedStore is a memory in a private mapping of its image: the kernel gives a page of its own to
// what the guest writes to, and can tell which those are. Beyond the image the mapping is
// anonymous, zero at first. It is reserved at the size the memory may reach, so that a memory never
// moves.
type mappedStore struct {
	region
	system  *system
	b       []byte // what the memory has now
	image   *content
	rewinds int
	written int64 // bytes in pages of its own after the last rewind
	scan    pageScan
}

// region is address space, of which a beginning may be used.
type region struct {
	reserved []byte
	usable   int // bytes that may be read and written; the rest costs nothing
}

// reserve returns address space for limit bytes, none of which may be used yet.
func reserve(limit uint64) (region, error) {
	address, err := unix.MmapPtr(-1, 0, nil, uintptr(limit), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return region{}, fmt.Errorf("reserve memory of %d bytes: %w", limit, err)
	}
	return region{reserved: unsafe.Slice((*byte)(address), limit)}, nil
}

func (r *region) address() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(r.reserved))) }

// reach makes the first size bytes usable.
func (r *region) reach(size int) error {
	if size <= r.usable {
		return nil
	}
	if err := unix.Mprotect(r.reserved[r.usable:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("memory of %d bytes: %w", size, err)
	}
	r.usable = size
	return nil
}

// free unmaps the region. It may be called again.
func (r *region) free() {
	if r.reserved != nil {
		_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(r.reserved)), uintptr(len(r.reserved)))
	}
	r.reserved, r.usable = nil, 0
}

// newMappedStore returns a memory with the content c that may grow to limit bytes.
func newMappedStore(s *system, c *content, limit uint64) (*mappedStore, error) {
	size := len(c.bytes)
	if uint64(size) > limit {
		return nil, fmt.Errorf("image of %d bytes exceeds the memory's limit of %d", size, limit)
	}
	space, err := reserve(limit)
	if err != nil {
		return nil, err
	}
	m := &mappedStore{system: s, image: c, region: space}
	beginning := unsafe.Pointer(unsafe.SliceData(m.reserved))
	_, err = unix.MmapPtr(c.file, 0, beginning, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED)
	if err != nil {
		m.free()
		return nil, fmt.Errorf("map image: %w", err)
	}
	m.usable, m.b = size, m.reserved[:size]
	return m, nil
}

func (m *mappedStore) grow(size uint64) []byte {
	if size > uint64(len(m.reserved)) || m.reach(int(size)) != nil {
		return nil
	}
	m.b = m.reserved[:size] // rewind has left zeros behind the image
	return m.b
}

// sweepEvery is how many rewinds lie between two that give pages up. A page that was written once
// is copied back at each rewind until then, at a quarter of a microsecond; a page given up too
// early costs a fault, at up to ten.
const sweepEvery = 16

func (m *mappedStore) rewind() ([]byte, error) {
	size := len(m.image.bytes)
	if err := m.restore(size); err != nil {
		return nil, err
	}
	m.b = m.reserved[:size]
	return m.b, nil
}

func (m *mappedStore) restore(size int) error {
	if m.image.method != ResetScan {
		return drop(m.b)
	}
	if kept := size + keptSpare; len(m.b) > kept {
		if err := drop(m.b[kept:]); err != nil {
			return err
		}
		m.b = m.b[:kept]
	}
	m.rewinds++
	m.written = 0
	if m.rewinds%sweepEvery == 0 {
		return m.eachWritten(m.reserved[:m.usable], m.sweepRange)
	}
	return m.eachWritten(m.b, m.copyRange)
}

// eachWritten calls visit with each range of offsets in b, a beginning of the memory, whose pages
// have a copy of their own.
func (m *mappedStore) eachWritten(b []byte, visit func(start, end int) error) (err error) {
	base := m.address()
	scanErr := m.system.pagemap.written(&m.scan, base, base+uintptr(len(b)), func(start, end uintptr) {
		err = errors.Join(err, visit(int(start-base), int(end-base)))
	})
	return errors.Join(scanErr, err)
}

// copyRange copies the image over the pages from start to end. They keep their own copies: a page
// that was written will most likely be written again, and then there is no fault to pay for.
func (m *mappedStore) copyRange(start, end int) error {
	image := m.imageFrom(start)
	image = image[:min(len(image), end-start)]
	copyInPieces(m.reserved[start:end], image)
	clear(m.reserved[start+len(image) : end])
	m.written += int64(end - start)
	return nil
}

// sweepRange does the same, but gives up the pages that are as the image has them: the last call
// has not written them. What one large request used is thus neither kept nor copied for ever.
func (m *mappedStore) sweepRange(start, end int) error {
	page := os.Getpagesize()
	unwritten := start // from there to at
	for at := start; at < end; at += page {
		if m.isImage(at, at+page) {
			continue
		}
		if err := drop(m.reserved[unwritten:at]); err != nil {
			return err
		}
		unwritten = at + page
		if err := m.copyRange(at, at+page); err != nil {
			return err
		}
	}
	return drop(m.reserved[unwritten:end])
}

// isImage tells whether the bytes from start to end are the image's, or zeros if they lie beyond
// it.
func (m *mappedStore) isImage(start, end int) bool {
	b := m.reserved[start:end]
	if image := m.imageFrom(start); len(image) > 0 {
		return bytes.Equal(b, image[:len(b)]) // the image is whole pages
	}
	return isZero(b)
}

func (m *mappedStore) imageFrom(start int) []byte {
	return m.image.bytes[min(start, len(m.image.bytes)):]
}

func (m *mappedStore) own() int64 { return m.written }

// free unmaps the memory.
func (m *mappedStore) free() {
	m.region.free()
	m.b, m.image = nil, nil
}

// drop gives the pages of b up: the next use brings the image's page, or one of zeros.
func drop(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("give up %d bytes: %w", len(b), err)
	}
	return nil
}

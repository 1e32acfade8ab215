//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// system is what the operating system offers for resetting memories. Goroutines may share it.
type system struct {
	pagemap *pagemap // nil where the kernel does not tell what was written
}

// openSystem finds out what there is; nothing is required. The caller closes it.
func openSystem() *system {
	s := &system{}
	if p, err := openPagemap(); err == nil {
		if s.pagemap = p; !s.scanWorks() {
			p.close()
			s.pagemap = nil
		}
	}
	return s
}

func (s *system) close() {
	if s.pagemap != nil {
		s.pagemap.close()
	}
}

func (s *system) scans() bool { return s.pagemap != nil }

// yieldThread lets other threads that wait for this processor go first. The goroutine keeps its
// place in Go's scheduler meanwhile: what is let in is, above all, the thread that Go has waiting
// for the network.
func yieldThread() { unix.RawSyscallNoError(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// scanWorks tries on two pages whether the one that was written is told from the other. A sandbox
// around this process may take the request for another, or refuse it.
func (s *system) scanWorks() bool {
	page := os.Getpagesize()
	c := s.mapped(make([]byte, 2*page), ResetScan)
	if c == nil {
		return false
	}
	defer c.free()
	m, err := newMappedStore(s, c, uint64(2*page))
	if err != nil {
		return false
	}
	defer m.free()
	m.b[page]++
	var found []uintptr
	err = s.pagemap.written(&m.scan, m.address(), m.address()+uintptr(2*page), func(start, end uintptr) {
		found = append(found, start-m.address(), end-m.address())
	})
	return err == nil && len(found) == 2 && found[0] == uintptr(page) && found[1] == uintptr(2*page)
}

// mapped returns a content that memories can be mapped from, or nil if the method does not need
// that or the system does not let it.
func (s *system) mapped(memory []byte, method ResetMethod) *content {
	if method != ResetScan && method != ResetDrop || len(memory) == 0 {
		return nil
	}
	file, err := unix.MemfdCreate("wasm-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil
	}
	c := &content{method: method, file: file}
	if err := c.fill(memory); err != nil {
		_ = unix.Close(file)
		return nil
	}
	return c
}

// fill writes the file and maps it for reading. The seals make sure that nothing changes it, and
// that no mapping can ever reach beyond its end, which would be fatal to the process.
func (c *content) fill(memory []byte) error {
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if err := c.write(memory); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(c.file), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	address, err := unix.MmapPtr(c.file, 0, nil, uintptr(len(memory)), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	c.bytes = unsafe.Slice((*byte)(address), len(memory))
	return nil
}

// write writes the file, except for the pages that are zeros: these it has without taking memory.
func (c *content) write(memory []byte) error {
	if err := unix.Ftruncate(c.file, int64(len(memory))); err != nil {
		return err
	}
	page := os.Getpagesize()
	for at := 0; at < len(memory); at += page {
		start := at
		for at < len(memory) && !isZero(memory[at:at+page]) {
			at += page
		}
		if start == at {
			continue
		}
		if n, err := unix.Pwrite(c.file, memory[start:at], int64(start)); err != nil || n != at-start {
			return errors.Join(err, io.ErrShortWrite)
		}
	}
	return nil
}

// free gives the content up; no memory may use it any more. It may be called again.
func (c *content) free() {
	if c.method != ResetCopy && c.bytes != nil {
		_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(c.bytes)), uintptr(len(c.bytes)))
		_ = unix.Close(c.file)
	}
	c.bytes = nil
}

// newStore returns a mapped memory with the content c, which must not be ResetCopy's, that may grow
// to limit bytes.
func (s *system) newStore(c *content, limit uint64) (store, error) {
	return newMappedStore(s, c, limit)
}

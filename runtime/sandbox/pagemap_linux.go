//go:build linux && (amd64 || arm64)

package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pagemap asks the kernel which pages of this process were written. Goroutines may share it.
//
// The request is PAGEMAP_SCAN of https://docs.kernel.org/admin-guide/mm/pagemap.html, in Linux
// since 6.7.
type pagemap struct {
	fd int
}

// openPagemap fails where the kernel is older, or /proc is not to be had. The caller closes the
// pagemap.
func openPagemap() (*pagemap, error) {
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open pagemap: %w", err)
	}
	return &pagemap{fd}, nil
}

func (p *pagemap) close() { _ = unix.Close(p.fd) }

// pageScan is one scan's request and its answer, which the kernel writes. It must lie on the heap:
// the request holds the answer's address as a number, which does not follow a stack that moves.
type pageScan struct {
	request scanRequest
	ranges  [128]pageRange
}

// scanRequest is the kernel's struct pm_scan_arg.
type scanRequest struct {
	size, flags           uint64
	start, end, walkEnd   uint64
	ranges, rangesLen     uint64
	maxPages              uint64
	categoryInverted      uint64
	categoryMask          uint64
	categoryAnyOf, answer uint64
}

// pageRange is the kernel's struct page_region.
type pageRange struct {
	start, end uint64
	_          uint64 // the categories, of which none is asked for that could differ
}

const (
	pagemapScan = 3<<30 | uint(unsafe.Sizeof(scanRequest{}))<<16 | 'f'<<8 | 16

	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
	pageIsPFNZero = 1 << 5
)

// written calls visit with each range of addresses from start to end whose pages have a copy of
// their own, in memory or swapped out: neither a file's page nor the page of zeros.
func (p *pagemap) written(scan *pageScan, start, end uintptr, visit func(start, end uintptr)) error {
	scan.request = scanRequest{
		size:             uint64(unsafe.Sizeof(scanRequest{})),
		start:            uint64(start),
		end:              uint64(end),
		ranges:           uint64(uintptr(unsafe.Pointer(&scan.ranges))),
		rangesLen:        uint64(len(scan.ranges)),
		categoryInverted: pageIsFile | pageIsPFNZero,
		categoryMask:     pageIsFile | pageIsPFNZero,
		categoryAnyOf:    pageIsPresent | pageIsSwapped,
		answer:           pageIsFile, // the same for all that match, so that neighbours merge
	}
	for scan.request.start < scan.request.end {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd), uintptr(pagemapScan),
			uintptr(unsafe.Pointer(&scan.request)))
		if errno != 0 {
			return fmt.Errorf("scan pagemap: %w", errno)
		}
		for _, r := range scan.ranges[:n] {
			visit(uintptr(r.start), uintptr(r.end))
		}
		scan.request.start = scan.request.walkEnd
	}
	return nil
}

package sandbox

// ResetMethod is a way to bring a memory back to its image.
type ResetMethod string

// The reset methods.
const (
	ResetAuto ResetMethod = ""     // the cheapest that this system has, by the image's size
	ResetCopy ResetMethod = "copy" // copy the whole image; works everywhere
	ResetDrop ResetMethod = "drop" // give up what was written: its next use brings the image's page back; Linux only
	ResetScan ResetMethod = "scan" // copy back the pages that the kernel says were written; Linux 6.7 and later
)

// From what size in bytes a method is worth its price; BenchmarkReset has the figures. A scan costs
// some microseconds before the first page is copied, in which 256 KiB are copied whole. A dropped
// page costs a page fault when it is next used, which is why copying without knowing what was
// written wins up to some megabytes.
const (
	scanFrom = 256<<10 + 1
	dropFrom = 8 << 20
)

// content is an image's memory. It is immutable; goroutines may share it.
type content struct {
	method ResetMethod
	bytes  []byte
	file   int // a descriptor of a file with these bytes, unless method is ResetCopy
}

// newContent keeps a copy of memory. Which methods a system has is found out here, so that the one
// asked for may not be the one that is used.
func (s *system) newContent(memory []byte, method ResetMethod) *content {
	if method == ResetAuto {
		switch {
		case len(memory) >= scanFrom && s.scans():
			method = ResetScan
		case len(memory) >= dropFrom:
			method = ResetDrop
		}
	}
	if method == ResetScan && !s.scans() {
		method = ResetDrop
	}
	if c := s.mapped(memory, method); c != nil {
		return c
	}
	return &content{method: ResetCopy, bytes: append([]byte(nil), memory...)}
}

package sandbox

// Limits bound what a single guest call may use. All must be positive.
type Limits struct {
	MemoryPages uint32 // pages of 64 KiB an instance's memory may have, at most 65536
	Output      int    // bytes of one answer
	HostCall    int    // bytes of one host call: payload and names together
	Print       int    // bytes kept of what a guest prints during one call
}

// maxPages is how many pages 32 bits address.
const maxPages = 1 << 16

// PageSize is the unit of a WebAssembly memory in bytes.
const PageSize = 64 << 10

// maxTableElements is what all tables of an instance may hold together. Tables lie outside the
// memory limit, at eight bytes an element; large Go guests have some hundred thousand.
const maxTableElements = 1 << 20

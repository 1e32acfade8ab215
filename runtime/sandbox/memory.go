package sandbox

import (
	"bytes"
	"io"

	"github.com/tetratelabs/wazero/api"
)

// Memory is a guest's exported memory as a host function sees it. Every access that lies outside of it traps the
// guest.
type Memory struct {
	mem     api.Memory // nil if the guest exports none
	missing string
}

// Read returns a copy of n bytes at ptr.
func (m Memory) Read(ptr, n uint32) []byte {
	return bytes.Clone(m.view(ptr, n))
}

// Print writes the n bytes at ptr to w, which must not keep them.
func (m Memory) Print(w io.Writer, ptr, n uint32) {
	_, _ = w.Write(m.view(ptr, n)) // what w makes of it is no concern of the guest's
}

// Write copies b to ptr.
func (m Memory) Write(ptr uint32, b []byte) {
	if uint64(len(b)) > 1<<32-1 {
		Trap("out of bounds memory access: %d bytes", len(b))
	}
	copy(m.view(ptr, uint32(len(b))), b)
}

// view returns the bytes themselves, never nil.
func (m Memory) view(ptr, n uint32) []byte {
	if m.mem == nil {
		Trap("%s", m.missing)
	}
	b, ok := m.mem.Read(ptr, n)
	if !ok {
		Trap("out of bounds memory access: %d bytes at %#x", n, ptr)
	}
	return b
}

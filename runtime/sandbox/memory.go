package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"github.com/tetratelabs/wazero/api"
)

// Memory is the memory that a guest shares with its host, as a host function sees it. Every access
// that lies outside of it traps the guest.
type Memory struct {
	mem     api.Memory // nil if the guest shares none
	missing string
}

// Read returns a copy of n bytes at ptr.
func (m Memory) Read(ptr, n uint32) []byte {
	return bytes.Clone(m.view(ptr, uint64(n)))
}

// Print writes the n bytes at ptr to w, which must not keep them.
func (m Memory) Print(w io.Writer, ptr, n uint32) {
	_, _ = w.Write(m.view(ptr, uint64(n))) // what w makes of it is no concern of the guest's
}

// Write copies b to ptr.
func (m Memory) Write(ptr uint32, b []byte) {
	copy(m.view(ptr, uint64(len(b))), b)
}

// view returns the bytes themselves, never nil.
func (m Memory) view(ptr uint32, n uint64) []byte {
	b, trap := m.slice(ptr, n)
	if trap != nil {
		panic(trap)
	}
	return b
}

func (m Memory) slice(ptr uint32, n uint64) ([]byte, *TrapError) {
	if m.mem == nil {
		return nil, &TrapError{Text: m.missing}
	}
	b, ok := m.mem.Read(ptr, uint32(n))
	if !ok || n > math.MaxUint32 {
		return nil, &TrapError{Text: fmt.Sprintf("out of bounds memory access: %d bytes at %#x", n, ptr)}
	}
	return b, nil
}

package wasm

import (
	"fmt"
	"strings"
)

// Options say what [Rewrite] does besides exporting globals. The zero value is of use: it meters
// nothing and keeps no custom section.
type Options struct {
	Meter *Meter // nil: not metered

	// Retry names imported functions that are called again at once, with the same arguments, for as
	// long as they return a given number. An import that the module does not have is passed over.
	Retry []Retry

	// StartUp names exported functions that the host calls only before it takes an image, such as
	// "_initialize". What nothing else reaches cannot make an image unsafe.
	StartUp []string

	KeepNames        bool // keep the name section; debug sections never, since their offsets would be wrong
	KeepMemoryImport bool // leave an imported memory one, where else it becomes a memory of the module's own

	// SparePage raises the maximum that the module's own memory declares, by a page that the host
	// must refuse the guest: see [Rewritten.MemoryMax]. A host can exchange a memory, for a smaller
	// one too, only while it may grow.
	SparePage bool
}

// Retry is an imported function with one i32 result, and the result on which it is called again.
type Retry struct {
	Module, Name string
	Errno        int32
}

// Rewritten is an altered copy of a module, and what its host needs to know of it.
type Rewritten struct {
	Code    []byte
	Globals []MutableGlobal // the module's own that hold numbers, in order; neither imported ones nor the fuel
	Fuel    string          // export name of the fuel; empty when not metered
	Memory  string          // export name of the memory; empty when the module has none

	MemoryMin uint64 // pages of 64 KiB the memory starts with; 0 when the module has none

	// MemoryMax is how many pages of 64 KiB the module lets its memory have; 65536, all there can
	// be, if it does not say.
	MemoryMax uint64

	// Unsafe says why memory, its size and Globals are not all the state an instance has after
	// start-up, one reason an item. It is empty when they are.
	Unsafe []string
}

// MutableGlobal is a global that a host reads and writes by its export. It holds a number of at
// most 64 bits: of a vector wazero passes one half, and what a reference is the host cannot know.
type MutableGlobal struct {
	Export string
	Type   ValueType
	Added  bool // the module did not export it
}

// Rewrite returns an altered copy of a module in which every mutable global that holds a number and
// the memory are exported, an imported memory is its own, custom sections are gone, and which is
// metered and altered further as the options say. In all else it behaves as the original. The
// original's bytes are neither changed nor kept. It is safe for use by several goroutines.
//
// Every byte is accounted for. The error is a *[FormatError] for whatever is malformed, belongs to
// a feature that is not supported, or names what does not exist. Types are not checked: a module
// that is invalid for them gives another that is invalid.
func Rewrite(code []byte, o Options) (Rewritten, error) {
	m, err := Parse(code)
	if err != nil {
		return Rewritten{}, err
	}
	w := &rewriter{m: m, options: o, bodies: map[sectionID][]byte{}, names: freeNames(m.exports),
		tables: m.tableTypes(), pieces: map[bulk]pieces{}}
	for _, stage := range []func() error{
		m.checkOrder, w.readTypes, w.readImports, w.readFunctions, w.readGlobals, w.prepare,
		w.moveSections, w.moveElements, w.readExports, w.moveCode, w.exportState, w.limitMemory, w.joinData, w.add,
	} {
		if err := stage(); err != nil {
			return Rewritten{}, err
		}
	}
	w.out.Code = w.assemble()
	w.out.Unsafe = w.report()
	return w.out, nil
}

// rewriter is one rewrite in progress. Indexes are the original's, unless said otherwise.
type rewriter struct {
	m       *Module
	options Options
	spaces  spaces
	types   []functionType
	// functions holds the type of each function, imported ones first.
	functions []uint32
	imported  uint32   // how many functions are imported
	tables    [][]byte // for each table the type of its elements
	names     freeName

	meter    *gauge            // nil: not metered
	wrappers map[uint32]uint32 // for a retried import, its wrapper in the new index space
	noType   uint32            // of type () -> (), in the new module
	pieces   map[bulk]pieces   // for instructions that may be long, what does them in pieces

	addedTypes     [][]byte
	addedFunctions []addedFunction

	importsReferenced bool // a call through a table or reference may reach an import
	graph             graph
	sightings         []sighting
	dataNamed         bool // some instruction names a data segment

	bodies  map[sectionID][]byte // the new sections
	scratch []byte               // the function body being written, before its size is known
	edits   []edit               // those of the last function; their place is used again
	out     Rewritten
}

// section returns a strict reader of a section's body, false if the module lacks it.
func (w *rewriter) section(id sectionID) (*reader, bool) {
	for _, s := range w.m.sections {
		if s.id == id {
			r := s.reader()
			r.within = &w.spaces
			return r, true
		}
	}
	return nil, false
}

// moved is where a function is in the new index space: behind the import that was added, and a
// retried import at its wrapper.
func (w *rewriter) moved(function uint32) uint32 {
	if wrapper, ok := w.wrappers[function]; ok {
		return wrapper
	}
	if w.meter != nil && function >= w.imported {
		return function + 1
	}
	return function
}

// prepare gives what is added its place in the index spaces, as far as other places depend on it.
func (w *rewriter) prepare() error {
	if w.options.Meter != nil {
		w.meter = &gauge{fuel: uint32(len(w.spaces.globals)), tick: w.imported}
		w.noType = w.plainType()
	}
	return w.wrapRetried()
}

// freeName makes export names that the module does not use.
type freeName string

func freeNames(exports []Export) freeName {
	prefix := "policy-server."
	for {
		taken := false
		for _, e := range exports {
			taken = taken || strings.HasPrefix(e.Name, prefix)
		}
		if !taken {
			return freeName(prefix)
		}
		prefix = "_" + prefix
	}
}

func (n freeName) of(format string, args ...any) string {
	return string(n) + fmt.Sprintf(format, args...)
}

package wasm

import (
	"errors"
	"fmt"
)

// Kind is what an import or export is.
type Kind byte

// The kinds, as the binary format numbers them.
const (
	Function Kind = iota
	Table
	Memory
	Global
	Tag
)

func (k Kind) String() string {
	names := [...]string{"function", "table", "memory", "global", "tag"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// Import is one thing a module asks of its host.
type Import struct {
	Module, Name string
	Kind         Kind

	desc []byte // kind and type as they lie in the file
}

// Export is one thing a module offers to its host.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32 // in the index space of its kind, imports first
}

// ErrCompactImports is the cause of a [FormatError] about an import section in the compact encoding, where one module
// name serves several imports. Optimisers write it; the compiler in use cannot read it.
// See https://github.com/WebAssembly/compact-import-section.
var ErrCompactImports = errors.New("compact import section (import descriptor 0x7f or 0x7e)")

// Imports returns the module's imports in the file's order. The slice is the module's own and must not be changed.
func (m *Module) Imports() []Import { return m.imports }

// Exports returns the module's exports in the file's order. The slice is the module's own and must not be changed.
func (m *Module) Exports() []Export { return m.exports }

// RenameImport makes every import of name from oldModule one from newModule. It does nothing when there is none.
func (m *Module) RenameImport(oldModule, name, newModule string) {
	renamed := false
	body := appendLEB(nil, uint64(len(m.imports)))
	for i := range m.imports {
		im := &m.imports[i]
		if im.Module == oldModule && im.Name == name {
			im.Module, renamed = newModule, true
		}
		body = appendName(appendName(body, im.Module), im.Name)
		body = append(body, im.desc...)
	}
	if renamed {
		m.replace(sectionImport, body)
	}
}

func (m *Module) readImports(r *reader) {
	for range r.count() {
		im := Import{Module: r.name(), Name: r.name()}
		start := r.pos
		switch c := r.byte(); c {
		case byte(Function):
			r.u32()
		case byte(Table):
			r.valueType()
			r.limits()
		case byte(Memory):
			r.limits()
		case byte(Global):
			r.valueType()
			r.byte()
		case byte(Tag):
			r.byte()
			r.u32()
		case 0x7f, 0x7e:
			r.failWith(ErrCompactImports)
		default:
			r.fail("unknown kind %#x of import %q %q", c, im.Module, im.Name)
		}
		if r.err != nil {
			return
		}
		im.Kind, im.desc = Kind(r.b[start]), r.b[start:r.pos]
		m.imports = append(m.imports, im)
	}
}

func (m *Module) readExports(r *reader) {
	for range r.count() {
		e := Export{Name: r.name(), Kind: Kind(r.byte()), Index: r.u32()}
		if r.err == nil && e.Kind > Tag {
			r.fail("unknown kind %#x of export %q", byte(e.Kind), e.Name)
		}
		if r.err != nil {
			return
		}
		m.exports = append(m.exports, e)
	}
}

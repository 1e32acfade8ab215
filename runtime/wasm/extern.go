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

	desc   []byte // kind and type as they lie in the file
	offset int    // of desc in the file
}

// Export is one thing a module offers to its host.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32 // in the index space of its kind, imports first
}

// ErrCompactImports is the cause of a [FormatError] about an import section in the compact encoding
// that would be unreasonably large in the plain one.
var ErrCompactImports = errors.New("compact import section is too large to be written out")

// maxImportBytes bounds what a compact section, where a name stands once for many imports, may come
// to. The largest modules in use import a few thousand functions under short names.
const maxImportBytes = 16 << 20

// Imports returns the module's imports in the file's order. The slice is the module's own and must
// not be changed.
func (m *Module) Imports() []Import { return m.imports }

// Exports returns the module's exports in the file's order. The slice is the module's own and must
// not be changed.
func (m *Module) Exports() []Export { return m.exports }

// RenameImport makes every import of name from oldModule one from newModule. It does nothing when
// there is none.
func (m *Module) RenameImport(oldModule, name, newModule string) {
	renamed := false
	for i := range m.imports {
		im := &m.imports[i]
		if im.Module == oldModule && im.Name == name {
			im.Module, renamed = newModule, true
		}
	}
	if renamed {
		m.replace(sectionImport, encodeImports(m.imports))
	}
}

// encodeImports returns the body of an import section.
func encodeImports(imports []Import) []byte {
	body := appendLEB(nil, uint64(len(imports)))
	for _, im := range imports {
		body = appendName(appendName(body, im.Module), im.Name)
		body = append(body, im.desc...)
	}
	return body
}

// readImports reads the plain encoding and the compact one, where a module name, or that and a
// type, serves several imports. It tells whether any of it was compact.
//
// See https://github.com/WebAssembly/compact-import-section.
func (m *Module) readImports(r *reader) (compact bool) {
	const sameModule, sameModuleAndType = 0x7f, 0x7e // in place of a kind, behind an empty name
	size := 0
	add := func(im Import) {
		if size += len(im.Module) + len(im.Name) + len(im.desc); size > maxImportBytes {
			r.failWith(ErrCompactImports)
		}
		m.imports = append(m.imports, im)
	}
	r.vector(func() {
		module, name := r.name(), r.name()
		form := byte(0)
		if name == "" && r.more() {
			form = r.b[r.pos]
		}
		switch form {
		case sameModule:
			compact = true
			r.byte()
			r.vector(func() { add(r.importOf(module, r.name())) })
		case sameModuleAndType:
			compact = true
			r.byte()
			im := r.importOf(module, "")
			r.vector(func() { im.Name = r.name(); add(im) })
		default:
			m.imports = append(m.imports, r.importOf(module, name))
		}
	})
	return compact
}

// importOf reads the description of an import that has these names.
func (r *reader) importOf(module, name string) Import {
	start := r.pos
	kind := r.byte()
	switch kind {
	case byte(Function):
		r.typeIndex()
	case byte(Table):
		r.valueType()
		r.limits()
	case byte(Memory):
		r.limits()
	case byte(Global):
		r.globalType()
	case byte(Tag):
		r.tagType()
	default:
		r.fail("unknown kind %#x of import %q %q", kind, module, name)
	}
	return Import{Module: module, Name: name, Kind: Kind(kind), desc: r.b[start:r.pos], offset: r.base + start}
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

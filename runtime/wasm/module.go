package wasm

import (
	"bytes"
	"errors"
	"slices"
)

// Module is a module's sections. The sections it does not need to understand are kept byte for
// byte. It shares memory with the bytes it was parsed from, which must not change. Reading it from
// several goroutines is safe, altering it is not.
type Module struct {
	sections []section
	imports  []Import
	exports  []Export
	tables   []table
	memories []Limits
	data     [][]byte
	size     int // of the file it was parsed from
}

type section struct {
	id     sectionID
	raw    []byte // all of it: id, size, body
	body   []byte
	offset int    // of body in the file
	name   string // custom sections only
	rest   []byte // custom sections only: body after the name
}

type sectionID byte

const (
	sectionCustom sectionID = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
	sectionTag
)

func (id sectionID) String() string {
	names := [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start",
		"element", "code", "data", "data count", "tag"}
	if int(id) < len(names) {
		return names[id]
	}
	return "unknown"
}

var (
	errNotWasm   = errors.New("file does not begin with the WebAssembly magic number")
	errComponent = errors.New("file is a WebAssembly component, not a core module")
	errVersion   = errors.New("file is not WebAssembly version 1")
)

// header is the magic number and version 1.
const header = "\x00asm\x01\x00\x00\x00"

// Parse reads the module in b. It fails with a *[FormatError] on anything that breaks the format in
// a part it reads: the section structure, custom section names, imports, exports, tables, memories
// and data segments. Other sections are taken as they are; see [Module.CheckCounts]. A compact
// import section is written plain wherever the module is written.
func Parse(b []byte) (*Module, error) {
	if err := checkHeader(b); err != nil {
		return nil, &FormatError{Err: err}
	}
	m := &Module{size: len(b)}
	seen := map[sectionID]bool{}
	for r := (&reader{b: b, pos: len(header)}); r.more(); {
		s := readSection(r)
		if r.err == nil && s.id != sectionCustom && seen[s.id] {
			r.fail("%s section appears twice", s.id)
		}
		if r.err != nil {
			return nil, r.err
		}
		seen[s.id] = true
		if err := m.add(s); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func checkHeader(b []byte) error {
	switch {
	case !bytes.HasPrefix(b, []byte(header[:4])):
		return errNotWasm
	case len(b) >= 8 && b[6] == 1: // the layer field, 1 for components
		return errComponent
	case !bytes.HasPrefix(b, []byte(header)):
		return errVersion
	}
	return nil
}

func readSection(r *reader) section {
	start := r.pos
	s := section{id: sectionID(r.byte())}
	size := r.u32()
	s.offset = r.pos
	s.body = r.bytes(size)
	s.raw = r.b[start:r.pos]
	return s
}

// add keeps s and reads what Module offers of it.
func (m *Module) add(s section) error {
	r := s.reader()
	switch s.id {
	case sectionCustom:
		s.name = r.name()
		s.rest = r.bytes(uint32(len(r.b) - r.pos))
	case sectionImport:
		if m.readImports(r) && r.err == nil {
			s.raw = encodeSection(sectionImport, encodeImports(m.imports))
		}
	case sectionTable:
		m.readTables(r)
	case sectionMemory:
		m.readMemories(r)
	case sectionExport:
		m.readExports(r)
	case sectionData:
		m.readData(r)
	default:
		r.pos = len(r.b)
	}
	m.sections = append(m.sections, s)
	return r.finish()
}

func (s section) reader() *reader {
	return &reader{b: s.body, base: s.offset, section: s.id.String()}
}

// Bytes returns the module's binary: the parsed bytes themselves in content, where nothing was
// altered and no import section was compact.
func (m *Module) Bytes() []byte {
	return m.encode(func(section) bool { return true })
}

func (m *Module) encode(keep func(section) bool) []byte {
	b := []byte(header)
	for _, s := range m.sections {
		if keep(s) {
			b = append(b, s.raw...)
		}
	}
	return b
}

// replace gives the section of that id a new body; it must exist.
func (m *Module) replace(id sectionID, body []byte) {
	i := slices.IndexFunc(m.sections, func(s section) bool { return s.id == id })
	m.sections[i].raw = encodeSection(id, body)
	m.sections[i].body = body
}

func encodeSection(id sectionID, body []byte) []byte {
	return append(appendLEB([]byte{byte(id)}, uint64(len(body))), body...)
}

func appendLEB(b []byte, n uint64) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func appendName(b []byte, name string) []byte {
	return append(appendLEB(b, uint64(len(name))), name...)
}

package wasm

// Custom returns the payload of the first custom section of that name, the bytes after the name;
// false if there is none.
func (m *Module) Custom(name string) ([]byte, bool) {
	for _, s := range m.sections {
		if s.id == sectionCustom && s.name == name {
			return s.rest, true
		}
	}
	return nil, false
}

// WithCustom returns the binary of the module with every custom section of that name removed and
// one appended at the end. The module itself is not altered.
func (m *Module) WithCustom(name string, payload []byte) []byte {
	b := m.encode(func(s section) bool { return s.id != sectionCustom || s.name != name })
	body := append(appendName(nil, name), payload...)
	return append(b, encodeSection(sectionCustom, body)...)
}

// WithoutCustom returns the binary of the module without any custom section. What is left behaves
// the same: names, debug information and metadata are all that goes.
func (m *Module) WithoutCustom() []byte {
	return m.encode(func(s section) bool { return s.id != sectionCustom })
}

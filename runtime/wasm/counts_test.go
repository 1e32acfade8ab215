package wasm_test

import (
	"testing"
)

func TestCheckCounts(t *testing.T) {
	for _, tc := range []struct {
		name, sections, want string
	}{
		{"nothing", "", ""},
		{"types", section(1, "\x03\x60\x00\x00\x60\x02\x7f\x63\x00\x01\x7e\x4e\x01\x60\x01\x64\x70\x00"), ""},
		{"globals", section(6, "\x07\x7f\x01\x41\x80\x01\x0b\x7e\x00\x42\x00\x0b\x7d\x00\x43abcd\x0b\x7c\x00\x44abcdefgh\x0b"+
			"\x70\x00\xd0\x70\x0b\x7b\x00\xfd\x0cabcdefghijklmnop\x0b\x7f\x00\x23\x00\x41\x01\x6a\x0b"), ""},
		{"elements of all forms", section(9, "\x08"+"\x00\x41\x00\x0b\x01\x00"+"\x01\x00\x01\x00"+"\x02\x00\x41\x00\x0b\x00\x01\x00"+
			"\x03\x00\x01\x00"+"\x04\x41\x00\x0b\x01\xd2\x00\x0b"+"\x05\x70\x01\xd0\x70\x0b"+"\x06\x00\x41\x00\x0b\x70\x00"+"\x07\x70\x00"), ""},
		{"code", section(10, "\x02\x02\x00\x0b\x06\x02\x01\x7f\x02\x7e\x0b"), ""},
		{"start, data count and tags", section(8, "\x00") + section(12, "\x01") + section(13, "\x01\x00\x00"), ""},
		{"most locals", section(10, "\x01\x06\x01\xd0\x86\x03\x7f\x0b"), ""},

		{"unknown section", section(14, ""), "unknown section at offset 0xa: unknown section id 14"},
		{"too many types", section(1, "\xff\xff\xff\xff\x0f"), "type section at offset 0xf: counts 4294967295 items where 0 bytes are left"},
		{"unknown type form", section(1, "\x01\x61\x00"), "type section at offset 0xc: unknown type form 0x61"},
		{"unknown form in a group", section(1, "\x01\x4e\x01\x61\x00\x00"), "type section at offset 0xe: unknown type form 0x61"},
		{"structure type", section(1, "\x01\x5f\x00"), "type section at offset 0xc: type form 0x5f: garbage-collected types are not supported"},
		{"too many parameters", section(1, "\x01\x60\xff\xff\x03\x7f"), "type section at offset 0xf: counts 65535 items where 1 bytes are left"},
		{"too many functions", section(3, "\x7f\x00"), "function section at offset 0xb: counts 127 items where 1 bytes are left"},
		{"too many globals", section(6, "\x05\x7f"), "global section at offset 0xb: counts 5 items where 1 bytes are left"},
		{"too many elements", section(9, "\x01\x01\x00\xff\xff\x03"), "element section at offset 0x10: counts 65535 items where 0 bytes are left"},
		{"unknown element form", section(9, "\x01\x08"), "element section at offset 0xc: unknown element segment form 8"},
		{"vector instruction", section(6, "\x01\x7b\x00\xfd\x0d"), "global section at offset 0xf: vector instruction 13 is not constant"},
		{"body beyond the section", section(10, "\x01\x7f\x00"), "code section at offset 0xc: needs 127 bytes where 1 are left"},
		{"too many locals", section(10, "\x01\x06\x01\xd1\x86\x03\x7f\x0b"), "code section at offset 0x11: function declares 50001 locals; at most 50000"},
		{"too many locals in sum", section(10, "\x01\x0a\x02\xd0\x86\x03\x7f\x01\x7f\x0b\x0b\x0b"),
			"code section at offset 0x13: function declares 50001 locals; at most 50000"},
		{"no body", section(10, "\x01\x01\x00"), "code section at offset 0xd: function has no body"},
		{"bytes after the start function", section(8, "\x00\x00"), "start section at offset 0xb: 1 bytes are left after its last item"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := parse(t, header+tc.sections).CheckCounts()
			if got := text(err); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

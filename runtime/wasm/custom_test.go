package wasm_test

import (
	"bytes"
	"strings"
	"testing"
)

func TestCustom(t *testing.T) {
	b := header + custom("a", "first") + section(1, "\x00") + custom("a", "second") + custom("b", "")
	m := parse(t, b)
	for _, tc := range []struct {
		name, want string
		ok         bool
	}{{"a", "first", true}, {"b", "", true}, {"c", "", false}} {
		if got, ok := m.Custom(tc.name); string(got) != tc.want || ok != tc.ok {
			t.Errorf("%s: got %q %t, want %q %t", tc.name, got, ok, tc.want, tc.ok)
		}
	}
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"replaced", m.WithCustom("a", []byte("new")), header + section(1, "\x00") + custom("b", "") + custom("a", "new")},
		{"added", m.WithCustom("c", nil), b + custom("c", "")},
		{"long", m.WithCustom("b", bytes.Repeat([]byte("x"), 300)),
			header + custom("a", "first") + section(1, "\x00") + custom("a", "second") + custom("b", strings.Repeat("x", 300))},
		{"none", m.WithoutCustom(), header + section(1, "\x00")},
		{"untouched", m.Bytes(), b},
	} {
		if string(tc.got) != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, tc.got, tc.want)
		}
	}
}

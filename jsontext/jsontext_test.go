package jsontext_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"policy-server/jsontext"
)

var documents = []string{
	`{"a":[1,-0.5e3,"\u00e9\ud83d\ude00",null,true,{"b":{}}],"\u0061":2}`, ` [ ] `, `"\ud800"`, `{"a":1,}`, `01`, `nul`, "\"\x01\"", "\"\xff\"", `1e999`, ``,
}

// FuzzScanner holds that a Scanner takes no more than encoding/json does, and passes over all of
// it.
func FuzzScanner(f *testing.F) {
	for _, document := range documents {
		f.Add([]byte(document))
	}
	f.Add([]byte(strings.Repeat("[", 200) + strings.Repeat("]", 200)))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := jsontext.NewScanner(data)
		raw, err := s.Value()
		if err == nil {
			err = s.End()
		}
		var syntax *jsontext.SyntaxError
		switch {
		case err != nil && !errors.As(err, &syntax):
			t.Fatalf("got %v", err)
		case err == nil && (!json.Valid(data) || !bytes.Equal(raw, bytes.TrimSpace(data))):
			t.Fatalf("took %q as %q", data, raw)
		}
	})
}

// FuzzMembers holds that walking sees what encoding/json sees, and that nothing panics on what is
// not valid.
func FuzzMembers(f *testing.F) {
	for _, document := range documents {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		walked := map[string]string{}
		for name, value := range jsontext.Members(data) {
			walked[name] = string(value)
		}
		var elements []string
		for element := range jsontext.Elements(data) {
			elements = append(elements, string(element))
		}
		if !json.Valid(data) {
			return
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) == nil {
			for name, value := range object {
				if walked[name] != string(value) {
					t.Fatalf("%q is %s, want %s", name, walked[name], value)
				}
			}
			if len(walked) != len(object) {
				t.Fatalf("walked %v of %v", slices.Sorted(maps.Keys(walked)), slices.Sorted(maps.Keys(object)))
			}
		}
		var array []json.RawMessage
		if json.Unmarshal(data, &array) == nil && len(array) != len(elements) {
			t.Fatalf("%d elements, want %d", len(elements), len(array))
		}
	})
}

// FuzzAppendString holds that what is written reads back, in both readers.
func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\n\x00\x1f<é\u2028😀\xff")
	f.Fuzz(func(t *testing.T, text string) {
		written := jsontext.AppendString(nil, text)
		var read string
		if err := json.Unmarshal(written, &read); err != nil || read != strings.ToValidUTF8(text, "\ufffd") && utf8.ValidString(text) {
			t.Fatalf("%q is written %s and reads %q, %v", text, written, read, err)
		}
		if got := jsontext.Unquote(written); got != read || jsontext.Text(written) != read {
			t.Fatalf("%s reads %q and %q", written, got, jsontext.Text(written))
		}
	})
}

package sdk_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"policy-server/sdk"
)

// texts are the seeds of the fuzz targets: JSON of every kind, and what is nearly JSON.
var texts = []string{
	``, ` `, `null`, `true`, `-0.5e+10`, `"\ud83d\ude00\ud800 \\\" é"`, `[]`, `{}`, `[1,[2,[3]],{"a":[]}]`, pod,
	`{"a":1,"\u0061":{"b":null}}`, `{"":{"":0}}`, "[\n1 ,\t2\r]", `[1,]`, `{"a":}`, `{]`, `[}`, `"`, `"\`, `"\u12`, `01`, `nul`, `{"a" 1}`,
	"\"\xff\"", strings.Repeat(`[{"a":`, 40), `"` + strings.Repeat(`\\`, 17) + `"`, `["` + strings.Repeat(`\"`, 9) + `]"]`,
	`{"k":"` + strings.Repeat("x", 6) + `\\","l":"` + strings.Repeat("y", 7) + `"}`,
}

// FuzzJSON compares the reader with encoding/json, on every value of a document.
func FuzzJSON(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value := sdk.JSON(text)
		if valid := json.Valid([]byte(text)) && utf8.ValidString(text); value.Exists() != valid {
			t.Fatalf("exists is %v, valid is %v", value.Exists(), valid)
		}
		if value.Exists() {
			compare(t, value, decoded(t, text))
		}
	})
}

func decoded(t *testing.T, text string) (document any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	return document
}

func compare(t *testing.T, got sdk.Value, want any) {
	t.Helper()
	switch want := want.(type) {
	case nil:
		if got.Kind() != sdk.Null {
			t.Fatalf("%s is not null", got)
		}
	case bool:
		if value, ok := got.Bool(); value != want || !ok || got.IsTrue() != want {
			t.Fatalf("%s is %v, %v, expected %v", got, value, ok, want)
		}
	case string:
		if text, ok := got.Text(); text != want || !ok || !got.Is(want) || got.Is(want+"x") {
			t.Fatalf("%s is %q, %v, expected %q", got, text, ok, want)
		}
	case json.Number:
		compareNumber(t, got, want)
	case []any:
		compareArray(t, got, want)
	case map[string]any:
		compareObject(t, got, want)
	}
}

func compareNumber(t *testing.T, got sdk.Value, want json.Number) {
	t.Helper()
	n, ok := got.Int()
	if wanted, err := want.Int64(); ok != (err == nil) || ok && n != wanted {
		t.Fatalf("%s is the integer %d, %v", got, n, ok)
	}
	f, ok := got.Float()
	if wanted, err := want.Float64(); ok != (err == nil) || ok && f != wanted {
		t.Fatalf("%s is the number %v, %v", got, f, ok)
	}
}

func compareArray(t *testing.T, got sdk.Value, want []any) {
	t.Helper()
	n := 0
	for element := range got.Each() {
		if n == len(want) || got.Index(n) != element {
			t.Fatalf("%s has another element %d by Index, or more than %d", got, n, len(want))
		}
		compare(t, element, want[n])
		n++
	}
	if n != len(want) || got.Len() != n || got.Kind() != sdk.Array {
		t.Fatalf("%s has %d elements, length %d and kind %v, expected %d", got, n, got.Len(), got.Kind(), len(want))
	}
}

func compareObject(t *testing.T, got sdk.Value, want map[string]any) {
	t.Helper()
	n := 0
	for name := range got.Fields() {
		n++
		if _, ok := want[name]; !ok {
			t.Fatalf("%s has no member %q", got, name)
		}
	}
	if n < len(want) || got.Len() != n || got.Kind() != sdk.Object {
		t.Fatalf("%s has %d members, length %d and kind %v, expected %d", got, n, got.Len(), got.Kind(), len(want))
	}
	for name, member := range want {
		compare(t, got.Get(name), member)
	}
}

// FuzzPayload hands the guest's entrance any bytes at all, unchecked, to a policy that reads all it
// can find.
func FuzzPayload(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
		f.Add(`{"request":{"object":` + text + `,"userInfo":` + text + `},"settings":{}}`)
		f.Add(`{"settings":{"x":` + text + `},"request":` + text + `}`)
	}
	policy := sdk.Policy{
		CheckSettings: func(settings sdk.Value) error { visit(settings, 0); return nil },
		Validate: func(r sdk.Request) sdk.Response {
			visit(r.Raw(), 0)
			visit(r.Settings(), 0)
			r.InGroup(r.UserName())
			r.Kind()
			edited, err := sdk.Set(r.Object(), sdk.Quote(r.UID()), "a", "0", "b")
			if err != nil {
				return sdk.Fail(err)
			}
			return sdk.Mutate(edited)
		},
	}
	f.Fuzz(func(t *testing.T, payload string) {
		for _, operation := range []string{"validate", "validate_settings"} {
			if _, failure := call(policy, operation, payload); strings.HasPrefix(failure, "panic: ") {
				t.Fatal(failure)
			}
		}
	})
}

func visit(v sdk.Value, depth int) {
	_, _ = v.Text()
	_, _ = v.Int()
	_, _ = v.Float()
	_, _ = v.Bool()
	v.Len()
	v.Index(1)
	v.Get("a", "0", "b")
	if depth == 20 {
		return
	}
	for element := range v.Each() {
		visit(element, depth+1)
	}
	for name, member := range v.Fields() {
		v.Is(name)
		visit(member, depth+1)
	}
}

// FuzzEdit holds that an edit is seen where it was made, and leaves JSON behind.
func FuzzEdit(f *testing.F) {
	for _, text := range texts {
		f.Add(text, "a", "0")
		f.Add(text, "spec", "containers")
		f.Add(text, "1", "-")
	}
	f.Fuzz(func(t *testing.T, text, first, second string) {
		doc := sdk.JSON(text)
		if first = strings.ToValidUTF8(first, "?"); !utf8.ValidString(second) {
			second = "-"
		}
		value := sdk.JSON(`{"set":true}`)
		edited, err := sdk.Set(doc, value, first, second)
		if err != nil {
			return
		}
		if !json.Valid([]byte(edited.Raw())) {
			t.Fatalf("setting %q, %q in %s gives %s", first, second, doc, edited)
		}
		if first != "-" && second != "-" && edited.Get(first, second) != value {
			t.Fatalf("%q, %q is %s in %s", first, second, edited.Get(first, second), edited)
		}
		shorter, err := sdk.Delete(edited, first, second)
		if err != nil || !json.Valid([]byte(shorter.Raw())) {
			t.Fatalf("deleting %q, %q from %s gives %s, %v", first, second, edited, shorter, err)
		}
		if edited.Get(first).Kind() == sdk.Object && shorter.Get(first, second).Exists() {
			t.Fatalf("%q, %q is still there in %s", first, second, shorter)
		}
	})
}

// FuzzQuote holds that a quoted text is JSON and reads as the text.
func FuzzQuote(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Add("\x00\x1f\x7f\u2028</script>😀\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, text string) {
		quoted := sdk.Quote(text)
		if sdk.JSON(quoted.Raw()) != quoted {
			t.Fatalf("%q becomes %s, which is not JSON", text, quoted)
		}
		want := string([]rune(text)) // as a conversion does, each byte that is not UTF-8 becomes U+FFFD
		if got, ok := quoted.Text(); got != want || !ok {
			t.Fatalf("%q becomes %s and reads %q", text, quoted, got)
		}
	})
}

package document_test

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"policy-server/document"
)

// read returns the root of text, and what takes the faults of its values.
func read(t *testing.T, text string) (document.Value, *document.Faults) {
	t.Helper()
	found := new(document.Faults)
	root, err := document.Reader{Faults: found}.Read([]byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return root, found
}

func TestKinds(t *testing.T) {
	for kind, texts := range map[document.Kind][]string{
		document.Absent: {"", "---\n", "# nothing\n"},
		document.Null:   {"null", "~", "Null", ".inf", " null "},
		document.Truth:  {"true", "FALSE", `!!bool "true"`},
		document.Number: {"1", "-0x1F", "1.5", "18446744073709551616", `!!int "2"`},
		document.Text:   {"a", "yes", "014", "1_000", "2024-01-01", `"1"`, "!!str 1", "!!binary aGk=", `"\ud83d\ude00\/"`},
		document.List:   {"[]", "- a"},
		document.Map:    {"{}", "a: b", `{"a": "\/"}`},
		document.Tagged: {"!a b", "!a {}", "!a []", "!!map x", "!!str []", "!!null {}"},
	} {
		for _, text := range texts {
			if root, _ := read(t, text); root.Kind() != kind {
				t.Errorf("%q is of kind %d (%s), want %d", text, root.Kind(), root.Describe(), kind)
			}
		}
	}
}

func TestRead_refuses(t *testing.T) {
	for text, want := range map[string]string{
		"a: [":            "yaml: line 1: did not find expected node content",
		"a: 1\n---\n[":    "yaml: line 3: did not find expected node content",
		"a: 1\n---\nb: 2": "deserializing from YAML containing more than one document is not supported",
		"{\"a\":\xff}":    "yaml: ",
		"a: *b":           "yaml: unknown anchor 'b' referenced",
	} {
		if _, err := (document.Reader{Faults: new(document.Faults)}).Read([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if _, err := (document.Reader{Faults: new(document.Faults)}).ReadJSON([]byte("a: 1")); err == nil {
		t.Error("YAML was read as JSON")
	}
}

// fields reads every kind of field.
func fields(root document.Value) {
	m, _ := root.Mapping()
	m.Only("text", "truth", "whole", "list", "map")
	m.Required("text").Text()
	m.Optional("truth").Truth(false)
	m.Field("whole").Whole(0)
	m.Optional("list").TextList()
	m.Optional("map").TextMap()
}

func TestFaults(t *testing.T) {
	const good = "text: a\n"
	for name, c := range map[string]struct{ text, want string }{
		"everything":          {"text: a\ntruth: true\nwhole: 7\nlist: [a]\nmap: {b: c}", ""},
		"nothing":             {"", "text: missing"},
		"null is missing":     {"text: null", "text: missing"},
		"null is absent":      {good + "truth: ~\nlist:\nmap: null", ""},
		"null is a value":     {good + "whole: null", "whole: want a whole number, got null"},
		"null in a list":      {good + "list: [null]", "list[0]: want a string, got null"},
		"another root":        {"- a", "want a mapping, got a list\ntext: missing"},
		"a number as text":    {"text: 1.0", `text: want a string, got the number 1.0; write "1.0" in quotes`},
		"text as truth":       {good + "truth: yes", `truth: want true or false, got the string "yes"`},
		"a half":              {good + "whole: 1.5", "whole: want a whole number, got the number 1.5"},
		"a number too large":  {good + "whole: 99999999999999999999", "whole: want a whole number, got the number 99999999999999999999"},
		"text as list":        {good + "list: a", `list: want a list, got the string "a"`},
		"a list as mapping":   {good + "map: [a]", "map: want a mapping, got a list"},
		"a tag":               {"text: !a b", `text: want a string, got a value tagged "!a"`},
		"a key that is none":  {good + "[a]: b", "want text as keys, got a list"},
		"twice":               {good + "text: 1", "text: duplicate key"},
		"unknown":             {good + "colour: red", "colour: unknown field; known: text, truth, whole, list, map"},
		"keys that need care": {good + "map: {a.b: 1, c/d: 1, '': 1}", "map.a.b: want a string, got the number 1; write \"1\" in quotes\nmap[\"c/d\"]: want a string, got the number 1; write \"1\" in quotes\nmap[\"\"]: want a string, got the number 1; write \"1\" in quotes"},
		"aliases":             {"text: &a b\nlist: [*a, 1]\nmap: {*a : *a}", `list[1]: want a string, got the number 1; write "1" in quotes`},
		"an alias to a part":  {good + "list: &a [*a]", "list[0]: want a string, got a list"},
		"all at once":         {"truth: 1\nlist: 2", "text: missing\ntruth: want true or false, got the number 1\nlist: want a list, got the number 2"},
	} {
		t.Run(name, func(t *testing.T) {
			root, found := read(t, c.text)
			fields(root)
			if got := message(found.Err()); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestPlaces holds that values know where they are, in YAML and in JSON.
func TestPlaces(t *testing.T) {
	place := func(f document.Fault) string {
		return f.Path + " " + strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Column)
	}
	for text, want := range map[string]string{
		"a: 1\nb:\n  c: 2":                         "a 1:4\nb.c 3:6",
		"{\"a\": 1,\n \"b\"\n: {\"c\":\n2} }":      "a 1:7\nb.c 4:1",
		"\n\n{ \"b\" :{\"\\/c\" : 3},\"a\"  :\n1}": "a 4:1\nb[\"/c\"] 3:17",
	} {
		found := &document.Faults{Words: place}
		root, err := document.Reader{Faults: found}.Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		m, _ := root.Mapping()
		m.Field("a").Text()
		m.Field("b").TextMap()
		if got := found.Err().Error(); got != want {
			t.Errorf("%q: got\n%s\nwant\n%s", text, got, want)
		}
	}
}

// TestAsWanted holds what the reference makes of scalars that it knows what to expect of.
func TestAsWanted(t *testing.T) {
	found := new(document.Faults)
	reader := document.Reader{Faults: found, AsWanted: true}
	root, err := reader.Read([]byte("list:\nmap:\ntexts: [~, 1.0, yes, ]\nnull: null\n"))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := root.Mapping()
	list, texts := m.Required("list").List(), m.Field("texts").TextList()
	if mapping, ok := m.Required("map").Mapping(); !ok || mapping.Field("a").Exists() || list == nil || len(list) > 0 || !reflect.DeepEqual(texts, []string{"~", "1.0", "yes"}) {
		t.Errorf("got %v, %q", list, texts)
	}
	if err := found.Err(); err != nil {
		t.Error(err)
	}
	m.Field("null").List()
	root, err = reader.ReadJSON([]byte(`{"list": null, "text": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	m, _ = root.Mapping()
	m.Field("list").List()
	m.Field("text").Text()
	const want = "null: want a list, got null\nlist: want a list, got null\ntext: want a string, got the number 1; write \"1\" in quotes"
	if got := message(found.Err()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBlockYAML(t *testing.T) {
	const given = `{"z":"a\n b\n","a":["",{"b":[]},"1","null",7,1.50,true,null],"é":"\u0000\ud83d\ude00\u0085","<":"~"}`
	const want = "z: |\n  a\n   b\na:\n- ''\n- b: []\n- \"1\"\n- \"null\"\n- 7\n- 1.50\n- true\n- null\né: \"\\0\\U0001F600\\N\"\n<: \"~\"\n"
	got, err := document.BlockYAML([]byte(given))
	if err != nil || got != want {
		t.Errorf("%v, got\n%swant\n%s", err, got, want)
	}
}

func TestYAML(t *testing.T) {
	v := document.NewMapping(document.NewText("a"), document.NewList(document.NewText("true"), document.NewQuotedText("true"), document.NewText("b"),
		document.NewTruth(true), document.NewNull(), document.NewNumber(-1)).OnOneLine(), document.NewText("c"), document.NewText("d\ne").Tagged("!f"))
	const want = "a: [\"true\", 'true', b, true, null, -1]\nc: !f |-\n  d\n  e\n"
	if got, err := v.YAML(); err != nil || got != want {
		t.Errorf("%v, got\n%swant\n%s", err, got, want)
	}
	if got, err := document.NewText("\xff").YAML(); err == nil {
		t.Errorf("what is not UTF-8 became %s", got)
	}
}

// FuzzRead holds that no document does harm, that JSON is read as JSON, and that what is written as
// YAML reads back.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"", "null", "a: {b: [1, 0x1F, ~, yes, 1.5]}\n", "- &a [*a]\n", "a: &x {b: c}\nd: *x\n<<: *x\n", "!a {? [b] : !!map c}", "{\"a\":\"\\/\\ud83d\\ude00\"}",
		`{"a":[1e400,-0,123456789012345678901234567890,{"a":null,"a":true}],"":"~"}`, "a: 1\n---\nb: 2\n", "'': \"\\0\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, asWanted := range []bool{true, false} {
			found := new(document.Faults)
			root, err := document.Reader{Faults: found, AsWanted: asWanted}.Read(data)
			if err != nil {
				continue
			}
			visit(root, 0)
			if err := found.Err(); err != nil && err.Error() == "" {
				t.Error("a fault without a text")
			}
			if written, err := root.AppendJSON(nil); root.Exists() && err == nil && !json.Valid(written) {
				t.Errorf("%q became %q", data, written)
			}
		}
		var want, got any
		if json.Unmarshal(data, &want) != nil {
			return
		}
		text, err := document.BlockYAML(data)
		if err != nil {
			t.Fatal(err)
		}
		root, _ := read(t, text)
		written, err := root.AppendJSON(nil)
		if !root.Exists() || err != nil { // an integer beyond 64 bits is no YAML
			return
		}
		if err := json.Unmarshal(written, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %s, %v", data, written, err)
		}
	})
}

// visit reads v as everything, and what is in it for a few levels: an alias may lead back up.
func visit(v document.Value, depth int) {
	if depth > 2 {
		return
	}
	_, _, _, _ = v.Text(), v.Truth(false), v.Whole(0), v.Number()
	_, _ = v.Scalar()
	for _, item := range v.List() {
		visit(item, depth+1)
	}
	m, _ := v.Mapping()
	m.Only("a")
	for _, value := range m.Each() {
		visit(value, depth+1)
	}
}

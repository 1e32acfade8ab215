package faults_test

import (
	"testing"

	"policy-server/policies-examples/faults"
	"policy-server/sdk"
)

func TestReading(t *testing.T) {
	for name, c := range map[string]struct {
		read func(l *faults.List, v sdk.Value)
		// each JSON value and what is wrong with it; "" for nothing
		wrong map[string]string
	}{
		"object": {
			func(l *faults.List, v sdk.Value) { l.Object("a", v, "x", "y") },
			map[string]string{`{"x":1}`: "", `{"z":1}`: `"a.z": unknown field; known: x, y`, `[]`: `"a": must be an object, not array`, `null`: `"a": must be an object, not null`},
		},
		"settings": {
			func(l *faults.List, v sdk.Value) { l.Object("", v, "x") },
			map[string]string{`{"z":1}`: `"z": unknown field; known: x`, `7`: `must be an object, not number`},
		},
		"text": {
			func(l *faults.List, v sdk.Value) { l.Text("a", v) },
			map[string]string{`"x"`: "", `""`: `"a": must not be empty`, `7`: `"a": must be a string, not number`, ``: `"a": must be a string, not missing`},
		},
		"optional text": {
			func(l *faults.List, v sdk.Value) { l.Optional("a", v) },
			map[string]string{``: "", `null`: "", `"x"`: "", `""`: `"a": must not be empty`, `true`: `"a": must be a string, not bool`},
		},
		"texts": {
			func(l *faults.List, v sdk.Value) { l.Texts("a", v) },
			map[string]string{``: "", `null`: "", `["x"]`: "", `"x"`: `"a": must be an array of strings, not string`, `["x",{}]`: `"a[1]": must be a string, not object`},
		},
		"map of texts": {
			func(l *faults.List, v sdk.Value) { l.TextMap("a", v) },
			map[string]string{``: "", `null`: "", `{"k":""}`: "", `[]`: `"a": must be an object of strings, not array`, `{"k":1}`: `"a.k": must be a string, not number`},
		},
		"truth": {
			func(l *faults.List, v sdk.Value) { l.Bool("a", v, true) },
			map[string]string{``: "", `null`: "", `false`: "", `"false"`: `"a": must be true or false, not string`},
		},
		"one of": {
			func(l *faults.List, v sdk.Value) { l.OneOf("a", v, "x", "y") },
			map[string]string{`"x"`: "", `"z"`: `"a": unknown value "z"; known: x, y`, `7`: `"a": must be a string, not number`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for text, want := range c.wrong {
				var l faults.List
				c.read(&l, sdk.JSON(text))
				if err := l.Err(); (err == nil) != (want == "") || err != nil && err.Error() != want {
					t.Errorf("%s: %v, expected %q", text, err, want)
				}
			}
		})
	}
}

func TestValues(t *testing.T) {
	var l faults.List
	settings := sdk.JSON(`{"text":"t","texts":["a","b"],"map":{"k":"v"},"no":false}`)
	if got := l.Texts("texts", settings.Get("texts")); len(got) != 2 || got[0] != "a" || got[1] != "b" {
		t.Errorf("texts are %q", got)
	}
	if got := l.TextMap("map", settings.Get("map")); len(got) != 1 || got["k"] != "v" {
		t.Errorf("map is %q", got)
	}
	if l.TextMap("none", settings.Get("none")) != nil {
		t.Error("a map that is missing is there")
	}
	if l.Text("text", settings.Get("text")) != "t" || l.Bool("no", settings.Get("no"), true) || !l.Bool("none", settings.Get("none"), true) {
		t.Error("other values are read wrong")
	}
	if l.Err() != nil {
		t.Error(l.Err())
	}
}

func TestErrIsTheSameInAnyOrder(t *testing.T) {
	var l faults.List
	l.Add("b", "wrong")
	l.Add("a", "odd: ", "7")
	l.Add("b", "wrong")
	if want := `"a": odd: 7; "b": wrong`; l.Err().Error() != want {
		t.Errorf("error is %v, expected %s", l.Err(), want)
	}
}

func TestPaths(t *testing.T) {
	if got := faults.Element(faults.Member(faults.Member("", "a"), "b"), 3); got != "a.b[3]" {
		t.Errorf("path is %q", got)
	}
}

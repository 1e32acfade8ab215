package sdk_test

import (
	"testing"

	"policy-server/sdk"
)

func TestSet(t *testing.T) {
	const doc = `{"a":{"b":1},"list":[1,{"x":2}],"none":null,"empty":{},"nothing":[]}`
	for name, c := range map[string]struct {
		path []string
		want string // of the document around it
	}{
		"replaces a member":         {[]string{"a", "b"}, `{"a":{"b":true},"list":[1,{"x":2}],"none":null,"empty":{},"nothing":[]}`},
		"adds a member":             {[]string{"a", "c"}, `{"a":{"b":1,"c":true},"list":[1,{"x":2}],"none":null,"empty":{},"nothing":[]}`},
		"creates parents":           {[]string{"a", "c", "d"}, `{"a":{"b":1,"c":{"d":true}},"list":[1,{"x":2}],"none":null,"empty":{},"nothing":[]}`},
		"fills an empty object":     {[]string{"empty", `q"`}, `{"a":{"b":1},"list":[1,{"x":2}],"none":null,"empty":{"q\"":true},"nothing":[]}`},
		"makes null an object":      {[]string{"none", "x", "y"}, `{"a":{"b":1},"list":[1,{"x":2}],"none":{"x":{"y":true}},"empty":{},"nothing":[]}`},
		"replaces an element":       {[]string{"list", "0"}, `{"a":{"b":1},"list":[true,{"x":2}],"none":null,"empty":{},"nothing":[]}`},
		"edits inside an element":   {[]string{"list", "1", "x"}, `{"a":{"b":1},"list":[1,{"x":true}],"none":null,"empty":{},"nothing":[]}`},
		"appends":                   {[]string{"list", "-"}, `{"a":{"b":1},"list":[1,{"x":2},true],"none":null,"empty":{},"nothing":[]}`},
		"appends by length":         {[]string{"list", "2", "y"}, `{"a":{"b":1},"list":[1,{"x":2},{"y":true}],"none":null,"empty":{},"nothing":[]}`},
		"appends to an empty array": {[]string{"nothing", "0"}, `{"a":{"b":1},"list":[1,{"x":2}],"none":null,"empty":{},"nothing":[true]}`},
		"replaces the whole":        {nil, `true`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sdk.Set(sdk.JSON(doc), sdk.JSON("true"), c.path...)
			if err != nil {
				t.Fatal(err)
			}
			if got.Raw() != c.want {
				t.Errorf("document is\n%s, expected\n%s", got, c.want)
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		doc, value string
		path       []string
		want       string
	}{
		"a path through a scalar": {`{"a":"x"}`, `1`, []string{"a", "b"}, `edit "a.b": there is a string, not an object or array, around it`},
		"an element far beyond":   {`{"a":[1]}`, `1`, []string{"a", "3"}, `edit "a.3": the array around it has 1 elements`},
		"a name in an array":      {`{"a":[1]}`, `1`, []string{"a", "b"}, `edit "a.b": the array around it has 1 elements`},
		"a missing document":      {``, `1`, []string{"a"}, `edit "a": the document or the value is missing`},
		"a missing value":         {`{}`, `{`, []string{"a"}, `edit "a": the document or the value is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sdk.Set(sdk.JSON(c.doc), sdk.JSON(c.value), c.path...)
			if err == nil || err.Error() != c.want || got.Exists() {
				t.Errorf("got %q and error %v, expected %s", got, err, c.want)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	for name, c := range map[string]struct {
		doc  string
		path []string
		want string
	}{
		"first member":        {`{"a":1,"b":2}`, []string{"a"}, `{"b":2}`},
		"last member":         {`{"a":1,"b":2}`, []string{"b"}, `{"a":1}`},
		"only member":         {`{"x":{"a":1}}`, []string{"x", "a"}, `{"x":{}}`},
		"every one of a name": {`{"a":1,"b":2,"\u0061":3}`, []string{"a"}, `{"b":2}`},
		"element":             {`[{"x":[1,2,3]}]`, []string{"0", "x", "1"}, `[{"x":[1,3]}]`},
		"only element":        {`[1]`, []string{"0"}, `[]`},
		"absent member":       {`{"a": 1}`, []string{"b"}, `{"a": 1}`},
		"absent parent":       {`{"a": 1}`, []string{"b", "c"}, `{"a": 1}`},
		"below a scalar":      {`{"a": 1}`, []string{"a", "c"}, `{"a": 1}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sdk.Delete(sdk.JSON(c.doc), c.path...)
			if err != nil {
				t.Fatal(err)
			}
			if got.Raw() != c.want {
				t.Errorf("document is %s, expected %s", got, c.want)
			}
		})
	}
	if _, err := sdk.Delete(sdk.JSON(`{}`)); err == nil {
		t.Error("an empty path is deleted")
	}
}

func TestEditsCompose(t *testing.T) {
	doc := sdk.JSON(`{"spec":{"containers":[{"name":"web"}]}}`)
	edited, err := sdk.Set(doc, sdk.Quote("gold"), "metadata", "labels", "tier")
	if err != nil {
		t.Fatal(err)
	}
	if edited, err = sdk.Set(edited, sdk.JSON("true"), "spec", "containers", "0", "tty"); err != nil {
		t.Fatal(err)
	}
	if edited, err = sdk.Delete(edited, "spec", "containers", "0", "name"); err != nil {
		t.Fatal(err)
	}
	if want := `{"spec":{"containers":[{"tty":true}]},"metadata":{"labels":{"tier":"gold"}}}`; edited.Raw() != want {
		t.Errorf("document is %s, expected %s", edited, want)
	}
	if want := `{"spec":{"containers":[{"name":"web"}]}}`; doc.Raw() != want {
		t.Errorf("the first document became %s", doc)
	}
}

package sdk_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"policy-server/sdk"
)

const pod = `{"kind":"Pod","metadata":{"name":"web","labels":{"app":"web","tier":"gold"},"notes":{"quo\"te":"a\\b\né\ud83d\ude00","lone":"\ud800x"}},
 "spec" : { "containers" : [ {"name":"web","ports":[80, 443]} , {"name":"proxy","securityContext":{"privileged":true}} ], "replicas": 3 ,
 "ratio": -1.5e2, "huge": 9223372036854775808, "none": null, "off": false, "empty": {}, "list": [] } }`

func TestGet(t *testing.T) {
	for name, c := range map[string]struct {
		path []string
		want string
	}{
		"member":                    {[]string{"kind"}, `"Pod"`},
		"deep member":               {[]string{"metadata", "labels", "tier"}, `"gold"`},
		"escaped name":              {[]string{"metadata", "notes", `quo"te`}, `"a\\b\né\ud83d\ude00"`},
		"element":                   {[]string{"spec", "containers", "1", "name"}, `"proxy"`},
		"element of nested array":   {[]string{"spec", "containers", "0", "ports", "1"}, `443`},
		"object":                    {[]string{"spec", "containers", "1", "securityContext"}, `{"privileged":true}`},
		"null":                      {[]string{"spec", "none"}, `null`},
		"absent":                    {[]string{"spec", "tolerations"}, ``},
		"below absent":              {[]string{"spec", "tolerations", "0", "key"}, ``},
		"below scalar":              {[]string{"kind", "x"}, ``},
		"below null":                {[]string{"spec", "none", "x"}, ``},
		"element out of range":      {[]string{"spec", "containers", "2"}, ``},
		"name in an array":          {[]string{"spec", "containers", "name"}, ``},
		"index with leading zero":   {[]string{"spec", "containers", "01"}, ``},
		"negative index":            {[]string{"spec", "containers", "-1"}, ``},
		"index beyond all integers": {[]string{"spec", "containers", "99999999999999999999"}, ``},
		"case differs":              {[]string{"Kind"}, ``},
		"prefix of a name":          {[]string{"kin"}, ``},
		"empty name":                {[]string{""}, ``},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sdk.JSON(pod).Get(c.path...).Raw(); got != c.want {
				t.Errorf("Get(%q) is %s, expected %s", c.path, got, c.want)
			}
		})
	}
}

func TestGetTakesTheLastOfARepeatedName(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		want     string
	}{
		"scalars":             {`{"a":{"b":1,"b":2}}`, `2`},
		"parents":             {`{"a":{"b":1},"a":{"b":2}}`, `2`},
		"last parent lacks":   {`{"a":{"b":1},"a":{"c":2}}`, ``},
		"escaped differently": {`{"a":{"b":1,"\u0062":2}}`, `2`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sdk.JSON(c.document).Get("a", "b").Raw(); got != c.want {
				t.Errorf("a.b is %q, expected %q", got, c.want)
			}
		})
	}
}

func TestKinds(t *testing.T) {
	for text, want := range map[string]sdk.Kind{
		``: sdk.Missing, `null`: sdk.Null, `true`: sdk.Bool, `false`: sdk.Bool, `0`: sdk.Number, `-1`: sdk.Number,
		`""`: sdk.String, `[]`: sdk.Array, ` {} `: sdk.Object,
		`nul`: sdk.Missing, `truex`: sdk.Missing, `{`: sdk.Missing, `{} {}`: sdk.Missing, `"`: sdk.Missing, `[1,]`: sdk.Missing,
		`{"a":1,}`: sdk.Missing, `{]`: sdk.Missing, `01`: sdk.Missing, `1.`: sdk.Missing, `+1`: sdk.Missing, `"\x"`: sdk.Missing,
		"\"\xff\"": sdk.Missing, "\"\n\"": sdk.Missing, `{"a" 1}`: sdk.Missing, `{1:2}`: sdk.Missing, `"\u12g4"`: sdk.Missing,
	} {
		t.Run(text, func(t *testing.T) {
			value := sdk.JSON(text)
			if got := value.Kind(); got != want {
				t.Errorf("kind is %v, expected %v", got, want)
			}
			if value.Exists() != (want != sdk.Missing) || value.IsNull() != (want == sdk.Null) {
				t.Errorf("exists is %v and is null %v for kind %v", value.Exists(), value.IsNull(), want)
			}
		})
	}
}

func TestDepth(t *testing.T) {
	for name, c := range map[string]struct {
		depth int
		want  bool
	}{"deepest allowed": {10000, true}, "too deep": {10001, false}, "never closed": {0, false}} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat("[", max(c.depth, 1_000_000*(1-min(c.depth, 1)))) + strings.Repeat("]", c.depth)
			if got := sdk.JSON(text).Exists(); got != c.want {
				t.Errorf("exists is %v, expected %v", got, c.want)
			}
		})
	}
}

func TestScalars(t *testing.T) {
	spec := sdk.JSON(pod).Get("spec")
	if n, ok := spec.Get("replicas").Int(); n != 3 || !ok {
		t.Errorf("replicas is %d, %v", n, ok)
	}
	if n, ok := spec.Get("huge").Int(); ok {
		t.Errorf("a number beyond 64 bits is %d", n)
	}
	if n, ok := spec.Get("ratio").Int(); ok {
		t.Errorf("a number with a fraction is the integer %d", n)
	}
	if f, ok := spec.Get("ratio").Float(); f != -150 || !ok {
		t.Errorf("ratio is %v, %v", f, ok)
	}
	if f, ok := sdk.JSON("1e400").Float(); ok {
		t.Errorf("a number beyond float64 is %v", f)
	}
	if n, ok := sdk.JSON("-9223372036854775808").Int(); n != math.MinInt64 || !ok {
		t.Errorf("the least integer is %d, %v", n, ok)
	}
	if value, ok := spec.Get("off").Bool(); value || !ok {
		t.Errorf("off is %v, %v", value, ok)
	}
	if _, ok := sdk.JSON(`"true"`).Bool(); ok || sdk.JSON(`"true"`).IsTrue() {
		t.Error(`the string "true" counts as a bool`)
	}
	if !spec.Get("containers", "1", "securityContext", "privileged").IsTrue() {
		t.Error("privileged is not true")
	}
}

func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
		ok   bool
	}{
		"plain":             {`"web"`, "web", true},
		"empty":             {`""`, "", true},
		"every escape":      {`"\"\\\/\b\f\n\r\t\u0041"`, "\"\\/\b\f\n\r\tA", true},
		"surrogate pair":    {`"\ud83d\ude00"`, "😀", true},
		"lone surrogate":    {`"\ud800x"`, "\ufffdx", true},
		"two high, one low": {`"\ud83d\ud83d\ude00"`, "\ufffd😀", true},
		"backslash at end":  {`"a\\"`, `a\`, true},
		"as it stands":      {`"é😀/"`, "é😀/", true},
		"number":            {`1`, "", false},
		"missing":           {``, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			value := sdk.JSON(c.text)
			if got, ok := value.Text(); got != c.want || ok != c.ok {
				t.Errorf("text is %q, %v, expected %q, %v", got, ok, c.want, c.ok)
			}
			if value.Is(c.want) != c.ok || value.Is(c.want+"x") || value.Is(c.text) && c.text != c.want {
				t.Errorf("Is disagrees with Text about %s", c.text)
			}
		})
	}
}

func TestIterators(t *testing.T) {
	document := sdk.JSON(pod)
	var names []string
	for container := range document.Get("spec", "containers").Each() {
		name, _ := container.Get("name").Text()
		names = append(names, name)
	}
	if want := []string{"web", "proxy"}; !slices.Equal(names, want) {
		t.Errorf("containers are %q, expected %q", names, want)
	}
	var labels []string
	for name, value := range document.Get("metadata", "labels").Fields() {
		labels = append(labels, name+"="+value.Raw())
	}
	if want := []string{`app="web"`, `tier="gold"`}; !slices.Equal(labels, want) {
		t.Errorf("labels are %q, expected %q", labels, want)
	}
	for name := range document.Get("metadata", "notes").Fields() {
		if name != `quo"te` {
			t.Errorf("first note is %q", name)
		}
		break
	}
	for range document.Get("kind").Each() {
		t.Error("a string has elements")
	}
	for range document.Get("spec", "list").Fields() {
		t.Error("an array has members")
	}
}

func TestLenAndIndex(t *testing.T) {
	spec := sdk.JSON(pod).Get("spec")
	for path, want := range map[string]int{"containers": 2, "list": 0, "empty": 0, "replicas": 0, "absent": 0} {
		if got := spec.Get(path).Len(); got != want {
			t.Errorf("%s has length %d, expected %d", path, got, want)
		}
	}
	if got := spec.Len(); got != 8 {
		t.Errorf("spec has %d members, expected 8", got)
	}
	for i, want := range map[int]string{-1: "", 0: "80", 1: "443", 2: ""} {
		if got := spec.Get("containers", "0", "ports").Index(i).Raw(); got != want {
			t.Errorf("port %d is %q, expected %q", i, got, want)
		}
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	document := sdk.JSON(pod)
	found := 0
	allocations := testing.AllocsPerRun(100, func() {
		for container := range document.Get("spec", "containers").Each() {
			if container.Get("securityContext", "privileged").IsTrue() {
				found++
			}
		}
		for name, value := range document.Get("metadata", "labels").Fields() {
			if name == "tier" && value.Is("gold") {
				found++
			}
		}
		if n, ok := document.Get("spec", "replicas").Int(); ok && n == 3 {
			found++
		}
		if text, ok := document.Get("kind").Text(); ok && text == "Pod" {
			found++
		}
	})
	if allocations != 0 || found == 0 || found%4 != 0 {
		t.Errorf("%v allocations, %d findings", allocations, found)
	}
}

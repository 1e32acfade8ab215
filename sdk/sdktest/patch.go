package sdktest

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A patchStep is one operation of a JSON Patch (RFC 6902).
type patchStep struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// diff returns the JSON Patch that the host sends for a mutation: add, remove and replace only,
// objects in the order of their sorted names, arrays index by index.
func diff(from, to []byte) ([]patchStep, error) {
	before, err := decodeExact(from)
	if err != nil {
		return nil, err
	}
	after, err := decodeExact(to)
	if err != nil {
		return nil, err
	}
	var patch patcher
	patch.compare("", before, after)
	return patch.steps, patch.err
}

type patcher struct {
	steps []patchStep
	err   error // the first value that could not be encoded
}

func (p *patcher) compare(path string, before, after any) {
	switch after := after.(type) {
	case map[string]any:
		if before, ok := before.(map[string]any); ok {
			p.compareObjects(path, before, after)
			return
		}
	case []any:
		if before, ok := before.([]any); ok {
			p.compareArrays(path, before, after)
			return
		}
	}
	if !reflect.DeepEqual(before, after) {
		p.step("replace", path, after)
	}
}

func (p *patcher) compareObjects(path string, before, after map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if old, ok := before[name]; ok {
			p.compare(path+pointer(name), old, after[name])
		} else {
			p.step("add", path+pointer(name), after[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[name]; !ok {
			p.remove(path + pointer(name))
		}
	}
}

func (p *patcher) compareArrays(path string, before, after []any) {
	for i, element := range after {
		at := path + "/" + strconv.Itoa(i)
		if i < len(before) {
			p.compare(at, before[i], element)
		} else {
			p.step("add", at, element)
		}
	}
	for range max(0, len(before)-len(after)) {
		p.remove(path + "/" + strconv.Itoa(len(after)))
	}
}

func (p *patcher) step(op, path string, value any) {
	text, err := json.Marshal(value)
	if err != nil && p.err == nil {
		p.err = err
	}
	p.steps = append(p.steps, patchStep{op, path, text})
}

func (p *patcher) remove(path string) {
	p.steps = append(p.steps, patchStep{Op: "remove", Path: path})
}

// pointer returns the step to a member in a JSON Pointer (RFC 6901).
func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// decodeExact decodes JSON with numbers as they are spelt.
func decodeExact(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&value)
	return value, err
}

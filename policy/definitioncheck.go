package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"policy-server/document"
	"policy-server/runtime"
)

// What the reader of the file and Check say of a wrong field.
const (
	faultSettings = "settings must be a mapping"
	faultTimeout  = "not a whole number of seconds"
	faultMemory   = "not a number of bytes; at least %d, a page of WebAssembly memory"
)

const wasmPage = 64 << 10

// Check returns everything that is wrong with d, whether a file or code made it, with the paths
// that policies.yml has for it: an ID, a module and words that cannot be served, settings that are
// no JSON object, limits out of range, resources that are not complete. It does no I/O.
func (d Definition) Check() error {
	found := new(document.Faults)
	d.checkID(found)
	d.checkFields(found)
	return found.Err()
}

// checkFields adds what is wrong with d's fields, except for those that found has something about
// already: they could not be read.
func (d Definition) checkFields(found *document.Faults) {
	path := document.Join("", string(d.ID))
	report := func(key, format string, args ...any) {
		if at := document.Join(path, key); !found.Concern(at) {
			found.Add(at, format, args...)
		}
	}
	if d.Module == "" && !found.Concern(document.Join(path, "module")) {
		found.Add(path, "module is missing")
	}
	if err := d.Mode.check(); d.Mode != "" && err != nil {
		report("policyMode", "%v", err)
	}
	if len(d.Settings) > 0 && (!json.Valid(d.Settings) || bytes.TrimLeft(d.Settings, " \t\r\n")[0] != '{') {
		report("settings", faultSettings)
	}
	if d.Timeout != nil && *d.Timeout < 0 {
		report("timeoutEvalSeconds", faultTimeout)
	}
	if err := checkSandbox(d.Sandbox); d.Sandbox != "" && err != nil {
		report("sandboxMode", "%v", err)
	}
	if d.MemoryLimit != 0 && d.MemoryLimit < wasmPage {
		report("memoryLimitBytes", faultMemory, wasmPage)
	}
	d.checkResources(document.Join(path, "contextAwareResources"), found)
}

func (d Definition) checkID(found *document.Faults) {
	path := document.Join("", string(d.ID))
	if strings.Contains(string(d.ID), "/") {
		found.Add(path, "policy name '%s' contains a '/' character", d.ID)
	} else if _, err := ParseID(string(d.ID)); err != nil {
		found.Add(path, "%v", err)
	}
}

func (d Definition) checkResources(path string, found *document.Faults) {
	for i, r := range d.Resources {
		at := document.Element(path, i)
		if found.Concern(at) {
			continue
		}
		for _, field := range []struct{ key, value string }{{"apiVersion", r.APIVersion}, {"kind", r.Kind}} {
			if field.value == "" && !found.Concern(document.Join(at, field.key)) {
				found.Add(at, "%s is missing", field.key)
			}
		}
	}
}

func (m Mode) check() error { return oneOf("mode", m, Protect, Monitor) }

func checkSandbox(mode runtime.Mode) error {
	return oneOf("sandbox mode", mode, runtime.ModeReset, runtime.ModeFresh)
}

func oneOf[T ~string](what string, value T, known ...T) error {
	var words []string
	for _, word := range known {
		if value == word {
			return nil
		}
		words = append(words, string(word))
	}
	return fmt.Errorf("%q is no %s; known: %s", value, what, strings.Join(words, ", "))
}

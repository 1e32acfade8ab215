package wasm_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"policy-server/runtime/wasm"
)

// TestGuestsRewritten holds that a rewritten guest does what the original does, asks its host for
// the same, and leaves the same memory behind.
func TestGuestsRewritten(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.wasm")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range append(files, "testdata/state.wasm", "testdata/writes_tables.wasm", "testdata/retries.wasm") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compareTrials(t, code)
		})
	}
}

// maxTableElements bounds tables in tests, as the sandbox does.
const maxTableElements = 10_000

// compareTrials exercises code rewritten, metered and not, and as it is, if the meter shows that it
// ends. It tells whether there was something to compare.
func compareTrials(t *testing.T, code []byte) (compared bool) {
	t.Helper()
	const fuel, limit = 1000, 200
	parsed := parse(t, string(code))
	parsed.ClampTables(maxTableElements)
	code = parsed.Bytes()
	metered := rewrite(t, code, wasm.Options{Meter: meter(fuel)})
	m, meteredErr := startMachine(t, metered.Code, metered.Fuel, fuel, limit)
	if errors.Is(meteredErr, errOutOfFuel) {
		return false // in the start function
	}
	var got []string
	if meteredErr == nil {
		var err error
		if got, err = m.exercise(); err != nil {
			return false
		}
	}
	others := map[string][]byte{"not metered": rewrite(t, code, wasm.Options{}).Code}
	if importsOnlyFunctions(t, code) {
		others["the original"] = code
	}
	for name, code := range others {
		m, err := startMachine(t, code, "", 0, 0)
		if (err == nil) != (meteredErr == nil) {
			t.Fatalf("metered starts with %v, %s with %v", meteredErr, name, err)
		}
		if err != nil {
			continue
		}
		want, _ := m.exercise()
		if !slices.Equal(got, want) && !overflows(got) && !overflows(want) {
			t.Errorf("metered gives\n%q\n%s\n%q", got, name, want)
		}
		compared = true
	}
	return compared
}

// importsOnlyFunctions tells whether the machine can offer all that code imports.
func importsOnlyFunctions(t *testing.T, code []byte) bool {
	t.Helper()
	return !slices.ContainsFunc(parse(t, string(code)).Imports(), func(im wasm.Import) bool { return im.Kind != wasm.Function })
}

// overflows tells whether the guest used up its stack somewhere. How deep it gets is not the same
// with the meter.
func overflows(transcript []string) bool {
	return slices.ContainsFunc(transcript, func(line string) bool { return strings.Contains(line, "stack overflow") })
}
